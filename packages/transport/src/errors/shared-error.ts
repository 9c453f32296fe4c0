import { IopaError } from '@iopa/constants'

/** An error that many requests share: it is made once, frozen, and has no stack of its own. */
export const sharedError = (status: number, code: string, detail: string, headers?: Readonly<Record<string, string>>): IopaError => {
  const error = new IopaError(status, code, detail, headers === undefined ? {} : { headers })
  error.stack = `IopaError: ${code}`
  return Object.freeze(error)
}
