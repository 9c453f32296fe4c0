import { IopaError } from '@iopa/transport'
import { OPTION, optionDefinition } from '../codec/option-registry.ts'
import type { Options, OptionValue } from '../codec/options.ts'
import { LONGEST_TOKEN, USUAL_TOKEN } from '../codec/token-length.ts'

/** An option of a request as a client gives it: its number and its value; without one the value is empty. */
export type RawOption = readonly [number: number, value?: OptionValue]

/** Options of one request, and bytes of one value: Proxy-Uri is the longest that CoAP has (RFC 7252 section 5.10). */
const MOST = 64
const LONGEST = 1034

/** The options that the client makes itself, and what makes them. */
const MADE: ReadonlyMap<number, string> = new Map([
  [OPTION.IF_MATCH, "the header 'if-match'"],
  [OPTION.ETAG, "the header 'if-none-match'"],
  [OPTION.IF_NONE_MATCH, "the header 'if-none-match'"],
  [OPTION.OBSERVE, 'observe()'],
  [OPTION.URI_PATH, "'iopa.Path'"],
  [OPTION.CONTENT_FORMAT, "'iopa.ContentType', such as application/coap-payload;cf=65001"],
  [OPTION.URI_QUERY, "'iopa.QueryString'"],
  [OPTION.ACCEPT, "the header 'accept', such as application/coap-payload;cf=65001"],
  [19, "'iopa.Body' in ordinary blocks, for there is no Q-Block here"],
  [OPTION.BLOCK2, 'the length of the answer'],
  [OPTION.BLOCK1, "'iopa.Body'"],
  [31, 'ordinary blocks, for there is no Q-Block here'],
  [OPTION.SIZE1, "'iopa.Body'"],
  [OPTION.ECHO, 'the client itself'],
  [OPTION.REQUEST_TAG, 'the client itself'],
  [OPTION.IDEMPOTENCY_KEY, "the header 'idempotency-key'"],
  [OPTION.SEEN, "the header 'iopa-seen'"],
  [OPTION.TRACEPARENT, "the header 'traceparent'"],
  [OPTION.TRACESTATE, "the header 'tracestate'"],
  [OPTION.BAGGAGE, "the header 'baggage'"]
])

const bad = (detail: string): IopaError => new IopaError(400, 'bad-coap-option', detail)

/** True where a request names its target in options, so that the host of the URL is not the one that is asked for (RFC 7252 section 5.10.2). */
export const namesHost = (given: readonly RawOption[]): boolean =>
  given.some(option => option[0] === OPTION.URI_HOST || option[0] === OPTION.PROXY_URI)

/** True for a request that another client has protected, and that is handed on (RFC 8613 section 10). */
export const isSealed = (given: readonly RawOption[] | undefined): boolean => given?.some(([number]) => number === OPTION.OSCORE) === true

/** Adds the options that a request gives as numbers and values. @throws IopaError 400 for those that the client makes itself, and for values that an option cannot have. */
export const addRawOptions = (options: Options, given: readonly RawOption[]): void => {
  const all = given
  if (!Array.isArray(given) || given.length > MOST || !given.every(Array.isArray))
    throw bad(`'coap.Options' is a list of up to ${MOST} options, each [number, value].`)
  const seen = new Set<number>()
  // The proxy that hands a protected request on says what its client wants: the client here neither registers nor cancels.
  const sealed = isSealed(all)
  for (const [number, value = NOTHING] of given) {
    if (!sealed || number !== OPTION.OBSERVE) checkNumber(number, seen.has(number))
    seen.add(number)
    checkValue(number, value)
    options.add(number, value)
  }
  if (seen.has(OPTION.PROXY_URI) && (options.has(OPTION.URI_PATH) || options.has(OPTION.URI_QUERY)))
    throw bad("Proxy-Uri is the whole URI: leave 'iopa.Path' at / and the query out (RFC 7252 section 5.10.2).")
}

const NOTHING = new Uint8Array(0)

const checkNumber = (number: number, again: boolean): void => {
  if (!Number.isInteger(number) || number < 1 || number > 65_535) throw bad(`An option has a number from 1 to 65535, not ${String(number)}.`)
  const maker = MADE.get(number)
  if (maker !== undefined) throw bad(`Option ${number} is made by ${maker}: do not give it in 'coap.Options'.`)
  if (again && optionDefinition(number)?.repeatable === false) throw bad(`Option ${number} may stand once in a request.`)
}

const checkValue = (number: number, value: unknown): void => {
  if (typeof value === 'number') {
    // The decoder reads numbers of up to six bytes.
    if (!Number.isSafeInteger(value) || value < 0 || value >= 2 ** 48) throw bad(`A number in option ${number} is whole, from 0 to 2^48 - 1.`)
  } else if (typeof value !== 'string' && !(value instanceof Uint8Array)) throw bad(`Option ${number} takes bytes, a text or a number.`)
  const length = lengthOf(value)
  const { min = 0, max = LONGEST, format = 'opaque' } = optionDefinition(number) ?? {}
  if (length < min || length > max) throw bad(`A value of option ${number} has ${min} to ${max} bytes, not ${length}.`)
  if (typeof value === 'string' ? format === 'uint' : typeof value === 'number' && format === 'string')
    throw bad(`Option ${number} takes a ${format === 'uint' ? 'number' : 'text'}.`)
}

const lengthOf = (value: Uint8Array | string | number): number => {
  if (typeof value === 'string') return Buffer.byteLength(value)
  if (typeof value !== 'number') return value.length
  let length = 0
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) length++
  return length
}

/** The longest token that is sent in a datagram, which must not be cut into fragments. */
const LONGEST_TOKEN_IN_DATAGRAM = 1024

/** Bytes of the tokens that a request asks for. @throws IopaError 400 for a length that a token cannot have. */
export const tokenLengthOf = (given: number | undefined, reliable: boolean): number => {
  if (given === undefined) return USUAL_TOKEN
  const most = reliable ? LONGEST_TOKEN : LONGEST_TOKEN_IN_DATAGRAM
  if (!Number.isInteger(given) || given < USUAL_TOKEN || given > most)
    throw bad(`'coap.TokenLength' is a number of bytes from ${USUAL_TOKEN} to ${most}, not ${String(given)}.`)
  return given
}

/** The token that a request gives itself. @throws IopaError 400 for what is no token */
export const tokenOf = (given: Uint8Array | undefined): Uint8Array | undefined => {
  if (given !== undefined && (!(given instanceof Uint8Array) || given.length < 1 || given.length > USUAL_TOKEN))
    throw bad(`'coap.Token' is a Uint8Array of 1 to ${USUAL_TOKEN} bytes.`)
  return given
}
