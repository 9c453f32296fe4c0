import { isUtf8 } from 'node:buffer'
import { type Context, changesState, type Host, isControlMethod, isUnrouted, reasonPhrase } from '@iopa/transport'
import { REASON } from '../../codec/reason-codes.ts'
import { isTopicName } from '../../topics/topic.ts'
import type { Operation } from '../operation/operation.ts'
import { DROPS } from '../operation/statistics.ts'
import type { Subscriber } from '../ports.ts'
import { ANONYMOUS } from '../session/identity.ts'
import { type Session, sessionOf } from '../session/session.ts'
import type { PendingWill } from '../session/wills.ts'
import { publishReasonOf } from '../status-codes.ts'
import type { Forwarder } from '../topics/forwarder.ts'
import { Message } from '../topics/message.ts'
import { NO_CHANGE, type RetainedMessages } from '../topics/retained-messages.ts'
import type { TopicTable } from '../topics/topic-table.ts'
import type { Admission } from './admission.ts'
import { Publication } from './publication.ts'
import { replyMessage } from './representation.ts'
import type { StateUpdates } from './state-updates.ts'

/** Where the messages come through, and go to. */
export interface PublishPorts {
  readonly host: Pick<Host, 'create' | 'run'>
  readonly admission: Admission
  readonly states: StateUpdates
  readonly topics: TopicTable
  readonly forwarder: Forwarder
  readonly retained: RetainedMessages
}

/** Runs each PUBLISH through the pipeline and applies the outcome: authorize, handle, store, acknowledge, forward (design: MQTT rulings). */
export class PublishHandler {
  readonly #ports: PublishPorts
  readonly #operation: Pick<Operation, 'settings' | 'clock' | 'turns' | 'journal' | 'statistics'>

  constructor(ports: PublishPorts, operation: Pick<Operation, 'settings' | 'clock' | 'turns' | 'journal' | 'statistics'>) {
    this.#ports = ports
    this.#operation = operation
  }

  /** Handles a message; its owner gets the outcome, at once if the pipeline is synchronous. */
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

  /** Publishes the will of a session in its name, and calls back when its handler has finished. */
  readonly publishWill = (session: Session, { message: will, messageExpiryInterval }: PendingWill, done: () => void): void => {
    const topic = this.#ports.topics.get(will.topic)
    if (topic === null) {
      done()
      return
    }
    const { clock, statistics } = this.#operation
    const { payload, qos, retain, properties } = will
    const expiresAt = messageExpiryInterval < 0 ? 0 : clock.elapsed() + messageExpiryInterval * 1000
    const message = Message.of(topic, { payload, qos, retain, properties, expiresAt, publisher: session })
    const publication = new Publication(session, topic, message, {
      scope: session.context,
      endpoint: session.context.endpoint,
      handled: () => undefined,
      done: ({ status, reason }) => {
        if (status >= 400) statistics.losses.note('a will is refused', `that of ${session.name}, ${status} ${reason}`)
        done()
      }
    })
    publication.isWill = true
    this.start(publication)
  }

