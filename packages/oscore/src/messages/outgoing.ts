import type { PlainMessage } from '@iopa/transport'
import type { SecurityContext } from '../contexts/security-context.ts'
import type { SplitOptions } from './option-classes.ts'
import { withOscore } from './option-classes.ts'
import { CODE } from './option-numbers.ts'
import { encodeOscoreOption, type OscoreHeader } from './oscore-option.ts'
import { encodePlaintext } from './plaintext.ts'

/** What the nonce and the authenticated data of a message are made of. */
export interface Sealing {
  readonly nonce: Uint8Array
  readonly aad: Uint8Array
  /** What its OSCORE option says. */
  readonly header: Partial<OscoreHeader>
}

/** Encrypts a message, and puts it into the outer one (RFC 8613 sections 8.1 and 8.3). */
export const sealMessage = (
  context: SecurityContext,
  { code, payload }: PlainMessage,
  { inner, outer, observe }: SplitOptions,
  { nonce, aad, header }: Sealing
): PlainMessage => {
  const request = code < 0x20
  return {
    code: request ? (observe ? CODE.FETCH : CODE.POST) : observe ? CODE.CONTENT : CODE.CHANGED,
    options: withOscore(outer, encodeOscoreOption(header)),
    payload: context.seal(nonce, aad, encodePlaintext(code, inner, payload))
  }
}
