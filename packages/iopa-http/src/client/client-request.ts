import { type ClientRequest, type IncomingMessage, request as startRequest } from 'node:http'
import {
  answerTimeout,
  type Body,
  badAnswer,
  type Clock,
  channelClosed,
  connectionLost,
  encodePath,
  IopaError,
  isIopaError,
  type Limits,
  type OutgoingRequest,
  type TimerHandle
} from '@iopa/transport'
import { isBodyless, isOfConnection } from '../message/answer-fields.ts'
import type { ConnectionPool } from './connection-pool.ts'

/** What the requests of a channel share. */
export interface ClientSettings {
  /** Host and port, for the Host header. */
  readonly authority: string
  /** The field Authorization of requests that have none; empty for none. */
  readonly authorization: string
  readonly clock: Clock
  readonly limits: Limits
  /** Milliseconds for the head of an answer. */
  readonly timeout: number
  /** Milliseconds between the bytes of its body; `timeout` unless given. */
  readonly bodyTimeout?: number
}

/** A request whose answer has begun. */
export interface Exchange {
  readonly response: IncomingMessage
  /** The body of the answer; leaving the loop gives up the rest. */
  body(): AsyncGenerator<Uint8Array>
}

/** Sends a request and waits for the head of its answer. Rejects with what the signal says, 400, 502 or 504. */
export const exchange = async (request: OutgoingRequest, pool: ConnectionPool, settings: ClientSettings): Promise<Exchange> => {
  request.signal?.throwIfAborted()
  for (let attempt = 1; ; attempt++) {
    const message = start(request, pool, settings)
    const guard = new Guard(message, request.signal, settings.clock)
    try {
      guard.start(settings.timeout)
      void write(message, request.body, guard)
      const response = await headOf(message)
      checkHead(response, settings.limits)
      guard.stop()
      pool.keepFor(response)
      const read: BodyReading = { message, response, guard, pool, delimited: isDelimited(request.method, response) }
      return { response, body: () => bodyOf(read, settings.bodyTimeout ?? settings.timeout) }
    } catch (error) {
      guard.release()
      message.destroy()
      // A server may close a kept connection at the very moment a request leaves on it (RFC 9112 section 9.3.1).
      if (!message.reusedSocket || attempt === 3 || guard.error !== null || !isRepeatable(request)) throw guard.error ?? failureOf(error, pool)
    }
  }
}

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'])

const isRepeatable = ({ method, body }: OutgoingRequest): boolean => IDEMPOTENT.has(method) && (body === null || body instanceof Uint8Array)

const start = (request: OutgoingRequest, pool: ConnectionPool, settings: ClientSettings): ClientRequest => {
  try {
    const message = startRequest({
      agent: pool,
      method: request.method,
      path: targetOf(request),
      headers: fieldsOf(request, settings),
      maxHeaderSize: settings.limits.headerBytes,
      insecureHTTPParser: false
    })
    // Node would drop the fields beyond its bound without a word.
    message.maxHeadersCount = 0
    return message
  } catch (cause) {
    throw new IopaError(400, 'bad-request', `HTTP cannot carry this request: ${(cause as Error).message}.`, { cause })
  }
}

/** The request target; what a query may not hold is escaped. */
const targetOf = ({ path, query }: OutgoingRequest): string =>
  encodePath(path) + (query === '' ? '' : `?${query.replace(/[^\x21\x22\x24-\x7e]/gu, encodeURIComponent)}`)

const fieldsOf = ({ method, headers, type, body }: OutgoingRequest, { authority, authorization }: ClientSettings): string[] => {
  const fields: string[] = headers.has('host') ? [] : ['host', authority]
  if (authorization !== '' && !headers.has('authorization')) fields.push('authorization', authorization)
  for (const [name, value] of headers) if (!isOfConnection(name) && name.toLowerCase() !== 'content-type') fields.push(name, value)
  if (type !== '') fields.push('content-type', type)
  if (body instanceof Uint8Array) fields.push('content-length', String(body.length))
  else if (body !== null) fields.push('transfer-encoding', 'chunked')
  else if (!IDEMPOTENT.has(method) || method === 'PUT') fields.push('content-length', '0')
  return fields
}

const headOf = (message: ClientRequest): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    message.once('response', resolve)
    message.on('error', reject)
    message.once('close', () => reject(new Error('closed without an answer')))
  })

