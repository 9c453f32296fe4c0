import { IopaError } from '@iopa/constants'
import type { RouteAttributes } from '@iopa/transport'
import type { MiddlewareFunction, MiddlewareObject } from '../pipeline/middleware.ts'

/** Takes routes while the app is made and while it listens: `app.registry`. The router implements it. */
export interface RouteRegistry {
  /**
   * Adds a route. `method` undefined answers every method that has no route of its own on the pattern. `chain` is middleware and, last, the handler.
   * `place` gives the line that errors name, where that is not the line of this call.
   * @throws IopaError 500 where the pattern is not valid, a route has its method and shape already, or the chain has no handler.
   */
  add(
    method: string | undefined,
    pattern: string,
    attributes: RouteAttributes,
    chain: readonly (MiddlewareFunction | MiddlewareObject)[],
    place?: () => string
  ): RegisteredRoute
  /**
   * Puts the validation of requests before the handler of every route that is added from now on and has a schema among its attributes, behind the
   * middleware of the route.
   * @throws IopaError 500 where there is one already.
   */
  validateWith(validator: RouteValidator): void
}

/** The handler of a route with the validation of its schemas before it, and the check of its answers behind it; undefined where it needs none. */
export type RouteValidator = (
  route: { readonly method: string | undefined; readonly pattern: string; readonly attributes: RouteAttributes },
  handler: MiddlewareFunction
) => MiddlewareFunction | undefined

/** A route that can be removed. */
export interface RegisteredRoute {
  /** Removes the route and notifies observers of its paths: where no other route answers, they get 404 and end. Idempotent. */
  remove(): void
}

/** The error of an app that has no registry. */
export const missingRouter = (): IopaError =>
  new IopaError(500, 'no-router', 'This app has no routes yet: write app.use(router()) first, with router from @iopa/router.')
