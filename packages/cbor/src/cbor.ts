import { type Codec, checkKeys, encodeJson, IopaError, isIopaError } from '@iopa/constants'
import { checkOptions, markFactory, optionError } from '@iopa/transport'
import { decode, encode } from 'cborg'
import { JsonTokens } from './json-tokens.ts'

/** Options of `cbor()`. */
export interface CborOptions {
  /**
   * What to do with CBOR that JSON has no form for: byte strings, tags, NaN, infinities, `undefined`, integers beyond 2^53 and integer keys. `refuse`,
   * the default, answers 400. `convert` reads them as RFC 8949 section 6.1 says: bytes become base64url text, a tag is left out, integers and integer keys
   * become decimal text, the others null.
   */
  readonly beyondJson?: 'refuse' | 'convert'
}

const OPTIONS: Record<keyof CborOptions, true> = { beyondJson: true }

/**
 * The codec of `application/cbor`, and of every `+cbor` type without a codec of its own. It carries the values that JSON has, so a handler reads and writes
 * the same under both types. Members of a map are written in the order of RFC 7049 section 3.9, so equal values have equal bytes.
 *
 * Decoding throws an IopaError: 400 `malformed-cbor`, `unsupported-cbor`, `cbor-too-deep` and `forbidden-key`, 413 `cbor-too-dense`.
 */
export const cbor = (options: CborOptions = {}): Codec => {
  checkOptions('cbor()', options, OPTIONS, cbor)
  const { beyondJson = 'refuse' } = options
  if (beyondJson !== 'refuse' && beyondJson !== 'convert')
    throw optionError(`beyondJson of cbor() is 'refuse' or 'convert', not ${String(beyondJson)}.`)
  const convert = beyondJson === 'convert'
  return {
    mediaType: 'application/cbor',
    contentFormat: 60,
    // By way of its text: what JSON leaves out, refuses or converts with toJSON is the same here.
    encode: value => encode(JSON.parse(encodeJson(value))),
    decode: bytes => decodeValue(bytes, convert),
    valueSize
  }
}

const decodeValue = (bytes: Uint8Array, convert: boolean): unknown => {
  const tokens = new JsonTokens(bytes, convert)
  let value: unknown
  try {
    value = decode(bytes, { tokenizer: tokens, rejectDuplicateMapKeys: true })
  } catch (error) {
    throw isIopaError(error) ? error : new IopaError(400, 'malformed-cbor', `The body is not valid CBOR: ${reasonOf(error)}.`, { cause: error })
  }
  if (tokens.hasSuspectText) checkKeys(value)
  return value
}

/** The library's own words, which may quote a key of the body, as long as it may be. */
const reasonOf = (error: unknown): string =>
  String(error instanceof Error ? error.message : error)
    .replace(/^CBOR decode error: /, '')
    .slice(0, 100)

/** An array or object takes some 64 bytes, any other value 16. Bytes of text are counted as if they were values. */
const valueSize = (bytes: Uint8Array): number => {
  let size = bytes.length * 16
  // Major types 4 and 5 (RFC 8949 section 3.1).
  for (const byte of bytes) if (byte >= 0x80 && byte < 0xc0) size += 48
  return size
}

markFactory('cbor', cbor)
