import Negotiator from 'negotiator'
import type { Encoding } from './encoders.ts'

const MOST_HEADERS = 128
const LONGEST_HEADER = 256

/** What a request accepts: a coding that is offered, `identity`, or undefined where it accepts none of them (RFC 9110 section 12.5.3). */
export interface Choice {
  readonly encoding: Encoding | 'identity' | undefined
  /** False where the body must not be sent as it is. */
  readonly plain: boolean
}

const PLAIN: Choice = { encoding: 'identity', plain: true }

/** A choice that remembers the fields that it has seen: clients send a handful of them. */
export const choices = (offered: readonly Encoding[]): ((accept: string | undefined) => Choice) => {
  const seen = new Map<string, Choice>()
  return accept => {
    // Without the field any coding is acceptable, and the plain one surely is.
    if (accept === undefined) return PLAIN
    const known = seen.get(accept)
    if (known !== undefined) return known
    const choice = negotiate(accept, offered)
    if (accept.length <= LONGEST_HEADER) {
      if (seen.size >= MOST_HEADERS) seen.clear()
      seen.set(accept, choice)
    }
    return choice
  }
}

const negotiate = (accept: string, offered: readonly Encoding[]): Choice => {
  const negotiator = new Negotiator({ headers: { 'accept-encoding': accept } })
  const encoding = negotiator.encodings([...offered, 'identity'], { preferred: offered })[0] as Choice['encoding']
  return { encoding, plain: negotiator.encodings(['identity']).length > 0 }
}
