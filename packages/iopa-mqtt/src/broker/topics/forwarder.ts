import type { Broker } from '../broker.ts'
import type { Delivery } from '../session/message-queue.ts'
import type { Session } from '../session/session.ts'
import { FanOuts } from './fan-outs.ts'
import type { Message } from './message.ts'
import { ALLOWED, DENIED, Recipient, type SharedGroup, type Subscription, UNKNOWN } from './subscription.ts'
import type { Topic } from './topic-table.ts'

/** Brings messages to those whose subscriptions match and who may have them. No client waits for another. */
export class Forwarder {
  readonly #broker: Broker
  readonly fanOuts: FanOuts

  constructor(broker: Broker) {
    this.#broker = broker
    this.fanOuts = new FanOuts(broker.turns, () => broker.admission.resume())
  }

  /** True when a message has so many recipients that they get it in slices, or comes after one that has. */
  isLong(topic: Topic): boolean {
    const { list, groups } = this.#broker.topics.recipients(topic)
    return list.length + groups.length > SHORT || (this.fanOuts.busy && this.fanOuts.has(topic.name))
  }

  /** Sends a message now, or in slices, and calls back. */
  relay(message: Message, topic: Topic, done: () => void): void {
    if (this.isLong(topic)) this.spread(message, topic, done)
    else {
      this.deliver(message, topic)
      done()
    }
  }

  /** Sends a message in slices, and calls back. Those who have subscribed by now get it. */
  spread(message: Message, topic: Topic, done: () => void): void {
    const { list, groups } = this.#broker.topics.recipients(topic)
    const give = (index: number): void => {
      const recipient = list[index]
      const target = recipient?.session === message.publisher ? recipient?.own : recipient
      if (target) offer(target, message, topic)
      else if (recipient === undefined) {
        const group = groups[index - list.length] as SharedGroup
        offerGroup(group, message, topic, member => member.session.outgoing.deliver(message, member), NOTHING)
      }
    }
    if (!this.fanOuts.add(topic.name, list.length + groups.length, message.size, give, done)) message.detach()
  }

  /** Sends a message now, only to sessions that `may` have it where that is given; says how many that are. */
  deliver(message: Message, topic: Topic, may: ((session: Session) => boolean) | null = null): number {
    const { list, groups } = this.#broker.topics.recipients(topic)
    let given = 0
    for (let at = 0; at < list.length; at++) {
      const recipient = list[at] as Recipient
      const target = recipient.session === message.publisher ? recipient.own : recipient
      if (target === null || (may !== null && !may(target.session))) continue
      given++
      offer(target, message, topic)
    }
    for (const group of groups) {
      const passed = may === null ? null : new Set(group.members.filter(({ session }) => !may(session)))
      if (group.members.length > (passed?.size ?? 0)) given++
      offerGroup(group, message, topic, recipient => recipient.session.outgoing.deliver(message, recipient), NOTHING, passed)
    }
    return given
  }

