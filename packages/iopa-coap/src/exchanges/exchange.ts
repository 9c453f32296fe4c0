import type { ConnectionUser, Context, Endpoint } from '@iopa/transport'
import type { ReceivedMessage } from '../codec/message.ts'
import type { Options } from '../codec/options.ts'

/** Where requests come from: an endpoint that sends datagrams, or a connection. */
export interface Remote {
  /** Made by the server with the first request. */
  endpoint: Endpoint | undefined
  /** The context of the connection or association; undefined on plain datagrams. */
  readonly connection?: Context | undefined
  /** The user of that, which a request may have changed. */
  readonly user?: Pick<ConnectionUser, 'look'> | undefined
  readonly address: string
  readonly port: number
  /** True when it has shown that it receives what is sent to its address, or need not. */
  readonly verified: boolean
  /** Bytes that it may still be sent while it is not verified. */
  readonly credit: number
  /** Largest block that an answer may be cut into, as size exponent; 7 on connections that take BERT. */
  readonly maxSzx: number
  /** Bytes of payload that one message may carry. */
  readonly maxPayload: number
  /** True on a connection. */
  readonly reliable: boolean
  /** It has shown that it receives at its address. */
  verify(): void
  /** Keeps it from being forgotten, until `unpin` is called as often. */
  pin(): void
  unpin(): void
}

/** A request and its response. */
export interface Exchange<R extends Remote = Remote> {
  readonly remote: R
  readonly message: ReceivedMessage
  /** True when the request came to a group of servers. */
  readonly toMulticast: boolean
  /** True when it has its response, or will have none. */
  readonly ended: boolean
  /** Sends the response; only the first call counts. The options are copied. */
  respond(code: number, options: Options, payload: Uint8Array): void
  /** Ends it without a response (RFC 7967). */
  suppress(): void
}
