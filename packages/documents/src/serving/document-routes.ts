import { IopaError, type MiddlewareFunction, type MiddlewareObject } from '@iopa/appbuilder'
import type { AppHandle, RouteAttributes } from '@iopa/appbuilder/extension'

/** A route that serves a document. */
export interface DocumentRoute {
  /** The name of the option that moves it. */
  readonly option: string
  readonly path: string
  readonly attributes: RouteAttributes
  readonly chain: readonly (MiddlewareFunction | MiddlewareObject)[]
}

// Documents do not describe themselves, nor those of an app around.
const OWN = new WeakSet<RouteAttributes>()

/** True for the attributes of a route that serves a document. */
export const isDocument = (attributes: RouteAttributes): boolean => OWN.has(attributes)

/** Adds routes, all or none. @throws IopaError 500 where the app has no router, or has such a path already. */
export const addRoutes = (app: AppHandle, routes: readonly DocumentRoute[]): void => {
  const { registry } = app
  const added: { remove(): void }[] = []
  for (const { option, path, attributes, chain } of routes) {
    try {
      added.push(registry.add('GET', path, attributes, chain))
    } catch (error) {
      for (const route of added) route.remove()
      const isTaken = error instanceof IopaError && error.code === 'duplicate-route'
      if (!isTaken) throw error
      throw new IopaError(
        500,
        'document-path-taken',
        `documents() cannot serve ${path}, for the app has a route there: give it another path, such as documents({ paths: { ${option}: '/api${path}' } }), or false. An app uses documents() once.`,
        { cause: error }
      )
    }
    OWN.add(attributes)
  }
}
