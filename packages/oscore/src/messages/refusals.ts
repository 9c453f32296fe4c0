import type { RefusedRequest } from '@iopa/transport'
import { CODE, OPTION } from './option-numbers.ts'

/** A response that is not protected. Max-Age 0 keeps it out of caches (RFC 8613 section 4.1.3.1). */
const refusal = (code: string, status: number, diagnostic: string, maxAge: Uint8Array): RefusedRequest =>
  Object.freeze({ code, refusal: { code: status, options: [[OPTION.MAX_AGE, maxAge] as const], payload: Buffer.from(diagnostic) } })

const NONE = new Uint8Array(0)

/** The errors of OSCORE itself, with the diagnostics of RFC 8613 sections 8.2 and 7.4. */
export const REFUSALS: Readonly<Record<'malformed' | 'unknown' | 'replayed' | 'undecryptable' | 'busy', RefusedRequest>> = {
  malformed: refusal('oscore-malformed', CODE.BAD_OPTION, 'Failed to decode COSE', NONE),
  unknown: refusal('oscore-unknown-context', CODE.UNAUTHORIZED, 'Security context not found', NONE),
  replayed: refusal('oscore-replayed', CODE.UNAUTHORIZED, 'Replay detected', NONE),
  undecryptable: refusal('oscore-undecryptable', CODE.BAD_REQUEST, 'Decryption failed', NONE),
  busy: refusal('oscore-busy', CODE.SERVICE_UNAVAILABLE, '', Uint8Array.of(1))
}
