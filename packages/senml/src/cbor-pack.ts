import { isIopaError } from '@iopa/constants'
import { decode, encode, Token, Tokenizer, Type } from 'cborg'
import { malformed, malformedRecord, tooManyRecords } from './faults.ts'
import { LABELS, LABELS_BY_KEY } from './labels.ts'
import type { SenmlPack } from './pack.ts'

/** A decimal fraction: exponent and mantissa (RFC 8949 section 3.4.4), which SenML allows for numbers. */
const DECIMAL_FRACTION = 4

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The tokens of a pack of at most `most` records, with text that is certainly UTF-8. */
class PackTokens extends Tokenizer {
  readonly #most: number
  #left: number

  constructor(bytes: Uint8Array, most: number) {
    // A Buffer cuts otherwise than other byte arrays.
    super(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length), { allowIndefinite: true, allowUndefined: false, allowBigInt: true })
    this.#most = most
    // The pack, and for each record its map and a decimal fraction for every number.
    this.#left = 1 + 8 * most
  }

  override next(): Token {
    const token = super.next()
    if ((token.type === Type.map || token.type === Type.array) && --this.#left < 0) throw tooManyRecords(this.#most)
    if (token.type === Type.string && token.value !== '') return this.#checked(token)
    return token
  }

  /** The library replaces what is not UTF-8, and drops a byte order mark. */
  #checked(token: Token): Token {
    const end = this.pos()
    const head = end - (token.encodedLength as number)
    const info = (this.data[head] as number) & 31
    const start = head + (info < 24 ? 1 : 1 + 2 ** (info - 24))
    if (this.data[start] !== 0xef && !(token.value as string).includes('\ufffd')) return token
    return new Token(Type.string, utf8.decode(this.data.subarray(start, end)), token.encodedLength)
  }
}

/** The pack in CBOR (RFC 8428 section 6) as the value that it is in JSON, not checked yet. @throws IopaError 400, 413 */
export const decodePack = (bytes: Uint8Array, most: number): unknown => {
  let value: unknown
  try {
    // A nesting that the stack cannot take ends here as well.
    value = decode(bytes, {
      tokenizer: new PackTokens(bytes, most),
      useMaps: true,
      rejectDuplicateMapKeys: true,
      tags: { [DECIMAL_FRACTION]: read => decimal(read()) }
    })
  } catch (error) {
    throw isIopaError(error) ? error : malformed('it is not CBOR of RFC 8428 section 6', error)
  }
  if (!Array.isArray(value)) throw malformed('it is an array of records')
  if (value.length > most) throw tooManyRecords(most)
  return value.map((record: unknown, index) => {
    if (!(record instanceof Map)) throw malformedRecord('a record is a map', index)
    return recordOf(record, index)
  })
}

const recordOf = (map: ReadonlyMap<unknown, unknown>, index: number): Record<string, unknown> => {
  const record: Record<string, unknown> = {}
  for (const [key, value] of map) {
    const label = LABELS_BY_KEY.get(key)
    if (label !== undefined) {
      if (label === 'vd' && !(value instanceof Uint8Array)) throw malformedRecord('this is a byte string', index, label)
      record[label] = fieldOf(value)
    }
    // RFC 8428 section 6: no further integers will be labels.
    else if (typeof key !== 'string') throw malformedRecord('this is no label of SenML', index, String(key))
    else if (LABELS.has(key)) throw malformedRecord(`in CBOR this label is the integer ${LABELS.get(key)?.key}`, index, key)
    // Extensions are not read, but for the ending that demands to be understood.
    else if (key.endsWith('_')) record[key] = null
  }
  return record
}

const fieldOf = (value: unknown): unknown => {
  if (typeof value === 'bigint') return Number(value)
  return value instanceof Uint8Array ? toBase64Url(value) : value
}

const decimal = (value: unknown): number => {
  const [exponent, mantissa] = Array.isArray(value) && value.length === 2 ? (value as unknown[]) : []
  if (typeof exponent !== 'number' || !(typeof mantissa === 'number' || typeof mantissa === 'bigint'))
    throw malformed('a decimal fraction is [exponent, mantissa]')
  // By way of its text, which is rounded once.
  return Number(`${mantissa}e${exponent}`)
}

/** The bytes of a checked pack. */
export const encodePack = (pack: SenmlPack): Uint8Array => encode(pack.map(record => mapOf(record as Readonly<Record<string, unknown>>)))

const mapOf = (record: Readonly<Record<string, unknown>>): ReadonlyMap<number | string, unknown> => {
  const map = new Map<number | string, unknown>()
  for (const [label, value] of Object.entries(record)) {
    if (value !== undefined) map.set(LABELS.get(label)?.key ?? label, label === 'vd' ? fromBase64Url(value as string) : value)
  }
  return map
}

const toBase64Url = (bytes: Uint8Array): string => {
  let binary = ''
  // More arguments than this may not fit on the stack.
  for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192))
  return btoa(binary).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')
}

const fromBase64Url = (text: string): Uint8Array =>
  Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), character => character.charCodeAt(0))
