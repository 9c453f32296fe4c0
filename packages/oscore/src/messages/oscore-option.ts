import { MOST_PARTIAL_IV } from '../crypto/nonce.ts'

/** The fields of an OSCORE option: the compressed header of the COSE object (RFC 8613 section 6.1). */
export interface OscoreHeader {
  readonly partialIv: Uint8Array | undefined
  readonly kidContext: Uint8Array | undefined
  readonly kid: Uint8Array | undefined
}

const KID = 0x08
const KID_CONTEXT = 0x10
const RESERVED = 0xe0

const NOTHING = new Uint8Array(0)

/** Reads the value of an OSCORE option; undefined if it is malformed. The fields are views of it. */
export const decodeOscoreOption = (value: Uint8Array): OscoreHeader | undefined => {
  if (value.length === 0) return { partialIv: undefined, kidContext: undefined, kid: undefined }
  const flags = value[0]!
  const length = flags & 7
  // Flags of zero are written as no value at all (RFC 8613 section 2).
  if (flags === 0 || (flags & RESERVED) !== 0 || length > MOST_PARTIAL_IV) return undefined
  let at = 1
  const take = (count: number): Uint8Array => value.subarray(at, (at += count))
  const partialIv = length === 0 ? undefined : take(length)
  // Leading zeros are removed (RFC 8613 section 5): each number has one encoding.
  if (partialIv !== undefined && (at > value.length || (length > 1 && partialIv[0] === 0))) return undefined
  let kidContext: Uint8Array | undefined
  if (flags & KID_CONTEXT) {
    if (at >= value.length) return undefined
    kidContext = take(value[at++]!)
    if (at > value.length) return undefined
  }
  if (flags & KID) return { partialIv, kidContext, kid: value.subarray(at) }
  return at === value.length ? { partialIv, kidContext, kid: undefined } : undefined
}

export const encodeOscoreOption = ({ partialIv = NOTHING, kidContext, kid }: Partial<OscoreHeader>): Uint8Array => {
  const flags = partialIv.length | (kidContext === undefined ? 0 : KID_CONTEXT) | (kid === undefined ? 0 : KID)
  if (flags === 0) return NOTHING
  const contextAt = 1 + partialIv.length
  const kidAt = contextAt + (kidContext === undefined ? 0 : 1 + kidContext.length)
  const value = new Uint8Array(kidAt + (kid?.length ?? 0))
  value[0] = flags
  value.set(partialIv, 1)
  if (kidContext !== undefined) {
    value[contextAt] = kidContext.length
    value.set(kidContext, contextAt + 1)
  }
  if (kid !== undefined) value.set(kid, kidAt)
  return value
}
