import type { CodecTable, RandomAccessBody, SealedAnswer } from '@iopa/transport'
import { CODE, codeOfStatus } from '../codec/codes.ts'
import { nearestFormatOf } from '../codec/content-formats.ts'
import { contentOption, etagOption, sameEtag } from '../codec/etag.ts'
import { DEFAULT_MAX_AGE, LONGEST_CODE, OPTION } from '../codec/option-registry.ts'
import type { Options, OptionValue } from '../codec/options.ts'
import { encodeProblem } from '../formats/problem-details.ts'
import type { CoapRequest } from './request.ts'

const NOTHING = new Uint8Array(0)
const NONE = -1
/** The Content-Format of concise problem details (RFC 9290). */
export const PROBLEM_FORMAT = 257

/** An answer in the terms of CoAP, before it is cut into blocks. An integer is -1 where the option is absent. */
export interface Representation {
  code: number
  contentFormat: number
  maxAge: number
  etag: Uint8Array | undefined
  /** The Location-Path and Location-Query options, decoded. */
  location: Location | undefined
  /** The body; or its beginning in memory, where the other blocks are read by requests of their own; or a body that is read in parts. */
  payload: Uint8Array | RandomAccessBody
  /** Bytes of the whole body. */
  size: number
  /** Code of the error that this is, beside its text; absent for none. */
  problemCode?: string | undefined
  /** Options that a proxy hands on as they came; absent where there are none. */
  forwarded?: readonly (readonly [number: number, value?: OptionValue])[] | undefined
}

interface Location {
  readonly path: readonly string[]
  readonly query: readonly string[]
}

/** Options that belong to one message and not to what it carries. */
export interface MessageOptions {
  readonly observe: number
  readonly block1: number
  readonly block2: number
  readonly size1: number
  readonly size2: number
}

/** True for a body that is read in parts. */
const isRandomAccess = (payload: unknown): payload is RandomAccessBody =>
  typeof payload === 'object' &&
  payload !== null &&
  typeof (payload as Partial<RandomAccessBody>).read === 'function' &&
  typeof (payload as Partial<RandomAccessBody>).size === 'number'

/** A representation with a code and a diagnostic text only (RFC 7252 section 5.5.2). */
export const diagnostic = (code: number, text: string): Representation => representationOf(code, text === '' ? NOTHING : Buffer.from(text))

const representationOf = (code: number, payload: Uint8Array): Representation => ({
  code,
  contentFormat: NONE,
  maxAge: NONE,
  etag: undefined,
  location: undefined,
  payload,
  size: payload.length
})

/** Gives a representation a body in memory. */
const setPayload = (representation: Representation, payload: Uint8Array, contentFormat: number): void => {
  representation.payload = payload
  representation.size = payload.length
  representation.contentFormat = contentFormat
}

/** Content-Format numbers of the types that answers have; an app has few, so they are kept. */
export class FormatTable {
  readonly #known = new Map<string, number>()
  readonly #codecs: CodecTable

  constructor(codecs: CodecTable) {
    this.#codecs = codecs
  }

