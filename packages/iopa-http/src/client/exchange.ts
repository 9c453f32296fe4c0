import { type Agent, type ClientRequest, type IncomingMessage, request as startRequest } from 'node:http'
import {
  type Body,
  badAnswer,
  encodePath,
  HeaderMap,
  IopaError,
  isIopaError,
  type Limits,
  type LinkAnswer,
  linkLost,
  type OutgoingRequest,
  receivedAnswer,
  type Trailers
} from '@iopa/transport'
import { isBodyless, isOfConnection } from '../message/answer-fields.ts'
import { AnswerTrailers } from './answer-trailers.ts'
import { codingsOf, decoded } from './decompression.ts'
import { addTrailers, inOnePiece, type OutgoingTrailers, trailersOf } from './request-trailers.ts'

/** How a request is sent. */
export interface ExchangeSettings {
  /** Gives the connection. */
  readonly agent: Agent
  readonly authority: string
  /** The field Authorization of a request that has none; empty for none. */
  readonly authorization: string
  /** The request target, already encoded, where it does not follow from path and query. */
  readonly target: string | null
  /** What the target begins with and the field Proxy-Authorization, of a proxy that gets absolute targets. */
  readonly proxy: { readonly origin: string; readonly authorization: string } | null
  /** The codings that the client asks for; empty where it leaves them to the caller. */
  readonly acceptEncoding: string
  readonly limits: Limits
  readonly signal: AbortSignal
  /** True where the connection has carried a request before. */
  readonly reused: boolean
  /** Called with the milliseconds for which the connection may be used again once it is idle; 0 for not at all. */
  keep(time: number): void
}

/** A request whose answer has begun. */
export interface Exchange {
  readonly response: IncomingMessage
  /** The body of the answer; leaving the loop gives up the rest. */
  body(): AsyncGenerator<Uint8Array>
  readonly trailers: Trailers
}

const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'])

/** Sends a request and waits for the head of its answer. Rejects with 400, with 502, and with `linkLost`. */
export const exchange = async (request: OutgoingRequest, settings: ExchangeSettings): Promise<Exchange> => {
  const { signal, keep, limits } = settings
  const sent = trailersOf(request)
  const message = start(request, settings, sent)
  const state: ExchangeState = { message, error: null, fault: null }
  message.on('error', fault => {
    state.fault ??= fault
  })
  const abort = (): void => {
    keep(0)
    message.destroy()
  }
  signal.addEventListener('abort', abort, { once: true })
  message.once('close', () => signal.removeEventListener('abort', abort))
  try {
    void write(request.body, sent, state)
    const response = await headOf(message)
    checkHead(response, limits)
    keep(message.shouldKeepAlive ? keptFor(response) : 0)
    const delimited = isDelimited(request.method, response)
    const stream = { response, delimited, limits, trailers: new AnswerTrailers(), keep }
    return { response, body: () => bodyOf(state, stream), trailers: stream.trailers }
  } catch (error) {
    keep(0)
    message.destroy()
    throw state.error ?? failureOf(error, !settings.reused)
  }
}

/** A request, and why its body could not be sent. */
interface ExchangeState {
  readonly message: ClientRequest
  error: Error | null
  /** What node:http says of the request. */
  fault: Error | null
}

/** The body of an answer that has begun. */
interface ArrivingBody {
  readonly response: IncomingMessage
  /** False where the end of the connection ends it. */
  readonly delimited: boolean
  readonly limits: Limits
  readonly trailers: AnswerTrailers
  keep(time: number): void
}

/** How long an idle connection may be used: as long as the server keeps it (RFC 9112 section 9.3), less the time for the way there. */
const keptFor = ({ headers }: IncomingMessage): number => {
  const seconds = /(?:^|[,;\s])timeout\s*=\s*"?(\d{1,9})/i.exec(String(headers['keep-alive'] ?? ''))?.[1]
  if (seconds === undefined) return Number.POSITIVE_INFINITY
  const kept = Number(seconds) * 1000
  return kept > 2000 ? kept - 1000 : kept / 2
}

