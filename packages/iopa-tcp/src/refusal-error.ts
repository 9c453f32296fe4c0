import { IopaError, type SealedAnswer } from '@iopa/transport'

/** The error that an answer other than 2xx stands for; its body may say more (RFC 9457). */
export function refusalError(answer: SealedAnswer): IopaError {
  let problem: { readonly code?: unknown; readonly detail?: unknown } = {}
  try {
    const value: unknown = JSON.parse(Buffer.from(answer.payloadBytes).toString())
    if (typeof value === 'object' && value !== null) problem = value
  } catch {
    // It does not say more.
  }
  const { code, detail } = problem
  return new IopaError(answer.status, typeof code === 'string' ? code : 'refused', typeof detail === 'string' ? detail : answer.reason)
}
