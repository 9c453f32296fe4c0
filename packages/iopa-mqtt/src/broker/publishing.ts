import { isUtf8 } from 'node:buffer'
import { type Context, changesState, IopaError, isControlMethod, isUnrouted, reasonPhrase } from '@iopa/transport'
import { REASON } from '../codec/reason-codes.ts'
import { isTopicName } from '../topics/topic.ts'
import type { Broker } from './broker.ts'
import type { Message } from './message.ts'
import type { Publication } from './publication.ts'
import { publishReply } from './replies.ts'
import { publishReasonOf } from './status.ts'
import type { Topic } from './topic-table.ts'

/** Runs a PUBLISH through the pipeline and does what its outcome says: authorise, handle, store, acknowledge, deliver (design: MQTT rulings). */
export class Publishing {
  readonly #broker: Broker

  constructor(broker: Broker) {
    this.#broker = broker
  }

  /** Puts a message to work; its owner hears the outcome, at once where the pipeline is synchronous. */
  start(publication: Publication): void {
    const { message, topic } = publication
    if (!topic.routable && topic.name.startsWith('$')) {
      publication.dropped = true
      this.#refuse(publication, 403, 'Topics that begin with $ belong to the broker.')
      return
    }
    if (message.properties.length > 0) {
      const { payloadFormatIndicator, responseTopic } = publication.properties
      if (payloadFormatIndicator === true && !isUtf8(message.payload)) {
        this.#refuse(publication, 400, 'The payload is said to be UTF-8 and is not.')
        return
      }
      if (responseTopic !== undefined) {
        this.#checkReply(publication, responseTopic)
        return
      }
    }
    this.#run(publication)
  }

