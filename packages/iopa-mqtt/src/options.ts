import type { ByteNetwork, Clock, Limits, TlsOptions } from '@iopa/transport'
import { FOREVER } from './broker/session.ts'
import type { Store } from './store.ts'
import type { QuotaOption } from './user-quota.ts'
import type { WebSocketOptions } from './websocket-options.ts'

/** One more place where a broker listens. */
export interface MqttListenerOptions {
  /** 1883 unless given, 8883 with `tls`; 0 lets the system choose. */
  readonly port?: number
  /** Address to listen on; 127.0.0.1 unless given. */
  readonly host?: string
  /** Allows an address off loopback although no middleware provides `server.User`. */
  readonly allowUnauthenticated?: boolean
  readonly tls?: TlsOptions
}

/** Options of the embedded broker. Times are seconds, sizes bytes, unless a name says otherwise. */
export interface EmbeddedOptions {
  /** 1883 unless given, 8883 with `tls`; 0 lets the system choose. */
  readonly port?: number
  /** Address to listen on; 127.0.0.1 unless given. */
  readonly host?: string
  /** Allows an address off loopback although no middleware provides `server.User`. */
  readonly allowUnauthenticated?: boolean
  readonly tls?: TlsOptions
  /** Serves MQTT over WebSocket too, for browsers. */
  readonly websocket?: WebSocketOptions
  /** Where the broker listens as well: clients of all its listeners share sessions, retained messages and subscriptions. */
  readonly listeners?: readonly MqttListenerOptions[]
  /** What of the app's limits is different here. */
  readonly limits?: Partial<Limits> | undefined
  /** Keeps sessions, queues and retained messages beyond the process; without it they live in memory. */
  readonly store?: Store
  /** `strict`, the default, sends PUBACK and PUBREC in the order of the messages; `any` as soon as each is done. */
  readonly ackOrder?: 'strict' | 'any'
  /** What a client of MQTT 3 hears when a message is refused with 401 or 403: `close`, the default, or a plain acknowledgement. */
  readonly refusal?: 'close' | 'acknowledge'
  /** Who may have what the app answers to a Response Topic: sessions of the requesting `user`, the default, or all `subscribers`. */
  readonly replies?: 'user' | 'subscribers'
  /**
   * What happens when a user connects with the client identifier of another user's client: the two have a session each (`user`, the
   * default), or the second is refused while the first is connected (`exclusive`).
   */
  readonly clientIds?: 'user' | 'exclusive'
  /** Unacknowledged messages of QoS 1 and 2 on their way to one client; 256 unless given, and never more than the client's receive maximum. */
  readonly sendWindow?: number
  /** Topic aliases that a client may set, and that are used towards a client that allows them; 32 unless given. */
  readonly topicAliasMaximum?: number
  /** Longest keep alive of a client of MQTT 5, told to it as Server Keep Alive; 3,600 unless given, 0 for any. */
  readonly maxKeepAlive?: number
  /** Longest time that a session outlives its connection; 604,800 (a week) unless given. */
  readonly maxSessionExpiry?: number
  /** Sessions, connected or not; 20,000 unless given. */
  readonly maxSessions?: number
  /** Subscriptions of all sessions; 100,000 unless given. */
  readonly maxSubscriptions?: number
  /** Subscriptions of one session; 10,000 unless given, or `limits.observersPerConnection` where that is not the default. */
  readonly maxSubscriptionsPerSession?: number
  /** Retained messages; 100,000 unless given. */
  readonly maxRetained?: number
  /** Bytes of all retained messages; 64 MiB unless given. */
  readonly maxRetainedBytes?: number
  /** Bytes of all messages that wait for clients; 256 MiB unless given. One client's queue is bounded by `limits.queueMessages` and `limits.queueBytes`. */
  readonly maxQueuedBytes?: number
  /** What single users may have of the five above at most: by user id, or a function. */
  readonly quota?: QuotaOption
  /** Bytes of a packet that a client may send, told to it in MQTT 5; `limits.body` and 64 KiB unless given. */
  readonly maxPacketSize?: number
  /** Bytes of a topic name or filter; 1,024 unless given. Its levels are bounded by `limits.pathSegments`. */
  readonly maxTopicLength?: number
  /** Response Information for clients that ask for it (MQTT 5 section 3.2.2.3.15); `{clientId}` stands for the client identifier. */
  readonly responseInformation?: string
  /** Seconds between publications of the `$SYS/broker/` figures; 10 unless given, false for none. */
  readonly statistics?: number | false
  readonly clock?: Clock
  /** What the broker listens on instead of the machine's network; for tests. */
  readonly network?: ByteNetwork
}

/** The options with everything filled in that a broker reads. */
export type BrokerOptions = Required<
  Pick<
    EmbeddedOptions,
    | 'ackOrder'
    | 'refusal'
    | 'replies'
    | 'clientIds'
    | 'sendWindow'
    | 'topicAliasMaximum'
    | 'maxKeepAlive'
    | 'maxSessionExpiry'
    | 'maxSessions'
    | 'maxSubscriptions'
    | 'maxRetained'
    | 'maxRetainedBytes'
    | 'maxQueuedBytes'
    | 'maxTopicLength'
    | 'statistics'
  >
> & {
  readonly quota: QuotaOption | undefined
  readonly maxSubscriptionsPerSession: number | undefined
  readonly store: Store | null
  readonly responseInformation: string | undefined
  readonly maxPacketSize: number | undefined
}

const MIB = 1024 * 1024

export const brokerOptions = (options: EmbeddedOptions): BrokerOptions => ({
  store: options.store ?? null,
  ackOrder: options.ackOrder ?? 'strict',
  refusal: options.refusal ?? 'close',
  replies: options.replies ?? 'user',
  clientIds: options.clientIds ?? 'user',
  sendWindow: Math.min(60_000, options.sendWindow ?? 256),
  topicAliasMaximum: Math.min(65_535, options.topicAliasMaximum ?? 32),
  maxKeepAlive: Math.min(65_535, options.maxKeepAlive ?? 3600),
  maxSessionExpiry: Math.min(FOREVER, options.maxSessionExpiry ?? 604_800),
  maxSessions: options.maxSessions ?? 20_000,
  maxSubscriptions: options.maxSubscriptions ?? 100_000,
  maxRetained: options.maxRetained ?? 100_000,
  maxRetainedBytes: options.maxRetainedBytes ?? 64 * MIB,
  maxQueuedBytes: options.maxQueuedBytes ?? 256 * MIB,
  maxTopicLength: Math.min(65_535, options.maxTopicLength ?? 1024),
  responseInformation: options.responseInformation,
  maxPacketSize: options.maxPacketSize,
  statistics: options.statistics ?? 10,
  quota: options.quota,
  maxSubscriptionsPerSession: options.maxSubscriptionsPerSession
})
