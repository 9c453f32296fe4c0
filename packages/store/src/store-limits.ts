import { optionError } from '@iopa/appbuilder/extension'
import type { StoreLimits } from './store-types.ts'

const DEFAULTS: Required<StoreLimits> = { documents: 100_000, bytes: 256 * 2 ** 20, documentBytes: 2 ** 20, tombstones: 10_000 }

/** The limits of a store. @throws IopaError 500 `bad-option`. */
export const storeLimits = (given: StoreLimits = {}): Required<StoreLimits> => limitsOf('a store', DEFAULTS, given)

/** Limits, those that are not given by default; `what` has them. @throws IopaError 500 `bad-option`. */
export const limitsOf = <Limits extends object>(what: string, defaults: Required<Limits>, given: Limits): Required<Limits> => {
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(defaults, name)) throw optionError(`There is no limit '${name}' of ${what}; it has ${Object.keys(defaults).join(', ')}.`)
    if (value !== undefined && !(Number(value) >= 0))
      throw optionError(`The limit '${name}' of ${what} must be a number from 0, not ${String(value)}.`)
  }
  return { ...defaults, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) }
}