  /**
   * Puts a message into the queues that the store keeps, and calls back when all of them have it; the function that comes with it
   * then sends the message to everybody, or takes it back.
   */
  stage(message: Message, topic: Topic, staged: (send: (kept: boolean) => void) => void): void {
    const accepted: Recipient[] = []
    let open = 1
    const settle = (): void => {
      if (--open > 0) return
      // All at once, together with what its sender may conclude: after a crash in between, a message of QoS 2 would be delivered again.
      const direct: Recipient[] = []
      const waiting: (readonly [Session, Delivery])[] = []
      for (const recipient of accepted) {
        const { session } = recipient
        if (!session.stored || recipient.qos === 0) direct.push(recipient)
        else if (!session.ended) {
          const delivery = session.outgoing.stage(message, recipient)
          if (delivery) waiting.push([session, delivery])
        }
      }
      staged(kept => this.#send(message, direct, waiting, kept))
    }
    const accept = (recipient: Recipient): void => void accepted.push(recipient)
    const { list, groups } = this.#broker.topics.recipients(topic)
    for (const one of list) {
      const recipient = one.session === message.publisher ? one.own : one
      if (recipient === null) continue
      const verdict = recipient.session.authorization.of(topic, recipient)
      if (verdict === ALLOWED) accept(recipient)
      else if (verdict === UNKNOWN) {
        open++
        const asked = recipient.session.authorization.ask(topic, allowed => {
          if (allowed) accept(recipient)
          settle()
        })
        if (!asked) {
          recipient.session.overflow()
          settle()
        }
      }
    }
    for (const group of groups) {
      open++
      offerGroup(group, message, topic, accept, settle)
    }
    settle()
    if (open > 0) message.detach()
  }

  /** True if the queues together have room for a message. Checked before the first delivery: a refused message goes to no subscriber. */
  hasRoom(message: Message, topic: Topic): boolean {
    const { authorizations, queued, sessions, topics, turns } = this.#broker
    const { list, groups } = topics.recipients(topic)
    const room = queued.room - this.fanOuts.bytes
    const { size } = message
    if (authorizations.waiting > MOST_QUESTIONS) return false
    if ((list.length + groups.length) * size <= room) return true
    let need = groups.length * size
    const needs = new Map<string, number>()
    for (const { qos, session } of list) {
      if (qos === 0 || !(session.stored || session.outgoing.congested) || session.outgoing.bound) continue
      needs.set(session.account, (needs.get(session.account) ?? 0) + size)
    }
    // What an account's sessions cannot take for want of its share is their loss, not the publisher's.
    for (const [account, needed] of needs) need += Math.min(needed, queued.allowance(account) + size)
    if (need <= room) return true
    const missing = need
    turns.wait(() => sessions.idle.relieve(queued, missing, ({ outgoing }) => outgoing.bytes))
    return false
  }

  #send(message: Message, direct: readonly Recipient[], waiting: readonly (readonly [Session, Delivery])[], kept: boolean): void {
    for (const [, delivery] of waiting) {
      delivery.kept = true
      delivery.cancelled = !kept
    }
    const now = kept ? direct : []
    const give = (index: number): void => {
      const recipient = now[index]
      if (recipient) recipient.session.outgoing.deliver(message, recipient)
      else waiting[index - now.length]?.[0].outgoing.pump()
    }
    const length = now.length + waiting.length
    if (length > SHORT || (this.fanOuts.busy && this.fanOuts.has(message.topic))) {
      if (!this.fanOuts.add(message.topic, length, message.size, give, NOTHING)) message.detach()
    } else for (let index = 0; index < length; index++) give(index)
  }
}

/** Decisions about deliveries that may wait before further messages of QoS 1 and 2 are refused. */
const MOST_QUESTIONS = 100_000

/** Recipients of a message that get it at once. */
const SHORT = 512

const NOTHING = (): void => undefined

function offer(recipient: Recipient, message: Message, topic: Topic): void {
  const { session } = recipient
  const verdict = session.authorization.of(topic, recipient)
  if (verdict === ALLOWED) session.outgoing.deliver(message, recipient)
  else if (verdict === UNKNOWN) {
    let answered = false
    const asked = session.authorization.ask(topic, allowed => {
      answered = true
      // It is remembered with the recipient, too: a session remembers few topics.
      if (allowed && session.authorization.of(topic, recipient) !== DENIED) session.outgoing.deliver(message, recipient)
    })
    if (!asked) {
      if (Math.min(message.qos, recipient.qos) > 0) session.overflow()
      else session.drop()
    } else if (!answered) message.detach()
  }
}

/** Gives a message to the next member of a group that may have it. */
function offerGroup(
  group: SharedGroup,
  message: Message,
  topic: Topic,
  accept: (recipient: Recipient) => void,
  done: () => void,
  except: Set<Subscription> | null = null
): void {
  let chosen = false
  const choose = (member: Subscription | null): void => {
    chosen = true
    if (member !== null) accept(new Recipient([member]))
    done()
  }
  chooseMember(group, topic, choose, except)
  if (!chosen) message.detach()
}

/** Finds the next member of a group that may have a topic; one that may not is passed over, not served. Calls back once, with null when there is none. */
export function chooseMember(
  group: SharedGroup,
  topic: Topic,
  chosen: (member: Subscription | null) => void,
  except: Set<Subscription> | null = null
): void {
  let passed = except
  const pass = (member: Subscription): void => {
    passed ??= new Set()
    passed.add(member)
    next()
  }
  const next = (): void => {
    const member = group.pick(topic.name, passed)
    if (member === null) {
      chosen(null)
      return
    }
    const asked = member.session.authorization.ask(topic, allowed => {
      // A member that has left meanwhile takes nothing.
      if (allowed && group.members.includes(member)) chosen(member)
      else pass(member)
    })
    if (!asked) pass(member)
  }
  next()
}
