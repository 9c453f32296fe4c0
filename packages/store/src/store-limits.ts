import { optionError } from '@iopa/appbuilder/extension'
import type { StoreLimits } from './store-types.ts'

const DEFAULTS: Required<StoreLimits> = { documents: 100_000, bytes: 256 * 2 ** 20, documentBytes: 2 ** 20, tombstones: 10_000 }

/** The limits of a store. @throws IopaError 500 `bad-option`. */
export const storeLimits = (given: StoreLimits = {}): Required<StoreLimits> => {
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(DEFAULTS, name)) throw optionError(`A store has no limit '${name}'; it has ${Object.keys(DEFAULTS).join(', ')}.`)
    if (value !== undefined && !(Number(value) >= 0))
      throw optionError(`The limit '${name}' of a store must be a number from 0, not ${String(value)}.`)
  }
  return { ...DEFAULTS, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) }
}
