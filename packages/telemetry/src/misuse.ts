import { type AppHandle, kindOf, optionError } from '@iopa/appbuilder/extension'
import { IopaError } from '@iopa/constants'

/** The error for middleware that is given to a second app. */
export const inUse = (name: string): IopaError =>
  new IopaError(500, 'telemetry-in-use', `This ${name}() belongs to another app: call ${name}() once for each app.`)

/** Refuses an option that is no object with the method `member`. @throws IopaError 500 `bad-option`. */
export const checkMethod = (caller: string, option: string, value: unknown, member: string): void => {
  if (value === undefined) return
  if (typeof (value as Record<string, unknown> | null)?.[member] !== 'function')
    throw optionError(`'${option}' of ${caller} must be an object with the method ${member}(), not ${kindOf(value)}.`)
}

/**
 * Takes what an SDK threw, and logs the first: what fails is the measuring, not the request, and it may fail for each.
 */
export const firstFailure = (name: string, handle: () => AppHandle | undefined): ((error: unknown) => void) => {
  let logged = false
  return error => {
    if (logged) return
    logged = true
    handle()?.logger.error(`iopa: ${name}() cannot write; further failures are not logged`, error)
  }
}
