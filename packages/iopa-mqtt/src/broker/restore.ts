import type { User } from '@iopa/transport'
import { FOREVER } from '../options.ts'
import type { Store, StoredSession, StoreRecord } from '../store.ts'
import { hasWildcard, parseSharedFilter } from '../topics/topic.ts'
import type { Requests } from './app/requests.ts'
import { moved } from './operation/journal.ts'
import type { Operation } from './operation/operation.ts'
import { Delivery } from './session/delivery-queue.ts'
import { absentEndpoint } from './session/endpoint.ts'
import { userKeyOf, userOfKey } from './session/identity.ts'
import { Session, type SessionPorts } from './session/session.ts'
import type { Sessions } from './session/sessions.ts'
import { PendingWill } from './session/wills.ts'
import { Message } from './topics/message.ts'
import type { RetainedMessages } from './topics/retained-messages.ts'
import type { SubscriptionTable } from './topics/subscription-table.ts'
import type { Topic, TopicTable } from './topics/topic-table.ts'

/** Where the records go. */
export interface RestorePorts {
  readonly operation: Operation
  readonly session: SessionPorts
  readonly sessions: Sessions
  readonly subscriptions: SubscriptionTable
  readonly topics: TopicTable
  readonly retained: RetainedMessages
  readonly requests: Requests
  /** Observes a state in the name of a session, and sends what changed while the broker was away. */
  readonly observe: (session: Session, topic: Topic) => void
}

type ClientRecord = Exclude<StoreRecord, { kind: 'retained' }>

/** Reads what the store kept: retained messages, and sessions with their subscriptions, queues and receipts. */
export async function restore(store: Store, ports: RestorePorts): Promise<void> {
  const clients = new Map<string, ClientRecord[]>()
  const { clock, statistics, logger } = ports.operation
  for await (const stored of store.load()) {
    const record = moved(stored, clock.elapsed() - clock.now())
    if (record.kind === 'retained') {
      if (record.value && !ports.retained.restore(Message.fromStored(record.value, true))) {
        statistics.losses.note('the store holds more retained messages than the limits allow: one is left out', record.topic)
      }
      continue
    }
    const records = clients.get(record.clientId)
    if (records) records.push(record)
    else clients.set(record.clientId, [record])
  }
  for (const what of store.damage?.() ?? []) {
    statistics.damaged++
    logger.error(`iopa: the MQTT store is damaged: ${what}`)
  }
  for (const [key, records] of clients) restoreClient(ports, key, records)
}

function restoreClient(ports: RestorePorts, key: string, records: readonly ClientRecord[]): void {
  const { operation, subscriptions, topics } = ports
  const head = records.find(record => record.kind === 'session')
  const stored = head?.kind === 'session' ? head.value : null
  // Without its session, the other records of a client are not reachable.
  if (!stored) {
    operation.journal.add({ kind: 'session', clientId: key, value: null })
    return
  }
  const session = restoreSession(ports, key, stored)
  if (session.key !== key) rename(ports, key, session, records)
  for (const record of records) {
    if (record.kind === 'subscription' && record.value) subscriptions.add(session, record.filter, record.value)
    else if (record.kind === 'received' && record.value) session.receipts.acknowledge(record.packetId, record.value.reasonCode)
    else if (record.kind === 'message' && record.value) session.outgoing.restore(Delivery.fromStored(record.value, record.sequence))
  }
  for (const filter of session.subscriptions.keys()) {
    const topic = hasWildcard(filter) || parseSharedFilter(filter) ? null : topics.get(filter)
    if (topic?.isState) ports.observe(session, topic)
  }
}

/** Gives records of an earlier version, which were named by the client identifier alone, the name of their session, in one batch. */
function rename({ operation: { journal } }: RestorePorts, before: string, { clientId, key }: Session, records: readonly ClientRecord[]): void {
  for (const record of records) {
    if (record.kind === 'session') journal.add({ ...record, clientId: key, value: record.value && { ...record.value, clientId } })
    else journal.add({ ...record, clientId: key })
  }
  journal.add({ kind: 'session', clientId: before, value: null })
}

function restoreSession({ operation, requests, session: ports, sessions }: RestorePorts, key: string, stored: StoredSession): Session {
  const { user: plain, protocolVersion: version } = stored
  const clientId = stored.clientId ?? key
  const user = stored.clientId === undefined ? userKeyOf(plain) : userOfKey(key)
  const endpoint = absentEndpoint(version, clientId, operation.settings.limits.body)
  const context = requests.control('CONNECT', '/', endpoint, null)
  if (typeof plain === 'object' && plain !== null) context['server.User'] = plain as User
  context['mqtt.ClientId'] = clientId
  context['mqtt.ProtocolVersion'] = version
  const session = new Session({ user, clientId, version, context, source: null, address: stored.address ?? '' }, ports)
  const now = operation.clock.elapsed()
  session.expiryInterval = stored.expiryInterval
  // A session that was connected when the broker stopped begins to expire now.
  if (stored.expiresAt !== null) session.expiresAt = stored.expiresAt
  else if (stored.expiryInterval !== FOREVER) session.expiresAt = now + stored.expiryInterval * 1000
  if (stored.will) {
    session.will = PendingWill.fromStored(stored.will)
    session.willAt = Math.min(now + stored.will.delayInterval * 1000, session.expiresAt)
  }
  sessions.restore(session)
  return session
}
