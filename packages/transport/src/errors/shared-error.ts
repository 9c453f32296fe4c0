import { IopaError } from '@iopa/constants'

/** An error that many requests share: created once, frozen, without a stack of the request. */
export const sharedError = (status: number, code: string, detail: string, headers?: Readonly<Record<string, string>>): IopaError => {
  const error = new IopaError(status, code, detail, headers === undefined ? {} : { headers })
  error.stack = `IopaError: ${code}`
  return Object.freeze(error)
}
