import type { Statistics } from '../operation/statistics.ts'
import type { RetainedMessages } from '../topics/retained-messages.ts'
import type { Figures } from '../topics/system-topics.ts'

/** The counters of a broker since its start, and what it holds now; `uptime` in seconds. */
export function statisticsView(
  counted: Statistics,
  { sessions, connected, waiting, inflight, queuedBytes, subscriptions, sharedSubscriptions }: Figures,
  retained: RetainedMessages,
  uptime: number
): Record<string, unknown> {
  const { received, receivedQos1, receivedQos2, sent, sentQos1, sentQos2 } = counted
  return {
    uptime,
    connections: { opened: counted.sockets, connects: counted.connects, accepted: counted.accepted, unauthorized: counted.unauthorized },
    sessions: {
      total: sessions,
      connected,
      disconnected: sessions - connected,
      maximum: Math.max(counted.mostClients, sessions),
      expired: counted.expired,
      evicted: counted.evicted
    },
    subscriptions: { total: subscriptions, shared: sharedSubscriptions },
    messages: {
      received: { total: received, qos0: received - receivedQos1 - receivedQos2, qos1: receivedQos1, qos2: receivedQos2 },
      sent: { total: sent, qos0: sent - sentQos1 - sentQos2, qos1: sentQos1, qos2: sentQos2 },
      inflight,
      queued: waiting - inflight,
      queuedBytes,
      expired: counted.outdated,
      absent: counted.absent,
      dropped: { total: counted.dropped, ...counted.drops }
    },
    retained: { count: retained.size, bytes: retained.bytes },
    packets: { received: received + counted.controlReceived, sent: sent + counted.controlSent },
    bytes: {
      received: counted.bytesReceived,
      sent: counted.bytesSent,
      payloadReceived: counted.payloadReceived,
      payloadSent: counted.payloadSent
    }
  }
}
