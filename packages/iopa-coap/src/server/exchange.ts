import type { Context, Endpoint } from '@iopa/appbuilder'
import type { ReceivedMessage } from '../codec/datagram-codec.ts'
import type { OptionWriter } from '../codec/option-writer.ts'
import type { Observer } from './observers.ts'

/** Who sends requests: an endpoint that datagrams come from, or a connection. */
export interface Remote {
  /** Made by the server with the first request. */
  endpoint: Endpoint | undefined
  /** The context of the connection; undefined on datagrams. */
  readonly connection: Context | undefined
  readonly address: string
  readonly port: number
  /** True when it has shown that it receives what is sent to its address, or need not. */
  verified: boolean
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
  respond(code: number, options: OptionWriter, payload: Uint8Array): void
  /** Ends it without a response (RFC 7967). */
  suppress(): void
  /** The way to tell whoever sent this request of changes. `gone` is called once when it does not want to hear any more, or cannot. */
  subscriber(gone: (reason: 'reset' | 'disconnect') => void): Subscriber
}

/** Sends the notifications of one observation. */
export interface Subscriber {
  /** Sends one; where it must wait for the peer, the promise says when the next one makes sense. */
  notify(code: number, options: OptionWriter, payload: Uint8Array): Promise<void> | undefined
  /** Sends the last one, for which nobody waits. */
  dismiss(code: number, options: OptionWriter): void
  /** Forgets what is on its way. */
  close(): void
}
