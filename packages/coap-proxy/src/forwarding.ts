import { type Bag, type Context, IopaError, isIopaError, type ReceivedAnswer, type Reply, reply } from '@iopa/appbuilder'
import { BodyInTurn, LargeBody, passedOn } from './bodies.ts'
import { fieldsOfSealed, optionFromHttp } from './sealed-http.ts'
import type { Target } from './targets.ts'

/** An option of a CoAP message. */
type ForwardedOption = readonly [number: number, value: Uint8Array]

/** What of a CoAP message a proxy reads (`coap.Message` of @iopa/coap). */
interface CoapMessage {
  readonly code: number
  readonly token: Uint8Array
  readonly options: Iterable<ForwardedOption>
}

const URI_HOST = 3
const HOP_LIMIT = 16
const NOTHING = new Uint8Array(0)
const OBSERVE = 6
const OSCORE = 9
/** The Observe option of a request that cancels (RFC 7641 section 2). */
const CANCEL = 1
const SIZE2 = 28
/** Seconds for which an answer of CoAP is fresh that does not say (RFC 7252 section 5.10.5). */
const DEFAULT_MAX_AGE = 60

// Options that have a meaning here, or that are made for each hop: If-Match, Uri-*, ETag, Observe, Block, Echo, Request-Tag, traces and so on.
const UNDERSTOOD: ReadonlySet<number> = new Set([
  1, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 19, 20, 23, 27, 28, 31, 35, 39, 60, 252, 258, 292, 65000, 65004, 65020, 65052, 65084
])
const MOST_OPTIONS = 32

/** Options that a proxy hands on without knowing them: those that are safe to forward (RFC 7252 section 5.4.2). */
const unknownOptions = (message: CoapMessage | undefined): ForwardedOption[] => {
  const list: ForwardedOption[] = []
  for (const [number, value] of message?.options ?? []) if ((number & 2) === 0 && !UNDERSTOOD.has(number)) list.push([number, new Uint8Array(value)])
  return list.slice(0, MOST_OPTIONS)
}

const messageOf = (holder: object): CoapMessage | undefined => (holder as { readonly 'coap.Message'?: CoapMessage })['coap.Message']

/** True for a request that came over CoAP. */
export const isCoap = (context: Context): boolean => context['iopa.Scheme'].startsWith('coap')

/** Sends a further response to a request that observes and is protected (`coap.Relay` of @iopa/coap); null where there will be none. */
export type Relay = (response: { readonly code: number; readonly options: readonly ForwardedOption[]; readonly payload: Uint8Array } | null) => void

/** Undefined where a request has one response. */
export const relayOf = (context: Context): Relay | undefined => (context as { readonly 'coap.Relay'?: Relay })['coap.Relay']

/** The OSCORE option of a request that is protected from end to end; undefined for others. @throws IopaError 400 for one over HTTP that is malformed */
const oscoreOf = (context: Context): ForwardedOption | undefined => {
  const option = isCoap(context) ? [...(messageOf(context)?.options ?? [])].find(([number]) => number === OSCORE)?.[1] : optionFromHttp(context)
  return option === undefined ? undefined : [OSCORE, option]
}

/** True for a request that is protected from end to end. */
export const isProtected = (context: Context): boolean => oscoreOf(context) !== undefined

/** The Observe option of a request: 0 to register, 1 to cancel. */
export const observeOf = (context: Context): number | undefined =>
  [...(messageOf(context)?.options ?? [])].find(([number]) => number === OBSERVE)?.[1].reduce((value, byte) => value * 256 + byte, 0)

/** The token of a request; empty for one that is not of CoAP. */
export const tokenOf = (context: Context): Uint8Array => messageOf(context)?.token ?? NOTHING

/** How many proxies a request may pass behind this one. @throws IopaError 508 where that is none (RFC 8768 section 3). */
export const hopsLeft = (context: Context, hopLimit: number): number => {
  const message = messageOf(context)
  const given = [...(message?.options ?? [])].find(([number]) => number === HOP_LIMIT)?.[1]
  // The proxy that puts Hop-Limit in does not count itself. HTTP has a list of proxies in its place (RFC 9110 section 7.6.3).
  const left = given !== undefined ? uint(given) - 1 : hopLimit - (message === undefined ? viasOf(context) : 0)
  if (left < 1) throw new IopaError(508, 'hop-limit-reached', 'The request has passed as many proxies as it may: it may go in a circle.')
  return left
}