  /** Checks the Response Topic of a request: no resource of the app, and a topic that the client may publish to. */
  #checkReply(publication: Publication, name: string): void {
    const topic = isTopicName(name) ? this.#ports.topics.get(name) : null
    if (topic === null || topic.name.startsWith('$')) {
      this.#refuse(publication, 404, 'The Response Topic is not a topic name.')
      return
    }
    // Without a route for the request another client answers it.
    if (!publication.topic.hasRoute) {
      this.#run(publication)
      return
    }
    if (topic.hasRoute) {
      this.#refuse(publication, 404, 'The Response Topic is a resource of this server; use one that no route covers.')
      return
    }
    const asked = publication.session.replyAuthorization.ask(topic, allowed => {
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
    const { admission } = this.#ports
    const { account } = publication.session
    if (admission.enter()) this.#begin(publication, method, false)
    else if (admission.enterAhead(account)) this.#begin(publication, method, true)
    else admission.wait(account, () => this.#begin(publication, method, false))
  }

  #begin(publication: Publication, method: string, ahead: boolean): void {
    const { host, states } = this.#ports
    const { turns } = this.#operation
    const { scope, topic, message, owner } = publication
    const { path } = topic
    const context = host.create({ method, path, query: '', rawPath: path, endpoint: owner.endpoint, source: publication }, scope)
    context['mqtt.Topic'] = message.topic
    context['mqtt.Qos'] = message.qos
    context['mqtt.Retain'] = message.retain
    context['mqtt.Dup'] = publication.dup
    if (publication.isWill) context['mqtt.IsWill'] = true
    // The whole body is needed only for an answer that is published to a Response Topic.
    const whole = !publication.headerless && publication.setReplyKeys(context) ? 'all' : false
    states.recent = topic
    let inside = true
    host.run(
      context,
      () => {
        // Many handlers may end in one turn of the event loop, and what follows takes several turns then.
        if (inside || turns.take()) this.#ended(publication, context, ahead)
        else turns.wait(() => this.#ended(publication, context, ahead))
      },
      whole
    )
    inside = false
  }

  #ended(publication: Publication, context: Context, ahead: boolean): void {
    const { admission, states } = this.#ports
    const { topic, message } = publication
    if (ahead) admission.leaveAhead(publication.session.account)
    else admission.leave()
    const answer = context.response
    const { ok, status } = answer
    const method = context['iopa.Method']
    const unrouted = status === 404 && isUnrouted(context)
    if (unrouted || (publication.asksToRelay && ok)) {
      void context.end()
      // The method named says nothing about the effect of relaying on others: a second run asks for that, and alone decides (ruling f).
      if (unrouted && method !== publication.effect && topic.routable) {
        publication.asksToRelay = true
        this.#admit(publication, publication.effect)
      } else this.#relay(publication)
      return
    }
    publication.status = status
    if (!ok) {
      publication.reasonCode = publishReasonOf(status)
      publication.reason = answer.error?.detail || reasonPhrase(status)
    }
    const responseTopic = publication.headerless ? undefined : publication.properties.responseTopic
    // Before the request is acknowledged.
    if (responseTopic !== undefined && !publication.asksToRelay) this.#reply(publication, context, responseTopic)
    const changed = ok && (method === publication.effect || changesState(method))
    void context.end()
    // Without a GET route subscribers get the payload; with one, the app is the truth and notifies them (rulings d and e).
    if (changed && !topic.answersGet) this.#withoutGetRoute(publication)
    else if (changed && message.qos > 0 && this.#operation.journal.active) states.whenQueued(topic, () => this.#settle(publication))
    else this.#settle(publication)
  }

  /** Publishes the answer of the app to the Response Topic, for the sessions that may have it. */
  #reply(publication: Publication, context: Context, responseTopic: string): void {
    const { topics, forwarder } = this.#ports
    const { settings, statistics } = this.#operation
    const topic = topics.get(responseTopic)
    if (topic === null) return
    const { session } = publication
    const may = settings.replies === 'subscribers' ? null : (subscriber: Subscriber) => isSameUser(sessionOf(subscriber), session)
    if (forwarder.deliver(replyMessage(topic, publication, context), topic, may) > 0) return
    statistics.drop('no-recipient')
    statistics.losses.note(DROPS['no-recipient'], topic.name)
  }

  /** Middleware without a route may have handled the message, and may answer GET as well: that is tried once. */
  #withoutGetRoute(publication: Publication): void {
    const { session, topic } = publication
    const { states, topics } = this.#ports
    if (topic.hasRoute || session.ended || topics.recipients(topic).empty) {
      this.#relay(publication)
      return
    }
    void states.get(session, topic).then(answer => {
      if (!answer?.ok) {
        this.#relay(publication)
        return
      }
      topic.answersGet = true
      states.add(topic)
      states.refresh(topic, session)
      states.whenQueued(topic, () => this.#settle(publication))
    })
  }

  /** Retains, acknowledges and forwards a message unchanged. */
  #relay(publication: Publication): void {
    const { message, topic } = publication
    const { forwarder, topics } = this.#ports
    const { journal, statistics } = this.#operation
    if (message.qos > 0 && !forwarder.hasRoom(message, topic)) {
      statistics.losses.note('a message is refused, for the queues of all clients are full', topic.name)
      this.#refuse(publication, 429, 'The queues of this server are full.')
      return
    }
    if (message.retain) message.account = publication.session.account
    const before = message.retain ? this.#ports.retained.publish(message) : NO_CHANGE
    if (before === null) statistics.losses.note('a message is not retained, for there is no room', topic.name)
    if (before === null && message.qos > 0) {
      this.#refuse(publication, 429, 'There is no room for a further retained message.')
      return
    }
    if (message.qos > 0 && publication.status === 0 && topics.recipients(topic).empty) publication.reasonCode = REASON.NO_MATCHING_SUBSCRIBERS
    if (journal.active && message.qos > 0) {
      forwarder.stage(message, topic, send =>
        this.#settle(publication, kept => {
          if (!kept) before?.()
          send(kept)
        })
      )
      return
    }
    // A message that is forwarded over several turns is acknowledged after that, so that its publisher waits.
    if (forwarder.isLong(topic)) {
      forwarder.spread(message, topic, () => publication.owner.done(publication))
      publication.owner.handled(publication)
      return
    }
    // The next message to the topic begins after this one was forwarded: messages keep their order (MQTT 5 section 4.6).
    publication.owner.done(publication)
    forwarder.deliver(message, topic)
    publication.owner.handled(publication)
  }

  /** Acknowledges when the store has kept all effects of the message; `then` is called after that. */
  #settle(publication: Publication, then?: (kept: boolean) => void): void {
    const { journal } = this.#operation
    const { session, message, packetId } = publication
    if (!journal.active || message.qos === 0) {
      publication.owner.done(publication)
      then?.(true)
      publication.owner.handled(publication)
      return
    }
    if (message.qos === 2 && publication.reasonCode < REASON.UNSPECIFIED_ERROR) session.receipts.store(packetId, publication.reasonCode)
    journal.kept(kept => {
      if (!kept) {
        publication.status = 500
        publication.reasonCode = REASON.UNSPECIFIED_ERROR
      }
      publication.owner.done(publication)
      then?.(kept)
    })
    // The records of this message are queued for the store: the next message to the topic may begin.
    publication.owner.handled(publication)
  }

  #refuse(publication: Publication, status: number, reason: string): void {
    publication.status = status
    publication.reasonCode = publishReasonOf(status)
    publication.reason = reason
    publication.owner.handled(publication)
    publication.owner.done(publication)
  }
}

/** True for sessions of one user; without a user, for one session (design: MQTT rulings g). */
const isSameUser = (session: Session, asker: Session): boolean => (asker.user === ANONYMOUS ? session === asker : session.user === asker.user)

/** A method is a token (RFC 9110 section 9.1). */
const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}$/
