import { type Context, isUnrouted, type SealedAnswer } from '@iopa/transport'
import { encodeSubscriptionAcknowledgement } from '../codec/packet-encoder.ts'
import { PACKET } from '../codec/packet-types.ts'
import type { SubscribePacket, SubscriptionRequest, UnsubscribePacket } from '../codec/packets.ts'
import { ProtocolError } from '../codec/protocol-error.ts'
import { REASON } from '../codec/reason-codes.ts'
import { hasWildcard, isTopicFilter, levelCount, parseSharedFilter, pathOf } from '../topics/topic.ts'
import type { Connection } from './connection.ts'
import { observeTopic, unobserve } from './observed-topic.ts'
import { HeaderSource, headersOf } from './requests.ts'
import type { Session } from './session.ts'
import { isPassing, isRefusal, subscribeReasonOf } from './status.ts'
import { SharedGroup, Subscription } from './subscription.ts'

/** What one filter of a SUBSCRIBE came to: its code, and what is sent once SUBACK is. */
interface Granted {
  readonly code: number
  readonly first?: () => void
}

/** Runs every filter of a SUBSCRIBE through the pipeline and acknowledges them together (MQTT 5 section 3.8). */
export function subscribe(connection: Connection, session: Session, packet: SubscribePacket): void {
  const { broker } = connection
  if (connection.version < 5) assertFilters(packet.subscriptions.map(({ filter }) => filter))
  const results: Granted[] = []
  let open = packet.subscriptions.length
  sliced(connection, packet.subscriptions, (request, index) => {
    const settle = (granted: Granted): void => {
      results[index] = granted
      if (--open > 0) return
      const codes = results.map(result => result.code)
      broker.journal.kept(kept => {
        broker.flusher.batch(() => {
          if (!kept) {
            codes.fill(REASON.UNSPECIFIED_ERROR)
            for (const { filter } of packet.subscriptions) remove(session, filter)
          }
          if (session.connection === connection)
            connection.sender.send(encodeSubscriptionAcknowledgement(connection.version, PACKET.SUBACK, packet.packetId, codes))
          if (kept) for (const { first } of results) first?.()
        })
      })
    }
    // A session has no use for more filters than it may have, so that a packet full of equal ones costs little.
    if (index < broker.maxSubscriptions) grant(connection, session, packet, request, settle)
    else settle({ code: connection.version < 5 ? REASON.UNSPECIFIED_ERROR : REASON.QUOTA_EXCEEDED })
  })
}

/** Before MQTT 5 no code says that a filter is ill-formed: the connection ends (3.1.1 sections 4.7, 4.8). */
function assertFilters(filters: readonly string[]): void {
  for (const filter of filters) if (!isTopicFilter(filter)) throw new ProtocolError(REASON.TOPIC_FILTER_INVALID, 'a topic filter is ill-formed')
}

