import { isIopaError } from '@iopa/appbuilder'
import { codeOfStatus } from '../codec/codes.ts'

/** Why a request is refused before anything runs. */
export class Refusal extends Error {
  /** The response code. */
  readonly code: number
  /** A sentence for the peer. */
  readonly detail: string
  /** The number of the option that was not understood. */
  readonly option: number | undefined

  constructor(code: number, detail: string, option?: number) {
    super(detail)
    this.code = code
    this.detail = detail
    this.option = option
  }
}

/** The refusal that an error is to the sender of a request of code `method`; undefined for a fault that is not the sender's. */
export const refusalOf = (error: unknown, method: number): Refusal | undefined =>
  error instanceof Refusal ? error : isIopaError(error) ? new Refusal(codeOfStatus(error.status, method), error.detail) : undefined
