import type { Context, Next } from '@iopa/appbuilder'
import type { RouteAttributes } from '@iopa/appbuilder/extension'

/** What a route leads to. */
export interface Target {
  readonly handler: (context: Context, next: Next) => unknown
  readonly attributes: RouteAttributes
  /** True where it judges the preconditions of its requests itself. */
  readonly judges: boolean
  /** True where one of its middleware says who is asking, or refuses. */
  readonly guarded: boolean
}
