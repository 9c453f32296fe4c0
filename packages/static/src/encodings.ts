import Negotiator from 'negotiator'

/** Content codings of precompressed files next to the file. */
export type Encoding = 'br' | 'zstd' | 'gzip'

/** What the name of a precompressed file has after the name of the file. */
export const ENCODING_SUFFIX: Readonly<Record<Encoding, string>> = { br: '.br', zstd: '.zst', gzip: '.gz' }

const MAX_HEADERS = 128
const MAX_HEADER_LENGTH = 256

/** Which coding to send: one of those available, `identity`, or undefined when the request refuses them all (RFC 9110 section 12.5.3). */
export type EncodingChoice = (accept: string | null | undefined, available: readonly Encoding[]) => Encoding | 'identity' | undefined

/** A choice that remembers the headers it has seen: browsers send a handful of them. */
export const encodingChoice = (): EncodingChoice => {
  const seen = new Map<string, Encoding | 'identity' | undefined>()
  return (accept, available) => {
    // Without the field any coding is acceptable; the plain one surely is.
    if (accept === null || accept === undefined) return 'identity'
    const key = `${available.join()} ${accept}`
    if (seen.has(key)) return seen.get(key)
    const choice = negotiate(accept, available)
    if (accept.length <= MAX_HEADER_LENGTH) {
      if (seen.size >= MAX_HEADERS) seen.clear()
      seen.set(key, choice)
    }
    return choice
  }
}

const negotiate = (accept: string, available: readonly Encoding[]): Encoding | 'identity' | undefined =>
  new Negotiator({ headers: { 'accept-encoding': accept } }).encodings([...available, 'identity'], { preferred: available })[0] as
    | Encoding
    | 'identity'
    | undefined
