import { type Codec, type CodecTable, describeValue, encodeJson, listItems, MEDIA_TYPES, mediaTypeEssence } from '@iopa/constants'
import { BlobBody, multipartOf } from './blob-body.ts'
import { bytesOfView } from './bytes.ts'
import { textUnder } from './charset.ts'
import { abandonValue, abandonWithin } from './held-bodies.ts'
import type { Payload } from './payload-stream.ts'
import type { Reply } from './reply.ts'
import { chunksOf, type Source, sendPromptly } from './source-streams.ts'
import { KIND, type Kind, kindOf, unsendable } from './value-kind.ts'

/** A payload and the content type that says what it is. */
export interface Encoded {
  readonly payload: Payload
  readonly type: string
}

/** Chooses the codec of a value that has no content type. */
export type Choose = (value: unknown) => Codec

/**
 * Encodes a body, whatever it is: the table in docs/spec/context.md says how. A value is encoded by the codec of its
 * content type, as JSON without a type. @throws TypeError for a value that cannot be sent, or a type that is none.
 */
export const encodeBody = (body: unknown, type: string, codecs: CodecTable): Encoded => {
  if (type !== '') checkMediaType(type)
  return encodeKind(kindOf(body), body, type, codecs)
}

/** As `encodeBody`, for a body of which the kind is known; `choose` may give a value without a type another form than JSON. */
export const encodeKind = (kind: Kind, body: unknown, type: string, codecs: CodecTable, choose?: Choose): Encoded => {
  switch (kind) {
    case KIND.Value:
      return encodeValue(body, type, codecs, choose)
    case KIND.Text:
      return type === '' ? { payload: String(body), type: MEDIA_TYPES.Text } : { payload: textUnder(type, String(body)), type }
    case KIND.Bytes:
      return { payload: bytesOfView(body as object), type: type || MEDIA_TYPES.OctetStream }
    case KIND.Stream:
      return { payload: chunksOf(body as Source), type: type || MEDIA_TYPES.OctetStream }
    case KIND.Parts:
      // It keeps its methods: block-wise and range requests use them.
      return { payload: body as AsyncIterable<Uint8Array>, type: type || MEDIA_TYPES.OctetStream }
    case KIND.Items:
      return encodeItems(body as Iterable<unknown>, type, codecs, choose)
    case KIND.Blob:
      return { payload: new BlobBody(body as Blob), type: type || (body as Blob).type || MEDIA_TYPES.OctetStream }
    case KIND.Form:
      return takesText(type) ? { payload: String(body), type: type || FORM } : encodeValue([...(body as URLSearchParams)], type, codecs)
    case KIND.Multipart:
      return multipartOf(body as FormData)
    case KIND.Reply:
      return encodeBody((body as Reply).body, type, codecs)
    case KIND.Answer: {
      const answer = body as { readonly sealed: boolean; readonly payload: Payload; readonly type: string; readonly body: unknown }
      if (answer.sealed) return { payload: answer.payload, type: type || answer.type }
      return encodeBody(answer.body, type || answer.type, codecs)
    }
    case KIND.Response: {
      const response = body as Response
      const stated = type || response.headers.get('content-type') || ''
      return response.body === null ? { payload: null, type: stated } : encodeBody(sendPromptly(response.body), stated, codecs)
    }
    case KIND.Error:
      throw body
    default:
      abandonValue(body)
      throw unsendable(body)
  }
}

const FORM = 'application/x-www-form-urlencoded;charset=UTF-8'

const encodeValue = (value: unknown, type: string, codecs: CodecTable, choose?: Choose): Encoded => {
  try {
    return valueUnder(type, value, codecs, choose)
  } catch (error) {
    abandonWithin(value)
    throw error
  }
}

const valueUnder = (type: string, value: unknown, codecs: CodecTable, choose?: Choose): Encoded => {
  if (type === '') {
    const chosen = choose?.(value)
    if (chosen === undefined || chosen.mediaType === MEDIA_TYPES.Json) return { payload: encodeJson(value), type: MEDIA_TYPES.Json }
    return { payload: chosen.encode(value), type: chosen.mediaType }
  }
  const codec = codecs.find(type)
  if (codec !== undefined) {
    const payload = codec.encode(value)
    return { payload: typeof payload === 'string' ? textUnder(type, payload) : payload, type }
  }
  if ((typeof value === 'number' || typeof value === 'boolean') && takesText(type)) return { payload: String(value), type }
  // JSON under another label would be read as what it is not.
  const kind = value === null ? 'null' : typeof value === 'object' ? describeValue(value) : `a ${typeof value}`
  throw new TypeError(`${kind} has no form of type '${type}': give the app a codec for that in 'codecs', or send bytes or text`)
}

/** True for a content type whose body is text as it is written: a form, or any text. */
const takesText = (type: string): boolean => type === '' || /^(?:text\/|application\/x-www-form-urlencoded$)/.test(mediaTypeEssence(type))

const isChunk = (item: unknown): boolean => {
  if (typeof item === 'string') return true
  if (typeof item !== 'object' || item === null) return false
  // A promise may give bytes or text; if it gives something else the stream fails.
  return kindOf(item) === KIND.Bytes || typeof (item as { then?: unknown }).then === 'function'
}

/** A synchronous iterable is a stream when its first item is bytes or text, otherwise a list. */
const encodeItems = (items: Iterable<unknown>, type: string, codecs: CodecTable, choose?: Choose): Encoded => {
  const iterator = items[Symbol.iterator]()
  const first = iterator.next()
  if (first.done === true) return type === '' || codecs.find(type) !== undefined ? encodeValue([], type, codecs, choose) : { payload: '', type }
  if (!isChunk(first.value)) return encodeValue(listItems(iterator, [first.value]), type, codecs, choose)
  return { payload: chunksOf(new Resumed(first, iterator)), type: type || MEDIA_TYPES.OctetStream }
}

/** An iterator of which the first item has been taken already. */
class Resumed implements IterableIterator<unknown> {
  #first: IteratorResult<unknown> | null
  readonly #rest: Iterator<unknown>

  constructor(first: IteratorResult<unknown>, rest: Iterator<unknown>) {
    this.#first = first
    this.#rest = rest
  }

  next(): IteratorResult<unknown> {
    const first = this.#first
    this.#first = null
    return first ?? this.#rest.next()
  }

  return(): IteratorResult<unknown> {
    return this.#rest.return?.() ?? { done: true, value: undefined }
  }

  [Symbol.iterator](): this {
    return this
  }
}

// RFC 9110 section 8.3.1: a type and a subtype are tokens, parameters are visible ASCII.
const MEDIA_TYPE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+\/[!#$%&'*+\-.^_`|~0-9A-Za-z]+[\t ]*(?:;[\t\x20-\x7e]*)?$/

/** @throws TypeError for a content type that is none: peers refuse it, or read the body as something else. */
export const checkMediaType = (type: string): void => {
  if (!MEDIA_TYPE.test(type)) throw new TypeError(`'${type}' is not a media type; write one such as 'text/html; charset=utf-8'`)
}
