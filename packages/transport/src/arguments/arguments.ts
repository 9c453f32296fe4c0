import { IopaError, withOrigin } from '@iopa/constants'
import { callSite } from './call-site.ts'

/** An error for a wrong call of the API, with the line of the call. `caller` is the function that was called. */
export const argumentError = (caller: unknown, code: string, detail: string): IopaError => {
  const place = callSite(caller)()
  // Where a handler makes the call, its peer has not, and learns nothing of our files.
  return withOrigin(new IopaError(500, code, place === '' ? detail : `${detail} (${place})`), 'internal')
}

/** What kind of thing a value is, for messages. */
export const kindOf = (value: unknown): string => {
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'string') return `the text ${JSON.stringify(value.slice(0, 60))}`
  if (typeof value !== 'object' && typeof value !== 'function') return `${typeof value} ${String(value)}`
  if (typeof value === 'function') return value.name === '' ? 'a function' : `the function '${value.name}'`
  if (typeof (value as { then?: unknown }).then === 'function') return 'a promise; await it first'
  return 'an object'
}

/** What an option must be, for `checkOptions`; true where the package checks it itself. */
export type OptionCheck = true | 'flag' | 'function' | 'text' | 'texts' | 'dtls' | 'protection'

const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every(text => typeof text === 'string')

const has = (value: unknown, method: string): boolean => typeof (value as Readonly<Record<string, unknown>> | null)?.[method] === 'function'

const CHECKS: Readonly<Record<Exclude<OptionCheck, true>, readonly [passes: (value: unknown) => boolean, words: string]>> = {
  flag: [value => typeof value === 'boolean', 'true or false'],
  function: [value => typeof value === 'function', 'a function'],
  text: [value => typeof value === 'string' && value !== '', 'a text'],
  texts: [isTexts, 'a list of texts'],
  dtls: [value => has(value, 'over'), 'what dtls() of @iopa/dtls gives, dtls({ psk: { identity: key } })'],
  protection: [value => has(value, 'start'), 'what oscore() of @iopa/oscore gives, oscore({ contexts })']
}

/**
 * Refuses options that do not exist, and those that are not what `known` says. `known` has every name, so that the compiler finds one that is missing there:
 * `const OPTIONS: Record<keyof HttpOptions, OptionCheck>`. `caller` is the function that was called.
 * @throws IopaError 500 that names the option.
 */
export const checkOptions = (name: string, given: unknown, known: Readonly<Record<string, OptionCheck>>, caller: unknown): void => {
  if (given === undefined) return
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw argumentError(caller, 'bad-option', `${name} takes its options as an object, not ${kindOf(given)}.`)
  for (const option of Object.keys(given)) {
    if (Object.hasOwn(known, option)) {
      const check = known[option] as OptionCheck
      const value = (given as Readonly<Record<string, unknown>>)[option]
      if (check === true || value === undefined) continue
      const [passes, words] = CHECKS[check]
      if (!passes(value)) throw argumentError(caller, 'bad-option', `${name} needs for ${option} ${words}, not ${kindOf(value)}.`)
      continue
    }
    const names = Object.keys(known)
    const choice = names.length === 0 ? 'none' : names.join(', ')
    throw argumentError(caller, 'bad-option', `${name} has no option '${option}'; it has ${choice}.`)
  }
}

/** A fault in what an app was configured with; nothing of it is for a peer. */
export const optionError = (detail: string): IopaError => withOrigin(new IopaError(500, 'bad-option', detail), 'internal')

/** The port option of a transport without a default port. @throws IopaError 500 if it is missing. */
export const requiredPort = (name: string, port: number | undefined): number => {
  if (port === undefined) throw optionError(`${name}() needs a port to listen on: write ${name}({ port: 8080 }), or port: 0 for any free one.`)
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw optionError(`The port of ${name}() must be a whole number from 0 to 65535, not ${kindOf(port)}.`)
  return port
}

/** Refuses more arguments than a function takes. @throws IopaError 500. */
export const checkSurplus = (name: string, surplus: readonly unknown[], caller: unknown): void => {
  if (surplus.length > 0)
    throw argumentError(caller, 'surplus-argument', `${name} does not take ${kindOf(surplus[0])} as a further argument: remove it.`)
}

const FACTORY: unique symbol = Symbol.for('iopa.factory') as never

/** Marks a function that makes a transport, a router or other middleware, so that `use(http)` is refused with a sentence. */
export const markFactory = <F extends (...values: never[]) => unknown>(name: string, factory: F): F =>
  Object.defineProperty(factory, FACTORY, { value: name })

/** The name of a marked factory; undefined for anything else. */
export const factoryName = (value: unknown): string | undefined =>
  typeof value === 'function' ? (value as { [FACTORY]?: string })[FACTORY] : undefined
