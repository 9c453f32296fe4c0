import { type Change, type Context, isIopaError, type SealedAnswer } from '@iopa/transport'
import { encodeMessageProperties } from '../codec/message-properties.ts'
import { asBuffer } from '../codec/utf8.ts'
import { topicOf } from '../topics/topic.ts'
import type { Broker } from './broker.ts'
import { chooseMember } from './distribution.ts'
import { MqttEndpoint } from './endpoint.ts'
import { Message } from './message.ts'
import { observeTopic } from './observed-topic.ts'
import { Recipient } from './recipients.ts'
import type { Session } from './session.ts'
import type { Topic } from './topic-table.ts'

/** A state that a session is being told: while it is read once, further changes only say that it is to be read once more. */
interface Feed {
  recipient: Recipient
  dirty: boolean
  readonly told: (() => void)[]
}

/** Tells subscribers of the changes of paths, whichever protocol made them (design: observation, MQTT rulings d and e). */
export class States {
  readonly #broker: Broker
  readonly #feeds = new Map<Session, Map<string, Feed>>()
  /** Topic whose handler is running right now; its change is the most likely one to come. */
  running: Topic | null = null

  constructor(broker: Broker) {
    this.#broker = broker
  }

  readonly changed = ({ path, origin }: Change): void => {
    const topic = this.#topicOf(path)
    const own = origin !== null && isChangeOf(origin, path)
    const publisher = origin?.endpoint instanceof MqttEndpoint ? origin.endpoint : null
    if (topic !== null) {
      if (topic.answersGet) this.#tell(topic, publisher)
      // Without a GET route, the code that handles the PUBLISH delivers its payload.
      else if (publisher === null || !own) this.refresh(topic, publisher?.session ?? null)
    }
    // Middleware has rewritten the path: the state is read under the name that was asked for, too.
    if (!own || origin.requestedPath === path) return
    const asked = this.#topicOf(origin.requestedPath)
    // Whether a topic that is published to answers GET is found out by who handles the PUBLISH.
    if (asked !== null && (asked.answersGet || (publisher === null && topic?.answersGet === true))) this.#tell(asked, publisher)
  }

