import type { Journal } from '../operation/journal.ts'
import { ALLOWED, DENIED, type StagedMessage, type Subscriber, UNKNOWN } from '../ports.ts'
import type { FanOuts } from './fan-outs.ts'
import type { Message } from './message.ts'
import { Recipient, type SharedGroup, type Subscription } from './subscription.ts'
import type { Topic, TopicTable } from './topic-table.ts'

/** The room in the queues of all sessions. */
export interface QueueRoom {
  /** Bytes. */
  readonly room: number
  /** Bytes that one account may still add, approximately. */
  allowance(account: string): number
  /** Frees so many bytes, if idle sessions can be ended for it. */
  relieve(missing: number): void
}

export interface ForwarderPorts {
  readonly topics: TopicTable
  readonly fanOuts: FanOuts
  readonly queues: QueueRoom
  /** Authorizations that wait to be decided. */
  readonly authorizations: { readonly waiting: number }
  readonly journal: Pick<Journal, 'together'>
}

/** Forwards messages to the sessions that have subscribed and are authorized (MQTT 5 section 4.5). No client waits for another. */
export class Forwarder {
  readonly #topics: TopicTable
  readonly #fanOuts: FanOuts
  readonly #queues: QueueRoom
  readonly #authorizations: { readonly waiting: number }
  readonly #journal: Pick<Journal, 'together'>

  constructor({ topics, fanOuts, queues, authorizations, journal }: ForwarderPorts) {
    this.#journal = journal
    this.#topics = topics
    this.#fanOuts = fanOuts
    this.#queues = queues
    this.#authorizations = authorizations
  }