const viasOf = (context: Context): number =>
  context['iopa.Headers'].getAll('via').reduce((count, field) => count + field.split(',').filter(part => part.trim() !== '').length, 0)

/** Header fields that CoAP has an option for; no other one goes to the server, credentials least of all. */
const FIELDS = ['if-match', 'if-none-match', 'idempotency-key', 'content-encoding', 'traceparent', 'tracestate', 'baggage']

const headersOf = (context: Context): string[][] => {
  const fields = context['iopa.Headers']
  const headers: string[][] = []
  for (const name of FIELDS) {
    const value = fields.getAll(name).join(', ')
    if (value !== '') headers.push([name, value])
  }
  // CoAP asks for one format or for none: of several the server chooses.
  const accept = fields.getAll('accept').join(',')
  if (accept !== '' && !/[,*]|text\/event-stream/.test(accept)) headers.push(['accept', accept])
  return headers
}

/** A large body goes on to a client of CoAP in blocks, if its size is known. */
const sizeWanted = (context: Context): ForwardedOption[] =>
  isCoap(context) && !isProtected(context) && context['iopa.Method'] === 'GET' ? [[SIZE2, new Uint8Array(0)]] : []

/** The request to the server, without its body. */
export const requestTo = (target: Target, path: string, context: Context, hops: number): Bag => {
  const method = context['iopa.Method']
  const oscore = oscoreOf(context)
  // Of a protected message nothing but its option has a meaning outside.
  const sealedHttp = oscore !== undefined && !isCoap(context)
  return {
    'iopa.Method': method === 'HEAD' ? 'GET' : method,
    'iopa.Path': path,
    'iopa.QueryString': context['iopa.QueryString'],
    'iopa.Headers': (sealedHttp ? [] : headersOf(context)) as unknown as Bag['iopa.Headers'],
    ...(context['iopa.ContentType'] === '' || sealedHttp ? undefined : { 'iopa.ContentType': context['iopa.ContentType'] }),
    'iopa.CallCancelled': context['iopa.CallCancelled'],
    'coap.StreamAnswer': true,
    // The connection goes to the address of a name, which the server is to hear.
    'coap.Options': [
      ...(target.literal ? [] : [[URI_HOST, target.host] as const]),
      ...(oscore !== undefined && observeOf(context) === CANCEL ? [[OBSERVE, CANCEL] as const] : []),
      ...(sealedHttp ? [oscore] : []),
      [HOP_LIMIT, hops],
      ...sizeWanted(context),
      ...unknownOptions(messageOf(context))
    ]
  } as Bag
}

/** The request with an entity tag of an answer that is kept here. */
export const withTag = (request: Bag, etag: string): Bag => {
  const headers = request['iopa.Headers'] as unknown as string[][]
  const tags = headers.find(([name]) => name === 'if-none-match')?.[1]
  const others = headers.filter(([name]) => name !== 'if-none-match')
  return {
    ...request,
    'iopa.Headers': [...others, ['if-none-match', tags === undefined ? etag : `${tags}, ${etag}`]] as unknown as Bag['iopa.Headers']
  }
}

/** The body of a request: one that changes something is passed on while it comes, where it is large. */
export const requestBodyOf = async (context: Context): Promise<Uint8Array | LargeBody | null> => {
  const isQuestion = ['GET', 'HEAD', 'FETCH'].includes(context['iopa.Method'].toUpperCase())
  const given = context['iopa.Body']
  if (given === null || given instanceof Uint8Array || isQuestion || isProtected(context)) return whole(await context.bytes())
  const announced = Number(context['iopa.Headers'].get('content-length') ?? Number.NaN)
  return passedOn(given, Number.isSafeInteger(announced) ? { size: announced } : {})
}

/** An answer of a server, with its body in memory unless that is large. */
export interface ForwardedAnswer {
  readonly status: number
  /** The code byte of the answer. */
  readonly code: number
  readonly body: Uint8Array | LargeBody | null
  readonly headers: readonly (readonly [string, string])[]
  readonly options: readonly ForwardedOption[]
}

const ANSWER_FIELDS = ['etag', 'cache-control', 'retry-after', 'content-encoding', 'traceparent']

/** How the body of an answer is read: whole, or passed on where it is large. */
export interface ReadingInit {
  /** Most bytes that are passed on. */
  readonly most: number
  /** Called when the body has been read, or is not wanted. */
  readonly done: () => void
}

