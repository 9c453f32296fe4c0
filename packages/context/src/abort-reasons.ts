import { IopaError } from '@iopa/constants'

/** Why a scope ended. */
export type EndReason = 'finish' | 'disconnect' | 'timeout' | 'unsubscribe' | 'reset' | 'shutdown'

const make = (status: number, code: EndReason, detail: string): IopaError => {
  const error = new IopaError(status, code, detail)
  // Shared by every scope that ends for this reason, so a stack would only mislead.
  error.stack = `${error.name}: ${detail}`
  return Object.freeze(error)
}

const REASONS: Readonly<Record<EndReason, IopaError>> = {
  finish: make(499, 'finish', 'The answer has been written.'),
  disconnect: make(499, 'disconnect', 'The peer has gone.'),
  timeout: make(504, 'timeout', 'The time for this request is over.'),
  unsubscribe: make(499, 'unsubscribe', 'The observer has stopped observing.'),
  reset: make(499, 'reset', 'The peer has reset the exchange.'),
  shutdown: make(503, 'shutdown', 'The server is shutting down.')
}

/** The value of `signal.reason` for an end reason: an IopaError whose `code` is that reason. */
export const abortReason = (reason: EndReason): IopaError => REASONS[reason]