const checkHead = ({ rawHeaders, headers }: IncomingMessage, { headerCount }: Limits): void => {
  if (rawHeaders.length > headerCount * 2) throw badAnswer('The answer has too many header fields.')
  const coding = headers['transfer-encoding']
  // node:http decodes chunked alone, and reads a body without it up to the end of the connection, whatever ends that.
  if (coding !== undefined && coding.trim().toLowerCase() !== 'chunked') {
    throw badAnswer(`The transfer coding '${coding}' of the answer is not understood; the peer must send chunked alone (RFC 9112 section 7).`)
  }
}

const write = async (message: ClientRequest, body: Body, guard: Guard): Promise<void> => {
  if (body === null || body instanceof Uint8Array) {
    message.end(body ?? undefined)
    return
  }
  const chunks = body[Symbol.asyncIterator]()
  // The request may end while the next chunk is awaited, which may never come.
  const giveUp = (): void => void chunks.return?.()?.then(undefined, () => undefined)
  message.once('close', giveUp)
  try {
    for (let chunk = await chunks.next(); chunk.done !== true; chunk = await chunks.next()) {
      if (message.destroyed) return
      if (!message.write(chunk.value)) await drained(message)
    }
    message.off('close', giveUp)
    message.end()
  } catch (error) {
    message.off('close', giveUp)
    guard.fail(error)
  }
}

const drained = (message: ClientRequest): Promise<void> =>
  new Promise(resolve => {
    const done = (): void => {
      message.off('drain', done)
      message.off('close', done)
      resolve()
    }
    message.on('drain', done)
    message.on('close', done)
    if (message.destroyed) done()
  })

/** The body of an answer, and what is known of its end. */
interface BodyReading {
  readonly message: ClientRequest
  readonly response: IncomingMessage
  readonly guard: Guard
  readonly pool: ConnectionPool
  /** False for a body that the end of its connection ends (RFC 9112 section 6.3). */
  readonly delimited: boolean
}

const isDelimited = (method: string, { statusCode, headers }: IncomingMessage): boolean =>
  method === 'HEAD' || isBodyless(statusCode as number) || headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined

async function* bodyOf({ message, response, guard, pool, delimited }: BodyReading, timeout: number): AsyncGenerator<Uint8Array> {
  const { socket } = response
  try {
    guard.start(timeout)
    for await (const chunk of response) {
      guard.stop()
      yield chunk as Uint8Array
      guard.start(timeout)
    }
    // node:http takes a connection that has ended for whatever reason as the end of the body: only the peer's own end is one (RFC 9112 section 8).
    if (guard.error !== null) throw guard.error
    if (!delimited && (!socket.readableEnded || socket.errored)) throw socket.errored ?? new Error('the connection was cut')
  } catch (error) {
    throw guard.error ?? failureOf(error, pool)
  } finally {
    guard.release()
    // An answer that came before the request was complete leaves a connection that cannot be used again.
    if (!message.writableEnded || !response.complete) message.destroy()
  }
}

/** Why no answer came. */
const failureOf = (error: unknown, pool: ConnectionPool): Error => {
  if (pool.closed) return channelClosed()
  if (isIopaError(error)) return error
  if ((error as { code?: string }).code?.startsWith('HPE_') === true) {
    return badAnswer('The peer sent what is no HTTP answer.', error)
  }
  return connectionLost(error)
}

/** Ends a request when its signal aborts, or when the peer lets it wait for too long. */
class Guard {
  readonly #message: ClientRequest
  readonly #signal: AbortSignal | undefined
  readonly #clock: Clock
  readonly #abort = (): void => this.fail(this.#signal?.reason)
  #timer: TimerHandle | null = null
  /** Why the request was ended from here. */
  error: Error | null = null

  constructor(message: ClientRequest, signal: AbortSignal | undefined, clock: Clock) {
    this.#message = message
    this.#signal = signal
    this.#clock = clock
    signal?.addEventListener('abort', this.#abort)
    message.once('close', () => this.release())
  }

  /** The peer is awaited from now on, for so many milliseconds. */
  start(timeout: number): void {
    this.stop()
    if (!Number.isFinite(timeout)) return
    this.#timer = this.#clock.setTimeout(() => this.fail(answerTimeout(timeout)), timeout, { keep: true })
  }

  /** The peer is not awaited any more. */
  stop(): void {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer)
    this.#timer = null
  }

  /** The request is over. */
  release(): void {
    this.stop()
    this.#signal?.removeEventListener('abort', this.#abort)
  }

  fail(error: unknown): void {
    this.error ??= error as Error
    this.#message.destroy(this.error)
  }
}