const start = (request: OutgoingRequest, settings: ExchangeSettings, trailers: OutgoingTrailers | null): ClientRequest => {
  try {
    const message = startRequest({
      agent: settings.agent,
      method: request.method,
      path: settings.proxy === null ? (settings.target ?? targetOf(request)) : settings.proxy.origin + (settings.target ?? targetOf(request)),
      headers: fieldsOf(request, settings, trailers),
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

/** The request target in origin form; what a query may not hold is escaped. */
export const targetOf = ({ path, query }: OutgoingRequest): string =>
  encodePath(path) + (query === '' ? '' : `?${query.replace(/[^\x21\x22\x24-\x7e]/gu, encodeURIComponent)}`)

const fieldsOf = ({ method, headers, type, body }: OutgoingRequest, settings: ExchangeSettings, trailers: OutgoingTrailers | null): string[] => {
  const { authority, authorization, acceptEncoding, proxy } = settings
  const fields: string[] = headers.has('host') ? [] : ['host', authority]
  if (proxy !== null && proxy.authorization !== '') fields.push('proxy-authorization', proxy.authorization)
  if (acceptEncoding !== '') fields.push('accept-encoding', acceptEncoding)
  if (authorization !== '' && !headers.has('authorization')) fields.push('authorization', authorization)
  for (const [name, value] of headers) if (!isOfConnection(name) && name.toLowerCase() !== 'content-type') fields.push(name, value)
  if (type !== '') fields.push('content-type', type)
  if (trailers !== null) fields.push('trailer', trailers.map(([name]) => name).join(', '), 'transfer-encoding', 'chunked')
  else if (body instanceof Uint8Array) fields.push('content-length', String(body.length))
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

const write = async (body: Body, trailers: OutgoingTrailers | null, state: ExchangeState): Promise<void> => {
  const { message } = state
  if (trailers === null && (body === null || body instanceof Uint8Array)) {
    message.end(body ?? undefined)
    return
  }
  const chunks = (body instanceof Uint8Array ? inOnePiece(body) : (body as AsyncIterable<Uint8Array>))[Symbol.asyncIterator]()
  // The request may end while the next chunk is awaited, which may never come.
  const giveUp = (): void => void chunks.return?.()?.then(undefined, () => undefined)
  message.once('close', giveUp)
  try {
    for (let chunk = await chunks.next(); chunk.done !== true; chunk = await chunks.next()) {
      if (message.destroyed) return
      if (!message.write(chunk.value)) await drained(message)
    }
    message.off('close', giveUp)
    // Functions may take their time, in which the request may have ended.
    if (trailers !== null) await addTrailers(message, trailers)
    message.end()
  } catch (error) {
    message.off('close', giveUp)
    state.error = error as Error
    message.destroy()
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

/** False for a body that the end of its connection ends (RFC 9112 section 6.3). */
const isDelimited = (method: string, { statusCode, headers }: IncomingMessage): boolean =>
  method === 'HEAD' || isBodyless(statusCode as number) || headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined

async function* bodyOf(state: ExchangeState, { response, delimited, limits, trailers, keep }: ArrivingBody): AsyncGenerator<Uint8Array> {
  const { message } = state
  const { socket } = response
  let whole = false
  try {
    for await (const chunk of response) yield chunk as Uint8Array
    // node:http takes a connection that has ended for whatever reason as the end of the body: only the peer's own end is one (RFC 9112 section 8).
    if (!delimited && (!socket.readableEnded || socket.errored)) throw socket.errored ?? new Error('the connection was cut')
    const { rawTrailers } = response
    if (rawTrailers.length > limits.headerCount * 2) throw badAnswer('The answer has too many trailers.')
    trailers.arrived(rawTrailers)
    whole = response.complete && message.writableEnded
  } catch (error) {
    // What is no HTTP ends the connection as well: the reason is what the request fails with.
    throw failureOf(isNoHttp(state.fault) ? state.fault : error, true)
  } finally {
    // An answer that came before the request was complete leaves a connection that cannot be used again.
    if (!whole) {
      keep(0)
      message.destroy()
    }
  }
}

const isNoHttp = (error: unknown): boolean => (error as { code?: string } | null)?.code?.startsWith('HPE_') === true

/** Why no answer came. A server may close a kept connection at the very moment a request leaves on it (RFC 9112 section 9.3.1). */
const failureOf = (error: unknown, sent: boolean): Error => {
  if (isIopaError(error)) return error
  if (isNoHttp(error)) return badAnswer('The peer sent what is no HTTP answer.', error)
  return linkLost({ sent }, error)
}

/** The answer that came. Its body is a stream, unless it has none. `limit` says that it is to be decoded, and how long it may become. */
export const answerOfExchange = async (method: string, stream: Exchange, limit: number | null = null): Promise<LinkAnswer> => {
  const { response } = stream
  const status = response.statusCode as number
  const fields = response.rawHeaders
  const codings = limit === null ? null : codingsIn(stream)
  const pairs: string[] = []
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] as string
    if (codings !== null && /^content-(?:encoding|length)$/i.test(name)) continue
    if (!isOfConnection(name) || name.toLowerCase() === 'content-length') pairs.push(name, fields[at + 1] as string)
  }
  const parts = {
    headers: new HeaderMap(pairs),
    type: response.headers['content-type'] ?? '',
    reason: response.statusMessage ?? '',
    keys: { 'server.Trailers': stream.trailers }
  }
  if (method === 'HEAD' || isBodyless(status) || response.headers['content-length'] === '0') {
    for await (const _ of stream.body());
    return receivedAnswer(status, parts)
  }
  return receivedAnswer(status, { ...parts, payload: codings === null ? stream.body() : decoded(stream.body(), codings, limit as number) })
}

/** Rejects an answer that is not to be decoded, and gives its connection up. */
const codingsIn = (stream: Exchange): readonly string[] | null => {
  try {
    return codingsOf(stream.response.headers['content-encoding'])
  } catch (error) {
    stream.response.destroy()
    throw error
  }
}