  /** The Content-Format of a media type, -1 for one that has none. */
  find(type: string, coding?: string): number {
    const key = coding === undefined ? type : `${type} ${coding}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const found = nearestFormatOf(type, coding) ?? this.#codecs.find(type)?.contentFormat ?? NONE
    if (this.#known.size >= 256) this.#known.clear()
    this.#known.set(key, found)
    return found
  }
}

/** The answer to a request of code `method`; `accept` is the Content-Format that it prefers, or -1. The payload of a stream must have been collected. */
export const represent = (answer: SealedAnswer, method: number, accept: number, formats: FormatTable): Representation => {
  const { status, excerpt, isProblem, payload, type, headerPairs } = answer
  const representation = representationOf(codeOfStatus(status, method), NOTHING)
  const headed = headerPairs.length > 0
  if (isProblem) representProblem(representation, answer, accept)
  else if (excerpt !== null) {
    // It has changed again while its beginning was read.
    if (excerpt.start.length === 0) return { ...diagnostic(CODE.SERVICE_UNAVAILABLE, 'The resource is changing; ask again.'), maxAge: 1 }
    setPayload(representation, excerpt.start, formats.find(excerpt.type))
    representation.size = excerpt.size
  } else if (payload !== null) {
    const format = formats.find(type, headed ? answer.headers.get('content-encoding') : undefined)
    if (typeof payload === 'string') setPayload(representation, encodeText(payload), format)
    else if (isRandomAccess(payload)) {
      representation.payload = payload
      representation.size = payload.size
      representation.contentFormat = format
    } else setPayload(representation, answer.isStream ? NOTHING : answer.payloadBytes, format)
  }
  if (headed) readHeaders(representation, answer)
  if (status >= 300 && status < 400 && status !== 304) readTarget(representation, answer)
  // RFC 7252 section 5.9.1.3: 2.03 carries no payload.
  if (representation.code === CODE.VALID) setPayload(representation, NOTHING, NONE)
  return representation
}

/** Text up to this length is written character by character, which is faster than a call into the runtime. */
const SHORT_TEXT = 48

/** The bytes of a text in UTF-8. */
const encodeText = (text: string): Uint8Array => {
  const { length } = text
  if (length > SHORT_TEXT) return Buffer.from(text)
  const bytes = Buffer.allocUnsafe(length)
  for (let at = 0; at < length; at++) {
    const unit = text.charCodeAt(at)
    if (unit > 127) return Buffer.from(text)
    bytes[at] = unit
  }
  return bytes
}

const representProblem = (representation: Representation, answer: SealedAnswer, accept: number): void => {
  const { title, status, detail, type, code, ...members } = answer.problem
  if (accept === PROBLEM_FORMAT) {
    const problem = { title, detail, responseCode: representation.code, type, status, members: code === undefined ? members : { ...members, code } }
    setPayload(representation, encodeProblem(problem), accept)
  } else {
    setPayload(representation, Buffer.from(detail || title), NONE)
    representation.problemCode = code
  }
}

const readHeaders = (representation: Representation, answer: SealedAnswer): void => {
  const { headers } = answer
  const etag = headers.get('etag')
  if (etag !== undefined) representation.etag = etagOption(etag)
  const control = headers.get('cache-control')
  if (control !== undefined) {
    const age = /(?:^|[\s,])max-age=(\d{1,10})/i.exec(control)
    if (/(?:^|[\s,])no-(?:cache|store)/i.test(control)) representation.maxAge = 0
    else if (age !== null) representation.maxAge = Math.min(Number(age[1]), 0xffffffff)
  }
  const retry = headers.get('retry-after')
  if (retry !== undefined && /^\d{1,9}$/.test(retry)) representation.maxAge = Number(retry)
  const location = headers.get('location')
  if (location !== undefined && representation.code >> 5 === 2) representation.location = readLocation(location)
}

/** CoAP has no redirects: 5.00 says where by Location-Path and Location-Query, or in its diagnostic payload for another server. */
const readTarget = (representation: Representation, answer: SealedAnswer): void => {
  const location = answer.headers.get('location')
  if (location === undefined) return
  if (/^\/(?!\/)/.test(location)) representation.location = readLocation(location)
  if (representation.location === undefined && representation.size === 0)
    setPayload(representation, Buffer.from(`The resource is at ${location}`), NONE)
}

const readLocation = (location: string): Location | undefined => {
  let url: URL
  try {
    url = new URL(location, 'coap://localhost/')
    return {
      path: url.pathname === '/' ? [] : url.pathname.slice(1).split('/').map(decodeURIComponent),
      query: url.search === '' ? [] : url.search.slice(1).split('&').map(decodeURIComponent)
    }
  } catch {
    return undefined
  }
}

/** Writes the options of a message in the order of their numbers. */
export const writeRepresentation = (writer: Options, representation: Representation, message: MessageOptions): Options => {
  const { etag, location, contentFormat, maxAge } = representation
  writer.reset()
  if (etag !== undefined) writer.add(OPTION.ETAG, etag)
  if (message.observe !== NONE) writer.add(OPTION.OBSERVE, message.observe)
  if (location !== undefined) for (const segment of location.path) writer.add(OPTION.LOCATION_PATH, segment)
  if (contentFormat !== NONE) writer.add(OPTION.CONTENT_FORMAT, contentFormat)
  if (maxAge !== NONE && maxAge !== DEFAULT_MAX_AGE) writer.add(OPTION.MAX_AGE, maxAge)
  if (location !== undefined) for (const part of location.query) writer.add(OPTION.LOCATION_QUERY, part)
  if (message.block2 !== NONE) writer.add(OPTION.BLOCK2, message.block2)
  if (message.block1 !== NONE) writer.add(OPTION.BLOCK1, message.block1)
  if (message.size2 !== NONE) writer.add(OPTION.SIZE2, message.size2)
  if (message.size1 !== NONE) writer.add(OPTION.SIZE1, message.size1)
  if (representation.forwarded !== undefined) for (const [number, value] of representation.forwarded) writer.add(number, value)
  if (representation.problemCode !== undefined) addProblemCode(writer, representation.problemCode)
  return writer
}

/** Adds the code of an error to its response: text for people has no place for it, and a peer that does not know the option leaves it out. */
export const addProblemCode = (writer: Options, code: string): Options =>
  code.length <= LONGEST_CODE && /^[\w.:-]+$/.test(code) ? writer.add(OPTION.PROBLEM_CODE, code) : writer

/** The same for a peer that is not verified, of which each byte counts. */
export const withoutCode = (representation: Representation): Representation =>
  representation.problemCode === undefined ? representation : { ...representation, problemCode: undefined }

/** What a request is answered with where its handler answers 2.05: 2.03 where the client has that already, 4.06 where Accept cannot be met. */
export const fitted = (request: CoapRequest, given: Representation): Representation => {
  // If-None-Match asks that there be nothing, of a GET as well (RFC 7252 section 5.10.8.2); for the app it is the `*` that 304 answers.
  if (given.code === CODE.VALID && request.conditional && request.message.options.has(OPTION.IF_NONE_MATCH))
    return diagnostic(CODE.PRECONDITION_FAILED, 'The resource exists already.')
  if (given.code !== CODE.CONTENT) return given
  const representation = request.etagged ? validated(request, given) : given
  // RFC 7252 section 5.10.4.
  const unfit =
    representation.code === CODE.CONTENT && request.accept !== NONE && representation.contentFormat !== request.accept && representation.size > 0
  return unfit ? diagnostic(CODE.NOT_ACCEPTABLE, 'The resource has no representation in the format that Accept asks for.') : representation
}

/** 2.03 without payload where an ETag of the request is that of the representation (RFC 7252 section 5.10.6.2). */
const validated = (request: CoapRequest, representation: Representation): Representation => {
  const { payload, size } = representation
  // Only a whole body in memory has a tag by its content.
  const etag = representation.etag ?? (payload instanceof Uint8Array && payload.length === size ? contentOption(payload) : undefined)
  if (etag === undefined || !request.etags(OPTION.ETAG).some(tag => sameEtag(tag, etag))) return representation
  return { ...representation, code: CODE.VALID, etag, contentFormat: NONE, payload: NOTHING, size: 0 }
}