  /** The answer to a request goes where the app may not be impersonated and its sender may write. */
  #checkReply(publication: Publication, name: string): void {
    const topic = isTopicName(name) ? this.#broker.topics.get(name) : null
    if (topic === null || topic.name.startsWith('$')) {
      this.#refuse(publication, 404, 'The Response Topic is not a topic name.')
      return
    }
    // Without a route for the request nobody answers it here: it is a matter between clients.
    if (!publication.topic.hasRoute) {
      this.#run(publication)
      return
    }
    if (topic.hasRoute) {
      this.#refuse(publication, 404, 'The Response Topic is a resource of this server; use one that no route covers.')
      return
    }
    const asked = publication.session.replyVerdicts.ask(topic, allowed => {
      if (allowed) this.#run(publication)
      else this.#refuse(publication, 403, 'You may not publish to the Response Topic.')
    })
    if (!asked) this.#refuse(publication, 503, 'Too many requests wait for the same decision.')
  }

  #run(publication: Publication): void {
    const method = publication.method
    if (publication.namesMethod && (isControlMethod(method) || !METHOD.test(method))) {
      this.#refuse(publication, 400, `'${method.slice(0, 20)}' is not a method that a message may ask for.`)
      return
    }
    this.#admit(publication, method)
  }

  #admit(publication: Publication, method: string): void {
    const { admission } = this.#broker
    const { account } = publication.session
    if (admission.enter()) this.#begin(publication, method, false)
    else if (admission.enterAhead(account)) this.#begin(publication, method, true)
    else admission.wait(account, () => this.#begin(publication, method, false))
  }

  #begin(publication: Publication, method: string, ahead: boolean): void {
    const { host, states, turns } = this.#broker
    const { parent, topic } = publication
    const { path } = topic
    const context = host.create({ method, path, query: '', rawPath: path, endpoint: parent.endpoint, source: publication }, parent)
    publication.describe(context)
    const outer = states.running
    states.running = topic
    // Only what is published to a Response Topic is needed.
    const whole = publication.properties.responseTopic === undefined ? false : 'all'
    let inside = true
    host.run(
      context,
      () => {
        // Many handlers may end in one turn of the event loop, and what they bring about takes several.
        if (inside || turns.take()) this.#ended(publication, context, ahead)
        else turns.wait(() => this.#ended(publication, context, ahead))
      },
      whole
    )
    inside = false
    states.running = outer
  }

  #ended(publication: Publication, context: Context, ahead: boolean): void {
    const { admission } = this.#broker
    if (ahead) admission.leaveAhead(publication.session.account)
    else admission.leave()
    this.#finished(publication, context)
  }

  #finished(publication: Publication, context: Context): void {
    const answer = context.response
    const unrouted = answer.status === 404 && isUnrouted(context)
    if (unrouted || (publication.asksToRelay && answer.ok)) {
      const method = context['iopa.Method']
      void context.end()
      // The method named has said nothing about what relaying does to others: that is asked for, and alone decides (ruling f).
      if (unrouted && method !== publication.effect && publication.topic.routable) {
        publication.asksToRelay = true
        this.#admit(publication, publication.effect)
      } else this.#relay(publication)
      return
    }
    publication.status = answer.status
    publication.reasonCode = publishReasonOf(answer.status)
    if (!answer.ok) publication.reason = answer.error?.detail || reasonPhrase(answer.status)
    const { responseTopic } = publication.properties
    // Before the request is acknowledged.
    if (responseTopic !== undefined && !publication.asksToRelay) publishReply(this.#broker, publication, context, responseTopic)
    this.#handled(publication, context)
  }

  #handled(publication: Publication, context: Context): void {
    const { topic, message } = publication
    const { journal, states } = this.#broker
    const changed = context.response.ok && changesState(context['iopa.Method'])
    void context.end()
    // Without a GET route it is the payload that subscribers get; with one, the app is the truth and tells them (rulings d and e).
    if (changed && !topic.answersGet) this.#withoutGetRoute(publication)
    else if (changed && journal.active && message.qos > 0) states.whenTold(topic, () => this.#settle(publication))
    else this.#settle(publication)
  }

  /** Something other than a route may have handled the message, and may answer GET as well: that is tried once. */
  #withoutGetRoute(publication: Publication): void {
    const { session, topic } = publication
    const { notified, states, topics } = this.#broker
    if (topic.hasRoute || session.ended || topics.recipients(topic).empty) {
      this.#relay(publication)
      return
    }
    void states.read(session, topic).then(answer => {
      if (!answer?.ok) {
        this.#relay(publication)
        return
      }
      topic.answersGet = true
      notified.add(topic.name)
      states.refresh(topic, session)
      states.whenTold(topic, () => this.#settle(publication))
    })
  }

  /** Stores, acknowledges and delivers a message as it is. */
  #relay(publication: Publication): void {
    const { message, topic } = publication
    const { distribution, journal, topics } = this.#broker
    if (message.qos > 0 && !distribution.hasRoom(message, topic)) {
      this.#broker.losses.note('a message is refused, for the queues of all clients are full', topic.name)
      this.#refuse(publication, 429, 'The queues of this server are full.')
      return
    }
    if (message.retain) message.account = publication.session.account
    const before = message.retain ? this.retain(message) : NOTHING_RETAINED
    if (before === null) this.#broker.losses.note('a message is not retained, for there is no room', topic.name)
    if (before === null && message.qos > 0) {
      this.#refuse(publication, 429, 'There is no room for a further retained message.')
      return
    }
    if (message.qos > 0 && publication.status === 0 && topics.recipients(topic).empty) publication.reasonCode = REASON.NO_MATCHING_SUBSCRIBERS
    if (journal.active && message.qos > 0) {
      distribution.stage(message, topic, send =>
        this.#settle(publication, kept => {
          if (!kept) before?.()
          send(kept)
        })
      )
      return
    }
    // What takes several turns is acknowledged after that, so that its sender waits.
    if (distribution.isLong(topic)) {
      distribution.spread(message, topic, () => publication.owner.done(publication))
      publication.owner.handled(publication)
      return
    }
    // The next message to the topic begins when this one is on its way: they are delivered in the order in which they came (MQTT 5 section 4.6).
    publication.owner.done(publication)
    distribution.deliver(message, topic)
    publication.owner.handled(publication)
  }

  /** Stores and delivers a message of the app; `done` says whether everything is kept that is to be. @throws IopaError 503 when there is no room */
  share(message: Message, topic: Topic, done: (kept: boolean) => void): void {
    const { distribution, flusher, journal } = this.#broker
    if (message.qos > 0 && !distribution.hasRoom(message, topic)) throw new IopaError(503, 'queues-full', 'The queues of this server are full.')
    const before = message.retain ? this.retain(message) : NOTHING_RETAINED
    if (before === null) throw new IopaError(503, 'too-many-retained', 'There is no room for a further retained message.')
    if (!journal.active || (message.qos === 0 && !message.retain)) {
      distribution.relay(message, topic, () => done(true))
      return
    }
    distribution.stage(message, topic, send =>
      journal.kept(kept => {
        flusher.batch(() => {
          if (!kept) before()
          send(kept)
        })
        done(kept)
      })
    )
  }

  /** Acknowledges when everything that the message brought about is kept; `then` comes after that. */
  #settle(publication: Publication, then?: (kept: boolean) => void): void {
    const { journal } = this.#broker
    const { session, message, packetId } = publication
    if (!journal.active || message.qos === 0) {
      publication.owner.done(publication)
      then?.(true)
      publication.owner.handled(publication)
      return
    }
    if (message.qos === 2 && session.stored && publication.reasonCode < REASON.UNSPECIFIED_ERROR) {
      journal.add({ kind: 'received', clientId: session.key, packetId, value: { reasonCode: publication.reasonCode } })
    }
    journal.kept(kept => {
      if (!kept) {
        publication.status = 500
        publication.reasonCode = REASON.UNSPECIFIED_ERROR
      }
      publication.owner.done(publication)
      then?.(kept)
    })
    // After this message has its place among what the store keeps: the next one to the topic may be handled at once.
    publication.owner.handled(publication)
  }

  /**
   * Keeps a message for later subscribers, or with an empty payload forgets the one before. Returns what takes that back when the
   * store fails; null when there is no room.
   */
  retain(message: Message): (() => void) | null {
    const { retained, journal, elapsed } = this.#broker
    const { topic } = message
    const before = journal.active ? retained.get(topic, elapsed()) : undefined
    if (message.isEmpty) {
      if (retained.delete(topic)) journal.add({ kind: 'retained', topic, value: null })
    } else {
      if (!retained.set(message)) return null
      if (journal.active) journal.add({ kind: 'retained', topic, value: { ...message.toStored(), account: message.account } })
    }
    if (!journal.active) return NOTHING_RETAINED
    const after = message.isEmpty ? undefined : message
    return () => {
      // A later message that came meanwhile stays.
      if (retained.get(topic, elapsed()) !== after) return
      retained.delete(topic)
      if (before) retained.restore(before)
    }
  }

  #refuse(publication: Publication, status: number, reason: string): void {
    publication.status = status
    publication.reasonCode = publishReasonOf(status)
    publication.reason = reason
    publication.owner.handled(publication)
    publication.owner.done(publication)
  }
}

const NOTHING_RETAINED = (): void => undefined

/** A method is a token (RFC 9110 section 9.1). */
const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}$/
