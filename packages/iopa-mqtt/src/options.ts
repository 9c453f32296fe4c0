import { type ByteNetwork, type Clock, DEFAULT_LIMITS, type Host, type Limits, type Listener, type TlsOptions } from '@iopa/transport'
import type { BrokerCapabilities } from './remote/capabilities.ts'
import type { Store } from './store.ts'
import type { WebSocketNetwork } from './websocket/network.ts'

/** One more place where a broker listens. */
export interface MqttListenerOptions {
  /** 1883 unless given, 8883 with `tls`; 0 lets the system choose. */
  readonly port?: number
  /** Address to listen on; 127.0.0.1 unless given. */
  readonly host?: string
  /** Allows an address off loopback although no middleware provides `server.User`. */
  readonly allowUnauthenticated?: boolean
  /**
   * Addresses or subnets (`10.0.0.0/8`, `loopback`) of proxies that must begin each connection with a header of the PROXY protocol, version 1 or 2:
   * the client that it names is the peer. Connections of others are served as they are; none unless given.
   */
  readonly proxyProtocol?: readonly string[]
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
  /**
   * Addresses or subnets (`10.0.0.0/8`, `loopback`) of proxies that must begin each connection with a header of the PROXY protocol, version 1 or 2:
   * the client that it names is the peer. Connections of others are served as they are; none unless given.
   */
  readonly proxyProtocol?: readonly string[]
  readonly tls?: TlsOptions
  /** Serves MQTT over WebSocket too, for browsers: `websocket({ port })` of `@iopa/mqtt/websocket`. */
  readonly websocket?: WebSocketNetwork
  /** Where the broker listens as well: clients of all its listeners share sessions, retained messages and subscriptions. */
  readonly listeners?: readonly MqttListenerOptions[]
  /** What of the app's limits is different here. */
  readonly limits?: Partial<Limits> | undefined
  /** Keeps sessions, queues and retained messages beyond the process, such as `disk(path)` of `@iopa/mqtt/disk`; without it they live in memory. */
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
  /**
   * Where the app shows its broker to administrators, such as `/mqtt`: sessions, events, retained messages, statistics. These are routes of the app, so
   * use a router before, and what decides who may use them.
   */
  readonly admin?: string
  readonly clock?: Clock
  /** What the broker listens on instead of the machine's network; for tests. */
  readonly network?: ByteNetwork
}

/** What one user may have in a broker at most; what is left out is bounded by the user's share alone. */
export interface UserQuota {
  /** Sessions, connected or not. */
  readonly sessions?: number
  /** Subscriptions of all sessions. */
  readonly subscriptions?: number
  /** Retained messages, and their bytes. */
  readonly retained?: number
  readonly retainedBytes?: number
  /** Bytes that wait in the queues of all sessions. */
  readonly queuedBytes?: number
}

/**
 * Quotas by user id, or a function that gives them. For clients without a user it is called with null and their network: an address of
 * IPv4, or the first 64 bits of one of IPv6, such as `2001:db8:0:1::/64`. Its answers are asked for again every ten seconds.
 */
export type QuotaOption = Readonly<Record<string, UserQuota>> | ((user: string | null, network: string) => UserQuota | undefined)

/** What a message that the app publishes may say beside its payload; properties go out with MQTT 5 alone. */
export interface PublishOptions {
  /** 0 unless given. */
  readonly qos?: 0 | 1 | 2
  readonly retain?: boolean
  readonly contentType?: string
  /** Seconds. */
  readonly messageExpiryInterval?: number
  /** True says that the payload is UTF-8. */
  readonly payloadFormatIndicator?: boolean
  readonly userProperties?: Readonly<Record<string, string | readonly string[]>>
  /** Gives up waiting, where there is something to wait for: a connection, or the answer of another broker. */
  readonly signal?: AbortSignal
}

/** A listener that can publish. */
export interface MqttListener extends Listener {
  publish(topic: string, payload: string | Uint8Array, options?: PublishOptions): Promise<void>
}

