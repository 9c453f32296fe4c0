import { type Context, type Host, isUnrouted, type SealedAnswer } from '@iopa/transport'
import { encodeSubscriptionAcknowledgement } from '../../codec/packet-encoder.ts'
import { PACKET } from '../../codec/packet-types.ts'
import type { SubscribePacket, SubscriptionRequest, UnsubscribePacket } from '../../codec/packets.ts'
import { ProtocolError } from '../../codec/protocol-error.ts'
import { REASON } from '../../codec/reason-codes.ts'
import { hasWildcard, isTopicFilter, levelCount, parseSharedFilter, pathOf } from '../../topics/topic.ts'
import type { ClientEvents } from '../operation/client-events.ts'
import type { Operation } from '../operation/operation.ts'
import type { ClientConnection } from '../ports.ts'
import type { Session } from '../session/session.ts'
import { isPassing, isRefusal, subscribeReasonOf } from '../status-codes.ts'
import type { Subscription } from '../topics/subscription.ts'
import type { SubscriptionTable } from '../topics/subscription-table.ts'
import type { TopicTable } from '../topics/topic-table.ts'
import { HeaderSource, headersOf } from './publication.ts'
import { stateMessage } from './representation.ts'
import type { Requests } from './requests.ts'
import type { TopicObservations } from './topic-observations.ts'

export interface SubscribePorts {
  readonly host: Pick<Host, 'run'>
  readonly requests: Requests
  readonly topics: TopicTable
  readonly subscriptions: SubscriptionTable
  readonly observations: TopicObservations
  /** True if a session may have one more subscription, if necessary after idle sessions have ended. */
  readonly hasRoom: (session: Session) => boolean
}

/** The outcome of one filter of a SUBSCRIBE: its code, and what is sent after SUBACK. */
interface Granted {
  readonly code: number
  readonly first?: () => void
}

/** Runs each filter of SUBSCRIBE and UNSUBSCRIBE through the pipeline, and acknowledges a packet when all of its filters are done. */
export class SubscribeHandler {
  readonly #ports: SubscribePorts
  readonly #operation: Pick<Operation, 'settings' | 'turns' | 'batches' | 'journal' | 'events'>

  constructor(ports: SubscribePorts, operation: Pick<Operation, 'settings' | 'turns' | 'batches' | 'journal' | 'events'>) {
    this.#ports = ports
    this.#operation = operation
  }

