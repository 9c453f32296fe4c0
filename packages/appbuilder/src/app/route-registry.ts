import { IopaError } from '@iopa/constants'
import type { RouteAttributes } from '@iopa/transport'
import type { MiddlewareFunction, MiddlewareObject } from '../pipeline/middleware.ts'

/** Takes routes while the app is made and while it listens: `app.registry`. The router implements it. */
export interface RouteRegistry {
  /**
   * Adds a route. `method` undefined answers every method that has no route of its own on the pattern. `chain` is middleware and, last, the handler.
   * @throws IopaError 500 where the pattern is not valid, a route has its method and shape already, or the chain has no handler.
   */
  add(
    method: string | undefined,
    pattern: string,
    attributes: RouteAttributes,
    chain: readonly (MiddlewareFunction | MiddlewareObject)[]
  ): RegisteredRoute
}

/** A route that can be removed. */
export interface RegisteredRoute {
  /** Removes the route and notifies observers of its paths: where no other route answers, they get 404 and end. Idempotent. */
  remove(): void
}

/** The error of an app that has no registry. */
export const missingRouter = (): IopaError =>
  new IopaError(500, 'no-router', 'This app has no routes yet: write app.use(router()) first, with router from @iopa/router.')