/** Reads an answer. `base` is the path of the target here, for the Location of what was made. */
export const answerFrom = async (answer: ReceivedAnswer, base: string, reading?: ReadingInit): Promise<ForwardedAnswer> => {
  const body = reading === undefined ? whole(await answer.bytes()) : await passedOn(answer.body, { ...reading, size: sizeOf(answer) })
  const headers: [string, string][] = []
  for (const name of ANSWER_FIELDS) {
    const value = answer.headers.get(name)
    if (value !== undefined) headers.push([name, value])
  }
  const location = answer.headers.get('location')
  if (location !== undefined) headers.push(['location', location.startsWith('/') ? base + location : location])
  if (answer.type !== '') headers.push(['content-type', answer.type])
  const message = messageOf(answer)
  const options = unknownOptions(message)
  const isSealed = options.some(([number]) => number === OSCORE)
  // That there will be others; each hop numbers them by itself.
  const observe = [...(message?.options ?? [])].find(([number]) => number === OBSERVE)
  if (isSealed && observe !== undefined) options.unshift(observe)
  if (isSealed) headers.push(['cache-control', 'no-store'])
  else if (answer.status === 200 && answer.headers.get('cache-control') === undefined) headers.push(['cache-control', `max-age=${DEFAULT_MAX_AGE}`])
  return { status: answer.status, code: message?.code ?? 0, body, headers, options }
}

/** How often an answer is asked for again because it changed while its blocks came. */
const RESTARTS = 3

/** Asks again where a short answer changed while it was collected: a client that streams leaves that to its caller. */
export const untilStable = async (method: string | undefined, ask: () => Promise<ForwardedAnswer>): Promise<ForwardedAnswer> => {
  for (let restarts = 0; ; restarts++)
    try {
      return await ask()
    } catch (error) {
      const isSafe = method === 'GET' || method === 'FETCH'
      if (!isSafe || restarts === RESTARTS || !isIopaError(error) || error.code !== 'unstable-answer') throw error
    }
}

const whole = (bytes: Uint8Array): Uint8Array | null => (bytes.length === 0 ? null : bytes)

/** Bytes of the body, as the server says (RFC 7959 section 4). */
const sizeOf = (answer: ReceivedAnswer): number | undefined => {
  const value = [...(messageOf(answer)?.options ?? [])].find(([number]) => number === SIZE2)?.[1]
  return value === undefined || value.length > 6 ? undefined : uint(value)
}

const uint = (value: Uint8Array): number => value.reduce((number, byte) => number * 256 + byte, 0)

/** Statuses of HTTP for codes of CoAP that mean something else there (RFC 8075 section 7). */
const HTTP_STATUS: Readonly<Record<number, number>> = { 402: 400, 408: 400, 505: 502 }

/** Header fields for caches of HTTP between here and the client: what the cache key of CoAP has beside the URI, and whether it is for one user alone (RFC 9111 section 5.2.2.7). */
const forHttpCaches = (context: Context, headers: ForwardedAnswer['headers']): [string, string][] => {
  const fields = headers.map(([name, value]): [string, string] => [name, value])
  // What an observer gets is kept by none.
  if ((context['iopa.Method'] !== 'GET' && context['iopa.Method'] !== 'HEAD') || context['iopa.Observe'] === true || context['server.IsNotification'])
    return fields
  fields.push(['vary', 'accept'])
  const control = fields.find(([name]) => name === 'cache-control')
  if (control !== undefined && context.user !== undefined) control[1] = `private, ${control[1]}`
  return fields
}

/** The answer of the app. */
export const answerTo = (context: Context, { status, body: given, headers, options }: ForwardedAnswer): Reply => {
  // It may never be read: of HEAD, or where the peer has what it is.
  if (given instanceof LargeBody) context.defer(() => void given.return())
  const body = given instanceof LargeBody && given.size !== undefined && isCoap(context) ? new BodyInTurn(given, given.size) : given
  if (isCoap(context)) {
    if (options.length > 0) (context as unknown as Record<string, unknown>)['coap.ResponseOptions'] = options
    return reply(
      status,
      body,
      headers.map(([name, value]) => [name, value] as [string, string])
    )
  }
  const oscore = options.find(([number]) => number === OSCORE)
  // The code outside says nothing (RFC 8613 section 11.1).
  if (oscore !== undefined) return reply(200, body, fieldsOfSealed(oscore[1]))
  return reply(HTTP_STATUS[status] ?? status, body, forHttpCaches(context, headers))
}