  /** SUBSCRIBE (MQTT 5 section 3.8). */
  subscribe(connection: ClientConnection, session: Session, packet: SubscribePacket): void {
    const { settings, batches, journal, events } = this.#operation
    const { subscriptions } = this.#ports
    if (connection.version < 5) assertFilters(packet.subscriptions.map(({ filter }) => filter))
    const results: Granted[] = []
    let open = packet.subscriptions.length
    this.#sliced(connection, packet.subscriptions, (request, index) => {
      const settle = (granted: Granted): void => {
        results[index] = granted
        if (--open > 0) return
        const codes = results.map(result => result.code)
        journal.kept(kept => {
          batches.batch(() => {
            if (!kept) {
              codes.fill(REASON.UNSPECIFIED_ERROR)
              for (const { filter } of packet.subscriptions) subscriptions.remove(session, filter)
            }
            if (session.connection === connection)
              connection.sender.send(encodeSubscriptionAcknowledgement(connection.version, PACKET.SUBACK, packet.packetId, codes))
            if (kept) for (const { first } of results) first?.()
            if (kept && events.active) noteSubscribed(events, session, packet, codes)
          })
        })
      }
      // Filters beyond the limit of a session are not looked at, so that a packet full of equal filters costs little.
      if (index < settings.maxSubscriptionsPerSession) this.#grant(connection, session, packet, request, settle)
      else settle({ code: connection.version < 5 ? REASON.UNSPECIFIED_ERROR : REASON.QUOTA_EXCEEDED })
    })
  }

  /** UNSUBSCRIBE (MQTT 5 section 3.10). */
  unsubscribe(connection: ClientConnection, session: Session, packet: UnsubscribePacket): void {
    const { host, subscriptions } = this.#ports
    if (connection.version < 5) assertFilters(packet.filters)
    const codes: number[] = []
    let open = packet.filters.length
    const settle = (index: number, code: number): void => {
      codes[index] = code
      if (--open > 0) return
      this.#operation.journal.kept(kept => {
        if (session.connection !== connection) return
        if (!kept) codes.fill(REASON.UNSPECIFIED_ERROR)
        // Before MQTT 5 an UNSUBACK has no reason code (3.1.1 section 3.11).
        if (!kept && connection.version < 5) connection.disconnectSilently()
        else connection.sender.send(encodeSubscriptionAcknowledgement(connection.version, PACKET.UNSUBACK, packet.packetId, codes))
      })
    }
    this.#sliced(connection, packet.filters, (filter, index) => {
      const context = this.#contextOf(connection, 'UNSUBSCRIBE', filter, packet.userProperties)
      if (context === null) {
        settle(index, REASON.TOPIC_FILTER_INVALID)
        return
      }
      host.run(context, () => {
        const { status } = context.response
        const refused = status >= 300 && !isUnrouted(context)
        void context.end()
        if (refused) settle(index, status === 401 || status === 403 ? REASON.NOT_AUTHORIZED : REASON.UNSPECIFIED_ERROR)
        else if (subscriptions.remove(session, filter)) {
          this.#operation.events.note('unsubscribed', session, { filter })
          settle(index, REASON.SUCCESS)
        } else settle(index, REASON.NO_SUBSCRIPTION_EXISTED)
      })
    })
  }

  /** Does something for each filter of a packet, a bounded number per turn of the event loop; the next packets of the connection wait. */
  #sliced<Item>(connection: ClientConnection, items: readonly Item[], work: (item: Item, index: number) => void): void {
    const { turns } = this.#operation
    let index = 0
    let held = false
    const go = (): void => {
      while (index < items.length) {
        if (!turns.take()) {
          if (!held) connection.hold(true)
          held = true
          turns.wait(go)
          return
        }
        work(items[index] as Item, index++)
      }
      if (held) connection.hold(false)
    }
    go()
  }

  /** Asks for one filter, adds the subscription and finds its first message. */
  #grant(
    connection: ClientConnection,
    session: Session,
    packet: SubscribePacket,
    request: SubscriptionRequest,
    done: (granted: Granted) => void
  ): void {
    const { host, subscriptions, hasRoom } = this.#ports
    const { limits, maxTopicLength } = this.#operation.settings
    const { version } = connection
    const failed = (code: number): void => done({ code: version < 5 ? REASON.UNSPECIFIED_ERROR : code })
    const { filter } = request
    const context =
      levelCount(filter) > limits.pathSegments + 2 || Buffer.byteLength(filter) > maxTopicLength
        ? null
        : this.#contextOf(connection, 'SUBSCRIBE', filter, packet.userProperties)
    if (context === null) {
      failed(REASON.TOPIC_FILTER_INVALID)
      return
    }
    context['mqtt.Qos'] = request.qos
    host.run(context, () => {
      const { status } = context.response
      const unhandled = isUnrouted(context)
      const qos = context['mqtt.Qos'] ?? request.qos
      void context.end()
      if (status >= 300 && !unhandled) {
        done({ code: subscribeReasonOf(status, version) })
        return
      }
      const before = session.subscriptions.get(filter)
      const fits = before !== undefined || hasRoom(session)
      if (session.ended || !fits) {
        failed(REASON.QUOTA_EXCEEDED)
        return
      }
      const subscription = subscriptions.add(session, filter, {
        // Middleware may lower the QoS that was asked for, not raise it.
        qos: Math.max(0, Math.min(request.qos, qos)),
        noLocal: request.noLocal || connection.bridge,
        retainAsPublished: request.retainAsPublished || connection.bridge,
        retainHandling: request.retainHandling,
        identifier: packet.subscriptionIdentifier
      })
      subscriptions.keep(session, subscription)
      const wantsFirst = subscription.group === null && (request.retainHandling === 0 || (request.retainHandling === 1 && !before))
      if (subscription.group === null && !hasWildcard(filter)) this.#readFirst(session, subscription, wantsFirst, done)
      else done({ code: subscription.qos, ...(wantsFirst ? { first: () => session.initial.add(subscription, true) } : {}) })
    })
  }

  /** A subscription without wildcards begins with a GET of its topic: it authorizes the session, and is the first message. */
  #readFirst(session: Session, subscription: Subscription, wantsFirst: boolean, done: (granted: Granted) => void): void {
    const { host, requests, topics, subscriptions, observations } = this.#ports
    const { filter, qos, identifiers } = subscription
    const isCurrent = (): boolean => session.subscriptions.get(filter) === subscription
    const topic = topics.get(filter)
    if (topic === null) {
      subscriptions.remove(session, filter)
      done({ code: REASON.TOPIC_FILTER_INVALID })
      return
    }
    const retained = (): void => session.initial.add(subscription, false)
    const answered = (answer: SealedAnswer): void => {
      const { status } = answer
      if (isRefusal(status) || isPassing(status)) {
        if (isCurrent()) subscriptions.remove(session, filter)
        done({ code: subscribeReasonOf(status === 503 ? 429 : status, session.version) })
      } else if (!wantsFirst) done({ code: qos })
      else if (!answer.ok) done({ code: qos, first: retained })
      else {
        const message = stateMessage(topic, answer)
        done({ code: qos, first: () => message && isCurrent() && session.outgoing.give(message, qos, true, identifiers, true) })
      }
    }
    const observe = (): void =>
      observations.observe(session, topic, answer => {
        // Observers do not learn who made a change, so changes by this client could not be left out.
        if (subscription.noLocal) session.unobserve(filter)
        answered(answer)
      })
    if (topic.hasRoute) {
      observe()
      return
    }
    // Most topics without a route are plain topics; one that answers nevertheless, such as a file, is observed.
    const context = requests.read(session, topic)
    host.run(context, () => {
      const answer = context.response
      void context.end()
      if (answer.ok && topic.routable) observe()
      else {
        session.authorization.conclude(topic, answer.status)
        if (answer.ok) done({ code: qos, ...(wantsFirst ? { first: retained } : {}) })
        else answered(answer)
      }
    })
  }

  /** A context for one filter, with the path of the filter; null if the filter is malformed. */
  #contextOf(
    { context: parent, endpoint }: ClientConnection,
    method: 'SUBSCRIBE' | 'UNSUBSCRIBE',
    filter: string,
    userProperties: SubscribePacket['userProperties']
  ): Context | null {
    if (!isTopicFilter(filter) || parent === null || endpoint === null) return null
    const path = pathOf(parseSharedFilter(filter)?.filter ?? filter)
    const source = userProperties.length === 0 ? null : new HeaderSource(headersOf(userProperties))
    const context = this.#ports.requests.control(method, path, endpoint, source, parent)
    context['mqtt.Filter'] = filter
    return context
  }
}

function noteSubscribed(events: ClientEvents, session: Session, { subscriptions }: SubscribePacket, codes: readonly number[]): void {
  for (const [index, { filter }] of subscriptions.entries()) {
    const qos = codes[index] as number
    if (qos < REASON.UNSPECIFIED_ERROR) events.note('subscribed', session, { filter, qos })
  }
}

/** Before MQTT 5 there is no code for a malformed filter: the connection ends (3.1.1 sections 4.7, 4.8). */
function assertFilters(filters: readonly string[]): void {
  for (const filter of filters) if (!isTopicFilter(filter)) throw new ProtocolError(REASON.TOPIC_FILTER_INVALID, 'a topic filter is ill-formed')
}
