import { IopaError } from '@iopa/appbuilder'
import type { Pattern, PatternParams, PatternSegment } from '@iopa/transport'
import type { ParamsMaker } from './params.ts'

/** One registration. */
export interface Route<T> {
  /** The method it answers; undefined for every method without its own route on the pattern. */
  readonly method: string | undefined
  readonly pattern: Pattern
  readonly value: T
  /** Where it was registered, as `file:line`; empty when the engine does not tell. */
  readonly place: () => string
}

/** What a lookup found. */
export interface RouteMatch<T> {
  readonly route: Route<T>
  readonly params: PatternParams
}

/** A route in one of the forms its optional segments leave. */
export interface Entry<T> {
  readonly route: Route<T>
  readonly makeParams: ParamsMaker
  /** The match itself where there is nothing to make. */
  readonly fixed: RouteMatch<T> | undefined
}

/** True for a variant with parameters. */
export const isDynamic = (segments: readonly PatternSegment[]): boolean => segments.some(segment => segment.kind !== 'static')

/** The path of a variant without parameters. */
export const textOf = (segments: readonly PatternSegment[]): string =>
  segments.map(segment => `/${segment.kind === 'static' ? segment.value : ''}`).join('')

/** Two routes of one method and shape. */
export const duplicateRoute = (later: Route<unknown>, earlier: Route<unknown>): Error => {
  const name = ({ method, pattern, place }: Route<unknown>): string => {
    const where = place()
    return `${method ?? 'all methods'} ${pattern.text}${where === '' ? '' : ` (${where})`}`
  }
  return new IopaError(
    500,
    'duplicate-route',
    `The route ${name(later)} matches the same paths as ${name(earlier)}; remove one of them, or give them different methods or constraints.`
  )
}
