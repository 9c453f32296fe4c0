import { type PatternParams, type PatternSegment, paramNames } from '@iopa/transport'

/**
 * Makes the parameters of one route from the path and, for the n-th of them, where it starts and ends: own properties on a prototype that ends in
 * null, so that `__proto__` is a name like any other.
 */
export type ParamsMaker = (path: string, starts: readonly number[], ends: readonly number[]) => PatternParams

/** What a match without parameters gets. */
export const NO_PARAMS: PatternParams = Object.freeze(Object.create(null))

/** The maker for a route; `compile: false` does without `new Function`, which workers and a strict CSP forbid. */
export const paramsMaker = (segments: readonly PatternSegment[], compile: boolean): ParamsMaker => {
  const names = segments.flatMap(paramNames)
  if (names.length === 0) return () => NO_PARAMS
  return compile ? compiledMaker(names) : plainMaker(names)
}

/** Whether this process allows code from strings. */
export const allowsCompiling = (): boolean => {
  try {
    return new Function('return true')()
  } catch {
    return false
  }
}

// One class per route: its instances share one hidden class, where Object.create(null) would be a dictionary each.
const plainMaker = (names: readonly string[]): ParamsMaker => {
  class RouteParams {
    [name: string]: string
    constructor(path: string, starts: readonly number[], ends: readonly number[]) {
      for (let i = 0; i < names.length; i++) this[names[i]!] = path.slice(starts[i], ends[i])
    }
  }
  Object.setPrototypeOf(RouteParams.prototype, null)
  Reflect.deleteProperty(RouteParams.prototype, 'constructor')
  return (path, starts, ends) => new RouteParams(path, starts, ends)
}

// The names are identifiers (the parser of patterns sees to it), and the only text that goes in.
const compiledMaker = (names: readonly string[]): ParamsMaker => {
  const fields = names.map((name, i) => `this[${JSON.stringify(name)}]=path.slice(starts[${i}],ends[${i}])`).join(';')
  return new Function(
    `function RouteParams(path,starts,ends){${fields}} RouteParams.prototype=Object.create(null); return (path,starts,ends)=>new RouteParams(path,starts,ends)`
  )() as ParamsMaker
}
