import { type Body, type Codec, type CodecTable, IopaError, mediaTypeEssence } from '@iopa/constants'
import { checkJsonCharset, textOf } from './charset.ts'
import type { BodyHolder } from './held-bytes.ts'

/** A stream that can also be read whole, faster than by iterating; a transport may give one as body. */
export interface BodyStream extends AsyncIterable<Uint8Array> {
  /** All bytes, at once where they are there; rejects with IopaError 413 beyond `limit` bytes. What it collects is counted with `holdBytes`. */
  bytes(limit: number, holder?: BodyHolder): Uint8Array | Promise<Uint8Array>
}

/** The error for a body beyond its limit. */
export const bodyTooLarge = (limit: number): IopaError =>
  new IopaError(413, 'body-too-large', `The body is larger than ${limit} bytes; send less, or ask the operator for a higher limit.`)

/** Bytes of a body that is not counted: smaller ones are bounded by the requests in work. */
export const UNCOUNTED: number = 16 * 1024

/** What a body counts, in times its bytes, once it has been read as text. */
const AS_TEXT = 2

/** What a body counts once it has been read as a value of JSON: an array or object takes some 64 bytes, what is in it 16, whatever their text takes. */
const valueSize = (bytes: Uint8Array): number => {
  let size = bytes.length * AS_TEXT
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === 44 || byte === 58) size += 16
    else if (byte === 91 || byte === 123) size += 64
  }
  return size
}

/** Counts bytes that a request holds in memory, small ones aside. @throws IopaError 503 when the bodies of the app have no room. */
export const holdBytes = (holder: BodyHolder | undefined, bytes: number, body?: object): void => {
  if (bytes > UNCOUNTED) holder?.environment.bodies?.hold(holder, bytes, body)
}

/** Joins chunks into one array; a single chunk is returned as it is. */
export const concatBytes = (chunks: readonly Uint8Array[], length?: number): Uint8Array<ArrayBuffer> => {
  if (chunks.length === 1) return chunks[0] as Uint8Array<ArrayBuffer>
  const total = length ?? chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  const bytes = new Uint8Array(total)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}

/** Reads a stream whole. @throws IopaError 413 beyond `limit` bytes, 503 when the bodies that `holder` counts for have no room. */
export const collectBytes = async (
  stream: AsyncIterable<Uint8Array>,
  limit: number,
  holder?: BodyHolder,
  body?: object
): Promise<Uint8Array<ArrayBuffer>> => {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of stream) {
    length += chunk.length
    if (length > limit) throw bodyTooLarge(limit)
    holdBytes(holder, length, body)
    chunks.push(chunk)
  }
  return concatBytes(chunks, length)
}

/** All bytes of a body, within `limit`. @throws IopaError 413. */
export const readBody = (body: Body, limit: number, holder?: BodyHolder): Uint8Array | Promise<Uint8Array> => {
  if (body === null) return new Uint8Array(0)
  if (body instanceof Uint8Array) {
    if (body.length > limit) throw bodyTooLarge(limit)
    holdBytes(holder, body.length)
    return body
  }
  const stream = body as Partial<BodyStream> & AsyncIterable<Uint8Array>
  return typeof stream.bytes === 'function' ? stream.bytes(limit, holder) : collectBytes(stream, limit, holder)
}

/** The text of a body, in the charset of its content type. @throws IopaError 400, 415. */
export const readText = (bytes: Uint8Array, contentType: string, holder: BodyHolder): string => {
  holdBytes(holder, bytes.length * AS_TEXT)
  return textOf(bytes, contentType)
}

const jsonCodecFor = (contentType: string, codecs: CodecTable): Codec => {
  if (contentType === '' || contentType === 'application/json') return codecs.find('application/json') as Codec
  const essence = mediaTypeEssence(contentType)
  const codec = codecs.find(essence)
  if (codec !== undefined && essence !== 'text/plain' && essence !== 'application/octet-stream') {
    checkJsonCharset(contentType)
    return codec
  }
  throw new IopaError(415, 'not-json', `This resource takes JSON, not '${essence}'; add the header 'content-type: application/json'.`)
}

/** The value of a body that is JSON, or of another type whose codec the app has been given. @throws IopaError 400, 415. */
export const decodeJson = (bytes: Uint8Array, contentType: string, codecs: CodecTable, holder?: BodyHolder): unknown => {
  const codec = jsonCodecFor(contentType, codecs)
  if (bytes.length > UNCOUNTED) holdBytes(holder, codec.valueSize?.(bytes) ?? valueSize(bytes))
  return codec.decode(bytes)
}

/** Refuses a content type that `json()` cannot read, before the body is awaited. @throws IopaError 415. */
export const checkJsonType = (contentType: string, codecs: CodecTable): void => void jsonCodecFor(contentType, codecs)
