import { IopaError } from './errors.ts'
import { encodeJson, parseJson } from './json-text.ts'
import { mediaTypeEssence } from './media-types.ts'
import { weightOf } from './negotiation.ts'

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
  /**
   * True for a value that this codec has a form for. Codecs without it take every value that has a JSON form. Codecs of one format in several media
   * types share the function.
   */
  takes?(this: void, value: unknown): boolean
  /** False for a codec that Accept never chooses: it reads bodies, and writes those answers whose content type names it. True unless given. */
  readonly negotiated?: boolean
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

const BUILT_IN: readonly Codec[] = [textCodec, octetStreamCodec, jsonCodec]

/** Remembered choices, and the longest Accept that is remembered. */
const MOST_CHOICES = 64
const LONGEST_ACCEPT = 256

/** Media types that are text, in which an event stream can carry a value. */
const TEXT_TYPE = /^text\/|[/+](?:json|xml)$/

/** Codecs by media type; a structured suffix such as `+json` falls back to its base type (RFC 6839). */
export class CodecTable {
  readonly #byType = new Map<string, Codec>()
  readonly #choices = new Map<string, readonly Codec[]>()
  /** True where a value can become something else than JSON: Accept decides then. */
  negotiable = false
  /** Codecs that take only some values, by the function that says which. */
  #special: (readonly Codec[])[] = []
  /** JSON, and the other codecs that take every value. */
  #general: readonly Codec[] = []

  constructor(codecs: Iterable<Codec> = []) {
    for (const codec of [...BUILT_IN, ...codecs]) this.#byType.set(codec.mediaType, codec)
    this.#sort()
  }

  /** Adds the codec of a transport, where the app has none for its media type. */
  addMissing(codec: Codec): void {
    if (this.#byType.has(codec.mediaType)) return
    this.#byType.set(codec.mediaType, codec)
    this.#sort()
  }

  /** The codec for a content type, or undefined. */
  find(contentType: string): Codec | undefined {
    const essence = mediaTypeEssence(contentType)
    const exact = this.#byType.get(essence)
    if (exact !== undefined) return exact
    const plus = essence.lastIndexOf('+')
    return plus < 0 ? undefined : this.#byType.get(`application/${essence.slice(plus + 1)}`)
  }

  /** Which of `choices` is for a value: 0, or that of the special format that takes it. */
  formatOf(value: unknown): number {
    return this.#special.findIndex(([first]) => first?.takes?.(value) === true) + 1
  }

  /**
   * The codecs for values whose content type was not set: for one of no special format, then for one of each. It is the codec that an Accept header prefers
   * (RFC 9110 section 12.5.1). JSON wins among equals, and where nothing is said or acceptable; a special format goes before it. `text` leaves out binary
   * formats.
   */
  choices(accept: string, text: boolean): readonly Codec[] {
    const key = text ? `text ${accept}` : accept
    const known = this.#choices.get(key)
    if (known !== undefined) return known
    const choices = [[], ...this.#special].map(special => best([...special, ...this.#general], accept, text))
    if (this.#choices.size >= MOST_CHOICES) this.#choices.clear()
    if (key.length <= LONGEST_ACCEPT) this.#choices.set(key, choices)
    return choices
  }

  [Symbol.iterator](): IterableIterator<Codec> {
    return this.#byType.values()
  }

  #sort(): void {
    const further = [...this.#byType.values()].filter(
      ({ mediaType, negotiated }) => negotiated !== false && !BUILT_IN.some(codec => codec.mediaType === mediaType)
    )
    this.#general = [this.#byType.get(jsonCodec.mediaType) as Codec, ...further.filter(({ takes }) => takes === undefined)]
    this.#special = [...new Set(further.map(({ takes }) => takes))]
      .filter(takes => takes !== undefined)
      .map(takes => further.filter(codec => codec.takes === takes))
    this.negotiable = further.length > 0
    this.#choices.clear()
  }
}

/** The codec of the greatest weight, the first among equals; the first of all where none is acceptable. */
const best = (codecs: readonly Codec[], accept: string, text: boolean): Codec => {
  let chosen: Codec | undefined
  let greatest = 0
  for (const codec of codecs) {
    if (text && !TEXT_TYPE.test(codec.mediaType)) continue
    chosen ??= codec
    const weight = weightOf(codec.mediaType, accept)
    if (weight <= greatest) continue
    chosen = codec
    greatest = weight
  }
  return chosen as Codec
}
