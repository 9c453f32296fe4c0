import type { Context } from '@iopa/context'
import { type AnswerRecord, type OwnedContext, RECORD, type RunContext } from '@iopa/context/host'
import type { Clock } from '@iopa/transport'

/** The clock of the app of a request, for middleware that is no extension. */
export const clockOf = (context: Context): Clock => (context as OwnedContext).environment.clock

/** What the protocol of a request says of itself (docs/spec/keys.md, Capabilities); an empty object where no transport has its scheme. */
export const protocolOf = (context: Context): Readonly<Record<string, unknown>> => {
  const scheme = context['iopa.Scheme']
  for (const capability of Object.values((context as OwnedContext).environment.capabilities)) {
    const { schemes } = capability as { schemes?: unknown }
    if (Array.isArray(schemes) && schemes.includes(scheme)) return capability
  }
  return NONE
}

const NONE: Readonly<Record<string, unknown>> = Object.freeze({})

/** True where the method that was asked for, or the status, leaves the body out (RFC 9110 sections 9.3.2 and 6.4.1). */
const isBodyless = (context: RunContext, status: number): boolean =>
  context.requestedMethod === 'HEAD' || status === 204 || status === 205 || status === 304

/**
 * Bytes of the body of an answer, once the scope of its request ends: of a stream as many as were taken from it. Null where there was no answer, and
 * for a body of which parts are read, unless it is `whole`.
 */
export const sentBytes = (context: Context, whole: boolean): number | null => {
  const answer: AnswerRecord = (context as RunContext)[RECORD]
  if (!answer.sealed) return null
  if (isBodyless(context as RunContext, answer.status)) return 0
  const { payload } = answer
  if (payload === null) return 0
  if (typeof payload === 'string') return utf8Length(payload)
  if (payload instanceof Uint8Array) return payload.length
  const { bytes, size } = payload as { bytes?: unknown; size?: unknown }
  if (typeof bytes === 'number') return bytes
  return whole && typeof size === 'number' ? size : null
}

/** Node counts long texts faster; other platforms are not asked to have it. */
const { Buffer: nodeBuffer } = globalThis as { readonly Buffer?: { byteLength(text: string): number } }
const SHORT = 256

/** Length of a text in UTF-8, without an allocation. */
const utf8Length = (text: string): number => {
  if (text.length > SHORT && nodeBuffer !== undefined) return nodeBuffer.byteLength(text)
  let length = text.length
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit < 0x80) continue
    length++
    // Each half of a surrogate pair is two of its four bytes.
    if (unit > 0x7ff && (unit & 0xf800) !== 0xd800) length++
  }
  return length
}
