import { IopaError } from './errors.ts'
import { encodeJson, parseJson } from './json-text.ts'
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
  /** About how many bytes of memory the decoded value takes, at most; the budget of bodies counts them. Without it the bytes are counted as if they were JSON. */
  valueSize?(bytes: Uint8Array): number
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

/** JSON (RFC 8259). */
export const jsonCodec: Codec = {
  mediaType: 'application/json',
  contentFormat: 50,
  encode: encodeJson,
  decode: bytes => parseJson(decodeText(bytes))
}

/** Plain text in UTF-8; an object is sent as its JSON text, for it has no other. */
export const textCodec: Codec = {
  mediaType: 'text/plain',
  contentFormat: 0,
  encode: value => (typeof value === 'object' && value !== null ? encodeJson(value) : String(value)),
  decode: decodeText
}

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

  /** Adds the codec of a transport, where the app has none for its media type. */
  addMissing(codec: Codec): void {
    if (!this.#byType.has(codec.mediaType)) this.#byType.set(codec.mediaType, codec)
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
