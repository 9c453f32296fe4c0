import { IopaError } from './errors.ts'
import { mediaTypeEssence } from './media-types.ts'

/** How values of one media type become bytes and back. */
export interface Codec {
  /** Essence in lower case, such as `application/cbor`. */
  readonly mediaType: string
  /** CoAP Content-Format number (RFC 7252 section 12.3), where one is registered. */
  readonly contentFormat?: number
  /** May throw; the answer is then 500. */
  encode(value: unknown): Uint8Array | string
  /** Throws an IopaError of status 400 for bytes that are not of this type. */
  decode(bytes: Uint8Array): unknown
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Text of UTF-8 bytes. @throws IopaError 400 `malformed-text` where they are not UTF-8. */
export const decodeText = (bytes: Uint8Array): string => {
  try {
    return utf8.decode(bytes)
  } catch {
    throw new IopaError(400, 'malformed-text', 'The body is not valid UTF-8.')
  }
}

const poisoned = (root: unknown): boolean => {
  const open: unknown[] = [root]
  for (let value = open.pop(); open.length > 0 || value !== undefined; value = open.pop()) {
    if (typeof value !== 'object' || value === null) continue
    if (Object.hasOwn(value, '__proto__')) return true
    if (Object.hasOwn(value, 'constructor')) {
      const own: unknown = (value as { constructor: unknown }).constructor
      if (typeof own === 'object' && own !== null && Object.hasOwn(own, 'prototype')) return true
    }
    for (const key of Object.keys(value)) open.push((value as Record<string, unknown>)[key])
  }
  return false
}

/** The value of a JSON text. @throws IopaError 400 for malformed JSON, and for `__proto__` or `constructor.prototype` as keys. */
export const parseJson = (text: string): unknown => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new IopaError(400, 'malformed-json', 'The body is not valid JSON.')
  }
  // An escaped key would hide from a search for its name, so any escape means a closer look.
  if ((text.includes('__proto__') || text.includes('constructor') || text.includes('\\u')) && poisoned(value)) {
    throw new IopaError(400, 'forbidden-key', 'The body uses a key that is not allowed: __proto__ or constructor.prototype.')
  }
  return value
}

/** The JSON text of a value. @throws TypeError for a function or a symbol, which have none. */
export const encodeJson = (value: unknown): string => {
  const text = JSON.stringify(value)
  if (text === undefined) throw new TypeError('a function or a symbol has no JSON form')
  return text
}

/** JSON (RFC 8259). */
export const jsonCodec: Codec = {
  mediaType: 'application/json',
  contentFormat: 50,
  encode: encodeJson,
  decode: bytes => parseJson(decodeText(bytes))
}

/** Plain text in UTF-8. */
export const textCodec: Codec = { mediaType: 'text/plain', contentFormat: 0, encode: value => String(value), decode: decodeText }

/** Bytes as they are. */
export const octetStreamCodec: Codec = {
  mediaType: 'application/octet-stream',
  contentFormat: 42,
  encode: value => {
    if (value instanceof Uint8Array) return value
    throw new TypeError('application/octet-stream takes a Uint8Array')
  },
  decode: bytes => bytes
}

/** Codecs by media type; a structured suffix such as `+json` falls back to its base type (RFC 6839). */
export class CodecTable {
  readonly #byType = new Map<string, Codec>()

  constructor(codecs: Iterable<Codec> = []) {
    for (const codec of [textCodec, octetStreamCodec, jsonCodec, ...codecs]) this.#byType.set(codec.mediaType, codec)
  }

  /** The codec for a content type, or undefined. */
  find(contentType: string): Codec | undefined {
    const essence = mediaTypeEssence(contentType)
    const exact = this.#byType.get(essence)
    if (exact !== undefined) return exact
    const plus = essence.lastIndexOf('+')
    return plus < 0 ? undefined : this.#byType.get(`application/${essence.slice(plus + 1)}`)
  }

  [Symbol.iterator](): IterableIterator<Codec> {
    return this.#byType.values()
  }
}
