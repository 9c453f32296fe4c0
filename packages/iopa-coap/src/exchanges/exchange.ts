import type { ConnectionUser, Context, Endpoint } from '@iopa/appbuilder'
import type { ReceivedMessage } from '../codec/message.ts'
import type { Options } from '../codec/options.ts'
import type { Observer } from '../observers/observers.ts'

/** Who sends requests: an endpoint that datagrams come from, or a connection. */
export interface Remote {
  /** Made by the server with the first request. */
  endpoint: Endpoint | undefined
  /** The context of the connection; undefined on datagrams. */
  readonly connection: Context | undefined
  /** Who the connection is, which a request may have changed; undefined on datagrams. */
  readonly user: ConnectionUser | undefined
  readonly address: string
  readonly port: number
  /** True when it has shown that it receives what is sent to its address, or need not. */
  verified: boolean
  /** Bytes that it may still be sent while it is not verified. */
  readonly credit: number
  /** What upper layers hold for it; while there is any, it is not forgotten. */
  pins: number
  /** Its observations, by token. */
  observers: Map<string, Observer> | undefined
  /** Largest block that an answer may be cut into, as size exponent; 7 on connections that take BERT. */
  readonly maxSzx: number
  /** Bytes of payload that one message may carry. */
  readonly maxPayload: number
  /** True on a connection. */
  readonly reliable: boolean
}

/** A request and the one answer that it gets. */
export interface Exchange {
  readonly remote: Remote
  readonly message: ReceivedMessage
  /** True when the request came to a group of servers. */
  readonly toMulticast: boolean
  /** True when it has been answered, or will not be. */
  readonly ended: boolean
  /** Sends the response; only the first call counts. The options are copied. */
  respond(code: number, options: Options, payload: Uint8Array): void
  /** Ends it without a response (RFC 7967). */
  suppress(): void
  /** The way to tell whoever sent this request of the states of a source. */
  subscriber(source: NotificationSource): Subscriber
}

/** What a notification says. The options are those of a writer that is used again, so they are to be copied at once. */
export interface Notification {
  readonly code: number
  readonly options: Options
  readonly payload: Uint8Array
}

/** What an observation tells: it is asked when a notification leaves, so that this is the newest state and none is made for nothing. */
export interface NotificationSource {
  /** The newest state. Never throws. */
  notification(): Notification
  /** The peer has taken the newest state, or it was sent where nothing is acknowledged. */
  delivered(): void
  /** The peer does not want to hear any more, or cannot. */
  gone(reason: 'reset' | 'disconnect'): void
}

/** Sends the notifications of one observation. */
export interface Subscriber {
  /** Tells of a newer state, as soon as the peer may be told; a promise says when a further one makes sense. */
  changed(): Promise<void> | undefined
  /** Sends the last one, for which nobody waits. */
  dismiss(code: number, options: Options): void
  /** Forgets what is on its way. */
  close(): void
}
