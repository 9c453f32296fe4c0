import { isSealed, type RawOption } from '../client/raw-options.ts'
import { OPTION } from '../codec/option-registry.ts'
import type { Representation } from '../resources/representation.ts'

const NONE = -1

/** A response of another server that a proxy hands on: it cannot be read here, and answers one request alone (RFC 8613 section 10). */
export interface RelayedResponse {
  /** The code byte. */
  readonly code: number
  /** Those that the proxy hands on. An Observe option says that there will be others; its value is that of this hop. */
  readonly options: readonly RawOption[]
  readonly payload: Uint8Array
}

/** True where the server has accepted the observation, or goes on with it. */
export const observesOn = (options: readonly RawOption[] | undefined): boolean => options?.some(([number]) => number === OPTION.OBSERVE) === true

/** Adds the options that a proxy hands on, without Observe, which each hop numbers by itself; what is protected has no format outside. */
export const relayOptions = (representation: Representation, options: readonly RawOption[] | undefined): void => {
  representation.forwarded = options?.filter(([number]) => number !== OPTION.OBSERVE)
  if (isSealed(options)) representation.contentFormat = NONE
}

export const relayedRepresentation = ({ code, options, payload }: RelayedResponse): Representation => {
  const representation: Representation = {
    code,
    contentFormat: NONE,
    // Nothing may keep it (RFC 8613 section 10).
    maxAge: 0,
    etag: undefined,
    location: undefined,
    payload,
    size: payload.length
  }
  relayOptions(representation, options)
  return representation
}
