import { IopaError } from '@iopa/transport'
import type { Message } from '../codec/message.ts'
import { isCritical, optionDefinition } from '../codec/option-registry.ts'
import type { Options } from '../codec/options.ts'

/** What happens to a request that waits for its response. */
export interface ResponseListener {
  /** The number of a critical option of responses that it understands, beside those of the registry. */
  readonly understands?: number | undefined
  /** Bytes of the token; 8 unless given. */
  readonly tokenLength?: number | undefined
  /** The token where it is given: a request with that of one before takes its place. */
  readonly token?: Uint8Array | undefined
  /** A response to the request, or a notification. False returns it as one that no request waits for. */
  response(message: Message): boolean
  /** The request is acknowledged, or needs no acknowledgement: only the response is awaited from now on. */
  received?(): void
  /** No response will come any more. */
  failed(error: unknown): void
}

/** A request that was sent, and waits for responses with its token. */
export interface OpenRequest {
  /** Sends a further request with the same token (RFC 7641 section 3.3.1). */
  send(code: number, options: Options, payload: Uint8Array): void
  /** Stops waiting, and retransmitting what is not acknowledged. */
  close(): void
}

/** Sends requests to one server and matches responses to them by token (RFC 7252 section 5.3): to an endpoint on datagrams, or on one connection. */
export interface Requester {
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
  /** Sends a request with a token of its own. Failures reach the listener, never the caller. */
  open(code: number, options: Options, payload: Uint8Array, confirmable: boolean, listener: ResponseListener): OpenRequest
  /** Sends a ping; `done` learns whether the server has answered it. */
  ping(done: (answered: boolean) => void): void
}

const NONE: ReadonlySet<number> = new Set()

/** The peer takes no token of so many bytes (RFC 8974 section 2.2). */
export const tokenTooLong = (length: number): IopaError =>
  new IopaError(501, 'token-too-long', `The server takes no token of ${length} bytes: leave 'coap.TokenLength' out, or ask for fewer.`)

/**
 * The error for a response with a critical option that is not understood, which must be rejected (RFC 7252 section 5.4.1); undefined for any other.
 * `read` are options that the app reads itself, and `understood` is another one.
 */
export const badOptionOf = (message: Pick<Message, 'options'>, read: ReadonlySet<number> = NONE, understood?: number): IopaError | undefined => {
  for (const [number, { length }] of message.options) {
    const definition = optionDefinition(number)
    if (!isCritical(number) || number === understood || read.has(number)) continue
    if (definition === undefined || length < definition.min || length > definition.max)
      return new IopaError(
        502,
        'critical-option',
        `The answer has the critical option ${number}, which is not understood here; name it in criticalOptions of coap() where the app reads it.`
      )
  }
  return undefined
}
