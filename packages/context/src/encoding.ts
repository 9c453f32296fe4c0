import { type CodecTable, encodeJson, MEDIA_TYPES } from '@iopa/constants'
import { chunksOf, isStreamed } from './payload-stream.ts'

/** A body as it goes over the wire; a string is UTF-8 text. */
export type Payload = string | Uint8Array | AsyncIterable<Uint8Array> | null

/** A payload and the content type that says what it is. */
export interface Encoded {
  readonly payload: Payload
  readonly type: string
}

const isRandomAccess = (value: object): boolean =>
  typeof (value as { read?: unknown }).read === 'function' && typeof (value as { size?: unknown }).size === 'number'

/**
 * Encodes what a handler has set as body: string, bytes, a stream of bytes, or a value that the codec of its content
 * type takes (JSON without one). @throws TypeError for a value without a form.
 */
export const encodeBody = (body: unknown, type: string, codecs: CodecTable): Encoded => {
  if (typeof body === 'string') return { payload: body, type: type || MEDIA_TYPES.Text }
  if (body instanceof Uint8Array) return { payload: body, type: type || MEDIA_TYPES.OctetStream }
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) {
    if (body instanceof ArrayBuffer) return { payload: new Uint8Array(body), type: type || MEDIA_TYPES.OctetStream }
    if (isStreamed(body)) {
      // A random-access body keeps its methods: block-wise and range requests use them.
      return { payload: isRandomAccess(body) ? (body as AsyncIterable<Uint8Array>) : chunksOf(body), type: type || MEDIA_TYPES.OctetStream }
    }
  }
  if (type === '') return { payload: encodeJson(body), type: MEDIA_TYPES.Json }
  const codec = codecs.find(type)
  return { payload: codec === undefined ? encodeJson(body) : codec.encode(body), type }
}
