import type { User } from '@iopa/transport'
import type { Store, StoredSession, StoreRecord } from '../store.ts'
import { hasWildcard, parseSharedFilter } from '../topics/topic.ts'
import type { Broker } from './broker.ts'
import { Delivery } from './delivery.ts'
import { absentEndpoint } from './endpoint.ts'
import { userKeyOf, userOfKey } from './identity.ts'
import { Message } from './message.ts'
import { observeTopic } from './observed-topic.ts'
import { FOREVER, Session } from './session.ts'
import { moved } from './stored-time.ts'
import { addSubscription } from './subscribing.ts'
import { PendingWill } from './wills.ts'

type OfClient = Exclude<StoreRecord, { kind: 'retained' }>

/** Takes back from a store what a broker kept there: retained messages, sessions with their subscriptions, queues and receipts. */
export async function restore(broker: Broker, store: Store): Promise<void> {
  const clients = new Map<string, OfClient[]>()
  const { clock } = broker
  for await (const stored of store.load()) {
    const record = moved(stored, clock.elapsed() - clock.now())
    if (record.kind === 'retained') {
      if (record.value && !broker.retained.restore(Message.fromStored(record.value, true))) {
        broker.losses.note('the store holds more retained messages than the limits allow: one is left out', record.topic)
      }
      continue
    }
    const records = clients.get(record.clientId)
    if (records) records.push(record)
    else clients.set(record.clientId, [record])
  }
  for (const what of store.damage?.() ?? []) {
    broker.counters.damaged++
    broker.host.logger.error(`iopa: the MQTT store is damaged: ${what}`)
  }
  for (const [key, records] of clients) restoreClient(broker, key, records)
}

function restoreClient(broker: Broker, key: string, records: readonly OfClient[]): void {
  const head = records.find(record => record.kind === 'session')
  const stored = head?.kind === 'session' ? head.value : null
  // Without its session, what is left of a client is not reachable.
  if (!stored) {
    broker.journal.add({ kind: 'session', clientId: key, value: null })
    return
  }
  const session = restoreSession(broker, key, stored)
  if (session.key !== key) rename(broker, key, session, records)
  for (const record of records) {
    if (record.kind === 'subscription' && record.value) addSubscription(session, record.filter, record.value)
    else if (record.kind === 'received' && record.value) (session.received ??= new Map()).set(record.packetId, record.value.reasonCode)
    else if (record.kind === 'message' && record.value) session.deliveries.restore(Delivery.fromStored(record.value, record.sequence))
  }
  for (const filter of session.subscriptions.keys()) {
    const topic = hasWildcard(filter) || parseSharedFilter(filter) ? null : broker.topics.get(filter)
    // What changed while the broker was away is told as well.
    if (topic?.isState) observeTopic(session, topic, () => broker.states.changed({ path: topic.path, origin: null }))
  }
}

/** Gives the records of an earlier version, which were named by the client identifier alone, the name of their session, in one batch. */
function rename({ journal }: Broker, before: string, { clientId, key }: Session, records: readonly OfClient[]): void {
  for (const record of records) {
    if (record.kind === 'session') journal.add({ ...record, clientId: key, value: record.value && { ...record.value, clientId } })
    else journal.add({ ...record, clientId: key })
  }
  journal.add({ kind: 'session', clientId: before, value: null })
}

function restoreSession(broker: Broker, key: string, stored: StoredSession): Session {
  const { user } = stored
  const clientId = stored.clientId ?? key
  const userKey = stored.clientId === undefined ? userKeyOf(user) : userOfKey(key)
  const endpoint = absentEndpoint(stored.protocolVersion, clientId, broker.limits.body)
  const context = broker.requests.control('CONNECT', '/', endpoint, null)
  if (typeof user === 'object' && user !== null) context['server.User'] = user as User
  context['mqtt.ClientId'] = clientId
  context['mqtt.ProtocolVersion'] = stored.protocolVersion
  const session = new Session(broker, userKey, clientId, stored.protocolVersion, context, stored.address ?? '')
  const now = broker.elapsed()
  session.expiryInterval = stored.expiryInterval
  // A session that was connected when the broker stopped begins to expire now.
  if (stored.expiresAt !== null) session.expiresAt = stored.expiresAt
  else if (stored.expiryInterval !== FOREVER) session.expiresAt = now + stored.expiryInterval * 1000
  if (stored.will) {
    session.will = PendingWill.fromStored(stored.will)
    session.willAt = Math.min(now + stored.will.delayInterval * 1000, session.expiresAt)
  }
  broker.sessions.restore(session)
  return session
}