/** The way to a broker elsewhere, made by `bridge()` of `@iopa/mqtt/bridge`. */
export interface MqttBridge {
  /** Where workers share states: `<statePrefix>/<topic>`, retained. False where they do not. */
  readonly statePrefix: string | false
  /** Joins the app to the broker as a worker. Rejects when the broker cannot be reached or refuses the subscriptions. */
  join(host: Host): Promise<MqttListener>
}

/** How to reach a broker and how to stay connected to it; the same for bridge and client. */
export interface RemoteOptions {
  /**
   * Names this client to the broker. Give one that stays the same over restarts, and is used by one process only, so that the broker keeps
   * what was not acknowledged when the process ended. Without it each start has a random one, which holds over reconnects only.
   */
  readonly clientId?: string
  /** Instead of the user name in the URL. */
  readonly username?: string
  /** Instead of the password in the URL. */
  readonly password?: string
  /** For `mqtts:` and `wss:`. */
  readonly tls?: TlsOptions
  /** For `ws:` and `wss:`: `websocket()` of `@iopa/mqtt/websocket`. */
  readonly websocket?: WebSocketNetwork
  /** 5 or 4 (3.1.1) alone; by default 5 is tried, then 4. */
  readonly protocolVersion?: 4 | 5
  /** Seconds between signs of life; 60 unless given. A handler may take longer. */
  readonly keepAlive?: number
  /** Seconds that the broker keeps the session without a connection (MQTT 5); 3,600 with a `clientId`, else 60. */
  readonly sessionExpiry?: number
  /** Milliseconds until the broker has accepted a connection; 10,000 unless given. */
  readonly connectTimeout?: number
  /** Waits between attempts to reconnect, in milliseconds: growing from `initial` (1,000) to `maximum` (60,000), spread at random. */
  readonly reconnect?: { readonly initial?: number; readonly maximum?: number }
  /** What the broker can do, where it does not say so itself or is wrong; such as `{ shared: true }`. */
  readonly capabilities?: Partial<BrokerCapabilities>
}

export const REMOTE_OPTIONS: Record<keyof RemoteOptions, true> = {
  clientId: true,
  username: true,
  password: true,
  tls: true,
  websocket: true,
  protocolVersion: true,
  keepAlive: true,
  sessionExpiry: true,
  connectTimeout: true,
  reconnect: true,
  capabilities: true
}

/** Options of a worker on a broker elsewhere. */
export interface WorkerOptions {
  /** `bridge('mqtts://broker.example', { share: 'lights' })` of `@iopa/mqtt/bridge`. */
  readonly broker: MqttBridge
}

/** The options of a broker and the limits of its listener, with all defaults. */
export interface BrokerSettings
  extends Required<
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
      | 'maxSubscriptionsPerSession'
      | 'maxRetained'
      | 'maxRetainedBytes'
      | 'maxQueuedBytes'
      | 'maxPacketSize'
      | 'maxTopicLength'
      | 'statistics'
    >
  > {
  readonly limits: Limits
  readonly responseInformation: string | undefined
}

/** A Session Expiry Interval that never ends (MQTT 5 section 3.1.2.11.2). */
export const FOREVER = 0xffff_ffff

const MIB = 1024 * 1024
/** Bytes of a packet beside its payload. */
const PACKET_OVERHEAD = 65_536
/** Subscriptions of one session unless given. */
const SUBSCRIPTIONS = 10_000

export function brokerSettings(options: EmbeddedOptions, limits: Limits): BrokerSettings {
  const { observersPerConnection } = limits
  return {
    limits,
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
    maxSubscriptionsPerSession:
      options.maxSubscriptionsPerSession ??
      (observersPerConnection === DEFAULT_LIMITS.observersPerConnection ? SUBSCRIPTIONS : observersPerConnection),
    maxRetained: options.maxRetained ?? 100_000,
    maxRetainedBytes: options.maxRetainedBytes ?? 64 * MIB,
    maxQueuedBytes: options.maxQueuedBytes ?? 256 * MIB,
    maxPacketSize: options.maxPacketSize ?? limits.body + PACKET_OVERHEAD,
    maxTopicLength: Math.min(65_535, options.maxTopicLength ?? 1024),
    responseInformation: options.responseInformation,
    statistics: options.statistics ?? 10
  }
}