  #tell(topic: Topic, publisher: MqttEndpoint | null): void {
    this.#broker.notified.add(topic.name)
    this.refresh(topic, publisher?.session ?? null)
  }

  /** The topic of a path that a route may have; null where there is none. */
  #topicOf(path: string): Topic | null {
    const topic = this.running !== null && this.running.path === path ? this.running : path.length > 1 ? this.#broker.topics.get(topicOf(path)) : null
    return topic?.routable === true ? topic : null
  }

  /** Has everybody told who has subscribed to a state that changed, unless the core tells them; `publisher` is who changed it. */
  refresh(topic: Topic, publisher: Session | null): void {
    const recipients = this.#broker.topics.recipients(topic)
    if (recipients.empty) return
    for (const recipient of recipients.list) {
      const target = recipient.session === publisher ? recipient.own : recipient
      if (target !== null) this.#refresh(topic, target)
    }
    for (const group of recipients.groups) {
      chooseMember(group, topic, member => {
        if (member) this.feed(member.session, topic, new Recipient([member]))
      })
    }
  }

  /** Reads the state for a session and tells it; changes meanwhile are read once more. */
  feed(session: Session, topic: Topic, recipient: Recipient): void {
    let feeds = this.#feeds.get(session)
    if (!feeds) this.#feeds.set(session, (feeds = new Map()))
    const running = feeds.get(topic.name)
    if (running) {
      running.dirty = true
      running.recipient = recipient
      return
    }
    const feed: Feed = { recipient, dirty: false, told: [] }
    feeds.set(topic.name, feed)
    this.#run(session, topic, feed)
  }

  /** The answer to a GET of a topic in the name of a session; null when none could be had. */
  read(session: Session, topic: Topic): Promise<SealedAnswer | null> {
    const { host } = this.#broker
    return host.represent(topic.path, session.context).catch((error: unknown) => {
      host.logger.error(`iopa: ${topic.path} could not be read for an MQTT client`, error)
      return null
    })
  }

  /** Sends a session the representation that this answer is; 404 and 410 are an empty payload, anything else is nothing. */
  tell(session: Session, topic: Topic, answer: SealedAnswer, recipient: Recipient | null): void {
    if (recipient === null || session.ended) return
    const message = this.messageOf(topic, answer)
    if (message) session.deliveries.give(message, recipient.qos, false, recipient.identifiers, true)
  }

  /** The answer as a message to the topic's subscribers, or null when there is nothing to tell them. */
  messageOf(topic: Topic, answer: SealedAnswer): Message | null {
    if (answer.ok) {
      const properties = representationProperties(answer)
      return Message.of(topic.name, topic.bytes, asBuffer(answer.payloadBytes), 2, false, properties, 0, null)
    }
    const gone = (answer.status === 404 && !isNoRoute(answer)) || answer.status === 410
    if (!gone) return null
    const properties = encodeMessageProperties({ userProperties: [['status', String(answer.status)]] })
    return Message.of(topic.name, topic.bytes, Buffer.alloc(0), 2, false, properties, 0, null)
  }

  /** Calls back when every session that a store keeps has been told of the last change of this topic. */
  whenTold(topic: Topic, done: () => void): void {
    let open = 1
    const settle = (): void => {
      if (--open === 0) done()
    }
    for (const [session, feeds] of this.#feeds) {
      const feed = session.stored ? feeds.get(topic.name) : undefined
      if (!feed) continue
      open++
      feed.told.push(settle)
    }
    settle()
  }

  #refresh(topic: Topic, recipient: Recipient): void {
    const { session } = recipient
    const observed = session.observed?.get(topic.name)
    if (observed && !session.stored) return
    const exact = session.subscriptions.get(topic.name)
    if (observed || !exact || exact.noLocal) this.feed(session, topic, recipient)
    else observeTopic(session, topic, answer => this.tell(session, topic, answer, recipient))
  }

  #run(session: Session, topic: Topic, feed: Feed): void {
    const asked = session.verdicts.ask(topic, allowed => {
      if (!allowed || session.ended) {
        this.#finish(session, topic, feed)
        return
      }
      feed.dirty = false
      void this.read(session, topic).then(answer => {
        if (answer) this.tell(session, topic, answer, feed.recipient)
        if (feed.dirty && !session.ended) this.#run(session, topic, feed)
        else this.#finish(session, topic, feed)
      })
    })
    if (!asked) this.#finish(session, topic, feed)
  }

  #finish(session: Session, topic: Topic, feed: Feed): void {
    const feeds = this.#feeds.get(session)
    feeds?.delete(topic.name)
    if (feeds?.size === 0) this.#feeds.delete(session)
    for (const told of feed.told) told()
  }
}

/** True when the change is that of the request itself and not of a path that its handler named. */
const isChangeOf = (origin: Context, path: string): boolean =>
  origin.response.resource === path || origin['iopa.PathBase'] + origin['iopa.Path'] === path

/** True when no route has answered. */
const isNoRoute = (answer: SealedAnswer): boolean => isIopaError(answer.error) && answer.error.code === 'no-route'

/** Content type and headers of an answer, as properties of a message. */
export function representationProperties(
  answer: SealedAnswer,
  further: readonly (readonly [string, string])[] = [],
  correlationData?: Uint8Array
): Buffer {
  const pairs = answer.headerPairs
  const userProperties: (readonly [string, string])[] = [...further]
  for (let at = 0; at < pairs.length; at += 2) userProperties.push([pairs[at] as string, pairs[at + 1] as string])
  const { type } = answer
  if (correlationData === undefined) return encodeMessageProperties(type === '' ? { userProperties } : { contentType: type, userProperties })
  return encodeMessageProperties(type === '' ? { correlationData, userProperties } : { contentType: type, correlationData, userProperties })
}
