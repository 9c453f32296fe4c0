import type { Message } from '../codec/message.ts'
import type { Options } from '../codec/options.ts'

/** What is told to whoever waits on a token. */
export interface TokenListener {
  /** A response to the request, or a notification. False gives it back as one that nobody waits for. */
  response(message: Message): boolean
  /** The server has received the request, and will respond later. */
  received?(): void
  /** No response will come any more. */
  failed(error: unknown): void
}

/** A request that was sent, and waits on its token. */
export interface OpenToken {
  /** Sends a further request with the same token (RFC 7641 section 3.3.1). */
  send(code: number, options: Options, payload: Uint8Array): void
  /** Waits no longer, and stops repeating what is not acknowledged. */
  close(): void
}

/** The way of a client to its server: one endpoint on datagrams, or one connection. */
export interface ClientLink {
  /** True on a connection. */
  readonly reliable: boolean
  /** Largest block of a request, as size exponent. */
  readonly maxSzx: number
  /** Bytes of payload that one request may carry. */
  readonly maxPayload: number
  /** An Echo that the server has offered, for the next request (RFC 9175 section 2.3). */
  echo: Uint8Array | undefined
  /** Called when anything comes from the server that it sends while it works. */
  heard: (() => void) | undefined
  /** Sends a request with a token of its own. Failures are told to the listener, never thrown. */
  open(code: number, options: Options, payload: Uint8Array, confirmable: boolean, listener: TokenListener): OpenToken
}
