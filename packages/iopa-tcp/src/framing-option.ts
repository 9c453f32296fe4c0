import type { Framing } from './framing.ts'
import { lengthFraming } from './length-framing.ts'
import { lineFraming } from './line-framing.ts'

/** One, two or four bytes of length before every message. */
export interface LengthPrefixedOption {
  readonly type: 'lengthPrefixed'
  /** Size of the length; default 4. */
  readonly bytes?: 1 | 2 | 4
  /** Byte order of the length; default `'big'`. */
  readonly endian?: 'big' | 'little'
}

/** Messages that all have the same size; answers are written as they are. */
export interface FixedOption {
  readonly type: 'fixed'
  readonly bytes: number
}

/** `'bag'`: a JSON object per line. `'raw'`: each chunk as it comes. `'lines'`: text ended by a line feed. Or a framing of your own. */
export type FramingOption = 'bag' | 'raw' | 'lines' | 'lengthPrefixed' | LengthPrefixedOption | FixedOption | Framing

/** The framing that an option means; throws when it means none. */
export function framingOf(option: FramingOption): Framing {
  if (typeof option === 'object' && 'reader' in option) return option
  switch (typeof option === 'object' ? option.type : option) {
    case 'bag':
      return lineFraming('bag', { empty: false })
    case 'lines':
      return lineFraming('lines', { empty: true })
    case 'raw':
      return RAW
    case 'lengthPrefixed':
      return lengthPrefixed(option as 'lengthPrefixed' | LengthPrefixedOption)
    case 'fixed':
      return fixed((option as FixedOption).bytes)
    default:
      throw new TypeError(
        'framing is one of bag, raw, lines, lengthPrefixed, { type: "lengthPrefixed" | "fixed", bytes }, or an object with a reader().'
      )
  }
}

function lengthPrefixed(option: 'lengthPrefixed' | LengthPrefixedOption): Framing {
  const { bytes = 4, endian = 'big' } = typeof option === 'object' ? option : {}
  if (bytes !== 1 && bytes !== 2 && bytes !== 4) throw new TypeError('Set bytes of lengthPrefixed to 1, 2 or 4.')
  const little = endian === 'little'
  return lengthFraming({
    name: `lengthPrefixed (${bytes} bytes, ${endian} endian)`,
    bytes,
    maxPayload: 2 ** (8 * bytes) - 1,
    read(data, at) {
      let length = 0
      for (let i = 0; i < bytes; i++) length = length * 256 + data[at + (little ? bytes - 1 - i : i)]!
      return length
    },
    prefix(length) {
      const head = new Uint8Array(bytes)
      for (let i = 0; i < bytes; i++) head[little ? i : bytes - 1 - i] = length / 256 ** i
      return head
    }
  })
}

function fixed(bytes: number): Framing {
  if (!Number.isSafeInteger(bytes) || bytes < 1) throw new TypeError('Set bytes of fixed to a positive whole number.')
  return lengthFraming({ name: `fixed (${bytes} bytes)`, bytes: 0, maxPayload: Number.MAX_SAFE_INTEGER, read: () => bytes, prefix: () => null })
}

const RAW: Framing = {
  name: 'raw',
  maxPayload: Number.MAX_SAFE_INTEGER,
  reader: limit => {
    let rest: Uint8Array | null = null
    return {
      pending: 0,
      push(chunk) {
        if (chunk.length) rest = chunk
      },
      next() {
        const piece = rest
        if (!piece) return null
        rest = piece.length > limit ? piece.subarray(limit) : null
        return rest ? piece.subarray(0, limit) : piece
      },
      end: () => null
    }
  },
  prefix: () => null,
  suffix: null
}