  /** True if a message is forwarded in slices: it has many recipients, or follows one that has. */
  isLong(topic: Topic): boolean {
    const { list, groups } = this.#topics.recipients(topic)
    return list.length + groups.length > SHORT || (this.#fanOuts.busy && this.#fanOuts.has(topic.name))
  }

  /** Forwards a message now or in slices, and calls back. */
  relay(message: Message, topic: Topic, done: () => void): void {
    if (this.isLong(topic)) this.spread(message, topic, done)
    else {
      this.deliver(message, topic)
      done()
    }
  }

  /** Forwards a message in slices to the sessions that are subscribed now, and calls back. */
  spread(message: Message, topic: Topic, done: () => void): void {
    const { list, groups } = this.#topics.recipients(topic)
    const give = (index: number): void => {
      const recipient = list[index]
      const target = recipient?.session === message.publisher ? recipient?.own : recipient
      if (target) offer(target, message, topic)
      else if (recipient === undefined) offerGroup(groups[index - list.length] as SharedGroup, message, topic, deliverTo(message), NOTHING)
    }
    if (!this.#fanOuts.add(topic.name, list.length + groups.length, message.size, give, done)) message.detach()
  }

  /** Forwards a message now, only to sessions that pass `may` if it is given; returns their number. */
  deliver(message: Message, topic: Topic, may: ((session: Subscriber) => boolean) | null = null): number {
    const { list, groups } = this.#topics.recipients(topic)
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
      offerGroup(group, message, topic, deliverTo(message), NOTHING, passed)
    }
    return given
  }

  /**
   * Puts a message into the queues that the store keeps, and calls back when all of them have it. The callback gets a function that then
   * sends the message, or takes it out of the queues if the store has failed.
   */
  stage(message: Message, topic: Topic, staged: (send: (kept: boolean) => void) => void): void {
    const accepted: Recipient[] = []
    const accept = (recipient: Recipient): void => void accepted.push(recipient)
    let open = 1
    const settle = (): void => {
      if (--open === 0) this.#stageAll(message, topic, accepted, staged)
    }
    const { list, groups } = this.#topics.recipients(topic)
    const consider = (index: number): void => {
      const one = list[index]
      if (one === undefined) {
        open++
        offerGroup(groups[index - list.length] as SharedGroup, message, topic, accept, settle)
        return
      }
      const recipient = one.session === message.publisher ? one.own : one
      if (recipient === null) return
      const { authorization } = recipient.session
      const known = authorization.of(topic, recipient)
      if (known === ALLOWED) accept(recipient)
      else if (known === UNKNOWN) {
        open++
        const asked = authorization.ask(topic, allowed => {
          if (allowed) accept(recipient)
          settle()
        })
        if (!asked) {
          recipient.session.overflow()
          settle()
        }
      }
    }
    this.#walk(message, topic, list.length + groups.length, consider, settle)
    if (open > 0) message.detach()
  }

  /** All go into one write, with the acknowledgement of the publisher: otherwise a crash in between would deliver a QoS 2 message twice. */
  #stageAll(message: Message, topic: Topic, accepted: readonly Recipient[], staged: (send: (kept: boolean) => void) => void): void {
    const direct: Recipient[] = []
    const waiting: (readonly [Subscriber, StagedMessage])[] = []
    const stage = (index: number): void => {
      const recipient = accepted[index] as Recipient
      const { session } = recipient
      if (!session.stored || recipient.qos === 0) direct.push(recipient)
      else if (!session.ended) {
        const delivery = session.outgoing.stage(message, recipient)
        if (delivery) waiting.push([session, delivery])
      }
    }
    const done = (): void => staged(kept => this.#send(message, topic, direct, waiting, kept))
    if (accepted.length > SHORT) {
      const reserved = accepted.length * message.size
      this.#fanOuts.bytes += reserved
      message.detach()
      this.#journal.together(finished => {
        this.#fanOuts.bytes -= reserved
        this.#fanOuts.add(topic.name, accepted.length, message.size, stage, () => {
          done()
          finished()
        })
      })
    } else {
      for (let index = 0; index < accepted.length; index++) stage(index)
      done()
    }
  }

  /** True if the queues together have room for a message. Checked before the first delivery: a refused message goes to no subscriber. */
  hasRoom(message: Message, topic: Topic): boolean {
    const { list, groups } = this.#topics.recipients(topic)
    const room = this.#queues.room - this.#fanOuts.bytes
    const { size } = message
    if (this.#authorizations.waiting > MOST_AUTHORIZATIONS) return false
    if ((list.length + groups.length) * size <= room) return true
    let need = groups.length * size
    const needs = new Map<string, number>()
    for (const { qos, session } of list) {
      if (qos === 0 || !(session.stored || session.outgoing.congested) || session.outgoing.bound) continue
      needs.set(session.account, (needs.get(session.account) ?? 0) + size)
    }
    // A session whose account has used up its share loses the message; that does not refuse the publisher.
    for (const [account, needed] of needs) need += Math.min(needed, this.#queues.allowance(account) + size)
    if (need <= room) return true
    this.#queues.relieve(need)
    return false
  }

  #send(
    message: Message,
    topic: Topic,
    direct: readonly Recipient[],
    waiting: readonly (readonly [Subscriber, StagedMessage])[],
    kept: boolean
  ): void {
    const now = kept ? direct : []
    const give = (index: number): void => {
      const recipient = now[index]
      if (recipient) recipient.session.outgoing.deliver(message, recipient)
      else {
        const [session, delivery] = waiting[index - now.length] as readonly [Subscriber, StagedMessage]
        delivery.kept = true
        delivery.cancelled = !kept
        session.outgoing.pump()
      }
    }
    this.#walk(message, topic, now.length + waiting.length, give, NOTHING)
  }

  /** Calls `give` for each index and then `done`: at once, or in slices where there are many recipients or such a walk comes first. */
  #walk(message: Message, topic: Topic, length: number, give: (index: number) => void, done: () => void): void {
    if (length > SHORT || (this.#fanOuts.busy && this.#fanOuts.has(topic.name))) {
      if (!this.#fanOuts.add(topic.name, length, message.size, give, done)) message.detach()
      return
    }
    for (let index = 0; index < length; index++) give(index)
    done()
  }
}

/** Authorizations that may wait; with more, further messages of QoS 1 and 2 are refused. */
const MOST_AUTHORIZATIONS = 100_000

/** Most recipients of a message that is forwarded at once. */
const SHORT = 512

const NOTHING = (): void => undefined

const deliverTo =
  (message: Message) =>
  (recipient: Recipient): void =>
    recipient.session.outgoing.deliver(message, recipient)

function offer(recipient: Recipient, message: Message, topic: Topic): void {
  const { session } = recipient
  const known = session.authorization.of(topic, recipient)
  if (known === ALLOWED) session.outgoing.deliver(message, recipient)
  else if (known === UNKNOWN) {
    let answered = false
    const asked = session.authorization.ask(topic, allowed => {
      answered = true
      // The recipient remembers it, too: a session remembers few topics.
      if (allowed && session.authorization.of(topic, recipient) !== DENIED) session.outgoing.deliver(message, recipient)
    })
    if (!asked) {
      if (Math.min(message.qos, recipient.qos) > 0) session.overflow()
      else session.drop()
    } else if (!answered) message.detach()
  }
}

/** Gives a message to the next authorized member of a group. */
function offerGroup(
  group: SharedGroup,
  message: Message,
  topic: Topic,
  accept: (recipient: Recipient) => void,
  done: () => void,
  except: Set<Subscription> | null = null
): void {
  let chosen = false
  group.choose(
    topic,
    member => {
      chosen = true
      if (member !== null) accept(new Recipient([member]))
      done()
    },
    except
  )
  if (!chosen) message.detach()
}