/** Does something for each filter of a packet, a bounded number in one turn of the event loop; the connection's next packets wait. */
function sliced<Item>(connection: Connection, items: readonly Item[], work: (item: Item, index: number) => void): void {
  const { turns } = connection.broker
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

/** Runs every filter of an UNSUBSCRIBE through the pipeline and acknowledges them together (MQTT 5 section 3.10). */
export function unsubscribe(connection: Connection, session: Session, packet: UnsubscribePacket): void {
  const { broker } = connection
  if (connection.version < 5) assertFilters(packet.filters)
  const codes: number[] = []
  let open = packet.filters.length
  const settle = (index: number, code: number): void => {
    codes[index] = code
    if (--open > 0) return
    broker.journal.kept(kept => {
      if (session.connection !== connection) return
      if (!kept) codes.fill(REASON.UNSPECIFIED_ERROR)
      // Before MQTT 5 an UNSUBACK cannot say that it failed (3.1.1 section 3.11).
      if (!kept && connection.version < 5) connection.abandon()
      else connection.sender.send(encodeSubscriptionAcknowledgement(connection.version, PACKET.UNSUBACK, packet.packetId, codes))
    })
  }
  sliced(connection, packet.filters, (filter, index) => {
    const context = controlContext(connection, 'UNSUBSCRIBE', filter, packet.userProperties)
    if (context === null) {
      settle(index, REASON.TOPIC_FILTER_INVALID)
      return
    }
    broker.host.run(context, () => {
      const { status } = context.response
      const refused = status >= 300 && !isUnrouted(context)
      void context.end()
      if (refused) settle(index, status === 401 || status === 403 ? REASON.NOT_AUTHORIZED : REASON.UNSPECIFIED_ERROR)
      else settle(index, remove(session, filter) ? REASON.SUCCESS : REASON.NO_SUBSCRIPTION_EXISTED)
    })
  })
}

/** Takes a session out of every filter. */
export function removeSubscriptions(session: Session): void {
  for (const filter of [...session.subscriptions.keys()]) remove(session, filter)
}

/** Puts a subscription in place without asking: one that a store kept, or that was granted. */
export function addSubscription(
  session: Session,
  filter: string,
  options: Pick<Subscription, 'qos' | 'noLocal' | 'retainAsPublished' | 'retainHandling' | 'identifier'>
): Subscription {
  const { groups, subscribed, trie } = session.broker
  const shared = parseSharedFilter(filter)
  const group = shared ? (groups.get(filter) ?? new SharedGroup(shared.filter)) : null
  const subscription = new Subscription(session, filter, group)
  subscription.qos = options.qos
  subscription.noLocal = options.noLocal
  subscription.retainAsPublished = options.retainAsPublished
  subscription.retainHandling = options.retainHandling
  subscription.identifier = options.identifier
  // Before the one that it replaces leaves: a group without members ends, and what waits for one of its members would be lost.
  group?.members.push(subscription)
  // A new object each time, for what is under way to the one before is not for this one.
  remove(session, filter)
  session.subscriptions.set(filter, subscription)
  subscribed.add(session.account, 1)
  if (group) {
    groups.set(filter, group)
    trie.set(group.filter, group, group)
  } else trie.set(filter, session, subscription)
  return subscription
}

function remove(session: Session, filter: string): boolean {
  const subscription = session.subscriptions.get(filter)
  if (!subscription) return false
  const { groups, journal, trie } = session.broker
  session.subscriptions.delete(filter)
  session.broker.subscribed.add(session.account, -1)
  const { group } = subscription
  if (group) {
    group.members.splice(group.members.indexOf(subscription), 1)
    if (group.members.length === 0) {
      groups.delete(filter)
      trie.delete(group.filter, group)
    }
  } else {
    trie.delete(filter, session)
    unobserve(session, filter)
  }
  if (session.stored && !session.ended) journal.add({ kind: 'subscription', clientId: session.key, filter, value: null })
  return true
}

function grant(
  connection: Connection,
  session: Session,
  packet: SubscribePacket,
  request: SubscriptionRequest,
  done: (granted: Granted) => void
): void {
  const { broker, version } = connection
  const { limits, options } = broker
  const failed = (code: number): void => done({ code: version < 5 ? REASON.UNSPECIFIED_ERROR : code })
  const { filter } = request
  const context =
    levelCount(filter) > limits.pathSegments + 2 || Buffer.byteLength(filter) > options.maxTopicLength
      ? null
      : controlContext(connection, 'SUBSCRIBE', filter, packet.userProperties)
  if (context === null) {
    failed(REASON.TOPIC_FILTER_INVALID)
    return
  }
  context['mqtt.Qos'] = request.qos
  broker.host.run(context, () => {
    const { status } = context.response
    const unhandled = isUnrouted(context)
    const qos = context['mqtt.Qos'] ?? request.qos
    void context.end()
    if (status >= 300 && !unhandled) {
      done({ code: subscribeReasonOf(status, version) })
      return
    }
    const before = session.subscriptions.get(filter)
    const { idle } = broker.sessions
    const more = session.subscriptions.size < broker.maxSubscriptions
    const fits = before !== undefined || (more && idle.makeRoom(broker.subscribed, session.account, 1, ({ subscriptions }) => subscriptions.size))
    if (session.ended || !fits) {
      failed(REASON.QUOTA_EXCEEDED)
      return
    }
    const subscription = addSubscription(session, filter, {
      // Middleware may lower what was asked for, not raise it.
      qos: Math.max(0, Math.min(request.qos, qos)),
      noLocal: request.noLocal || connection.bridge,
      retainAsPublished: request.retainAsPublished || connection.bridge,
      retainHandling: request.retainHandling,
      identifier: packet.subscriptionIdentifier
    })
    if (session.stored) {
      const { qos: granted, noLocal, retainAsPublished, retainHandling, identifier } = subscription
      broker.journal.add({
        kind: 'subscription',
        clientId: session.key,
        filter,
        value: { qos: granted, noLocal, retainAsPublished, retainHandling, identifier }
      })
    }
    const wantsFirst = subscription.group === null && (request.retainHandling === 0 || (request.retainHandling === 1 && !before))
    if (subscription.group === null && !hasWildcard(filter)) readFirst(session, subscription, wantsFirst, done)
    else done({ code: subscription.qos, ...(wantsFirst ? { first: () => session.replays.add(subscription, true) } : {}) })
  })
}

/** A subscription to one topic begins with its GET: it says whether the session may, and gives the first message. */
function readFirst(session: Session, subscription: Subscription, wantsFirst: boolean, done: (granted: Granted) => void): void {
  const { broker } = session
  const { filter, qos } = subscription
  const topic = broker.topics.get(filter)
  if (topic === null) {
    remove(session, filter)
    done({ code: REASON.TOPIC_FILTER_INVALID })
    return
  }
  const retained = (): void => session.replays.add(subscription, false)
  const refused = (status: number): void => {
    if (session.subscriptions.get(filter) === subscription) remove(session, filter)
    done({ code: subscribeReasonOf(status, session.version) })
  }
  const answered = (answer: SealedAnswer): void => {
    const { status } = answer
    if (isRefusal(status) || isPassing(status)) refused(status === 503 ? 429 : status)
    else if (!wantsFirst) done({ code: qos })
    else if (!answer.ok) done({ code: qos, first: retained })
    else {
      const message = broker.states.messageOf(topic, answer)
      const identifiers = subscription.identifier > 0 ? [subscription.identifier] : []
      done({
        code: qos,
        first: () => message && session.subscriptions.get(filter) === subscription && session.deliveries.give(message, qos, true, identifiers, true)
      })
    }
  }
  const observe = (): void =>
    observeTopic(session, topic, answer => {
      // Observers are not told who made a change, so what its own client changed could not be left out.
      if (subscription.noLocal) unobserve(session, filter)
      answered(answer)
    })
  if (topic.hasRoute) {
    observe()
    return
  }
  // Most topics without a route are nothing but topics; what answers nevertheless, such as a file, is worth being observed.
  const context = broker.requests.read(session, topic)
  broker.host.run(context, () => {
    const answer = context.response
    void context.end()
    if (answer.ok && topic.routable) observe()
    else {
      session.verdicts.conclude(topic, answer.status)
      if (answer.ok) done({ code: qos, ...(wantsFirst ? { first: retained } : {}) })
      else answered(answer)
    }
  })
}

/** A context for one filter, its path that of the filter; null for what is no filter. */
function controlContext(
  connection: Connection,
  method: 'SUBSCRIBE' | 'UNSUBSCRIBE',
  filter: string,
  userProperties: SubscribePacket['userProperties']
): Context | null {
  const { broker, context: parent, endpoint } = connection
  if (!isTopicFilter(filter) || parent === null || endpoint === null) return null
  const path = pathOf(parseSharedFilter(filter)?.filter ?? filter)
  const source = userProperties.length === 0 ? null : new HeaderSource(headersOf(userProperties))
  const context = broker.requests.control(method, path, endpoint, source, parent)
  context['mqtt.Filter'] = filter
  return context
}
