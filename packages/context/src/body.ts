import { type Body, type Codec, type CodecTable, IopaError, mediaTypeEssence } from '@iopa/constants'
import { checkJsonCharset } from './charset.ts'

/** A stream that can also be read whole, faster than by iterating; a transport may give one as body. */
export interface BodyStream extends AsyncIterable<Uint8Array> {
  /** All bytes; rejects with IopaError 413 beyond `limit` bytes. */
  bytes(limit: number): Promise<Uint8Array>
}

/** The error for a body beyond its limit. */
export const bodyTooLarge = (limit: number): IopaError =>
  new IopaError(413, 'body-too-large', `The body is larger than ${limit} bytes; send less, or ask the operator for a higher limit.`)

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

/** Reads a stream whole. @throws IopaError 413 beyond `limit` bytes. */
export const collectBytes = async (stream: AsyncIterable<Uint8Array>, limit: number): Promise<Uint8Array<ArrayBuffer>> => {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of stream) {
    length += chunk.length
    if (length > limit) throw bodyTooLarge(limit)
    chunks.push(chunk)
  }
  return concatBytes(chunks, length)
}

/** All bytes of a body, within `limit`. @throws IopaError 413. */
export const readBody = (body: Body, limit: number): Uint8Array | Promise<Uint8Array> => {
  if (body === null) return new Uint8Array(0)
  if (body instanceof Uint8Array) {
    if (body.length > limit) throw bodyTooLarge(limit)
    return body
  }
  const stream = body as Partial<BodyStream> & AsyncIterable<Uint8Array>
  return typeof stream.bytes === 'function' ? stream.bytes(limit) : collectBytes(stream, limit)
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
export const decodeJson = (bytes: Uint8Array, contentType: string, codecs: CodecTable): unknown => {
  const codec = jsonCodecFor(contentType, codecs)
  return codec.decode(bytes)
}

/** Refuses a content type that `json()` cannot read, before the body is awaited. @throws IopaError 415. */
export const checkJsonType = (contentType: string, codecs: CodecTable): void => void jsonCodecFor(contentType, codecs)
