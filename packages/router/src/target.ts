import type { MiddlewareFunction } from '@iopa/appbuilder'
import type { RouteAttributes, RouteInfo } from '@iopa/appbuilder/extension'
import type { Route } from './route-table.ts'

/** What a route leads to. */
export interface Target {
  /** The middleware of the route and its handler as one function, behind the check of preconditions. */
  readonly handler: MiddlewareFunction
  readonly attributes: RouteAttributes
  /** The names of its middleware, in order. */
  readonly middleware: readonly string[]
  /** Keys that its middleware and handler require of the pipeline. */
  readonly requires: readonly string[]
  /** True where one of its middleware says who is asking, or refuses. */
  readonly guarded: boolean
}

/** A route as discovery and `explain()` see it. */
export const announced = ({ method, pattern, value }: Route<Target>): RouteInfo => ({
  method,
  pattern: pattern.text,
  segments: pattern.text === '/' ? [] : pattern.segments,
  attributes: value.attributes,
  ...(value.middleware.length > 0 ? { middleware: value.middleware } : undefined),
  ...(value.requires.length > 0 ? { requires: value.requires } : undefined),
  ...(value.guarded ? { guarded: true } : undefined)
})
