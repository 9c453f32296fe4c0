/**
 * Routes by method and path, on every protocol.
 *
 * @example
 * const app = new App().use(router()).use(http({ port: 8080 }))
 * app.get('/lights/:id', ({ params }) => lights.get(params.id))
 */

export type { PathParams } from '@iopa/appbuilder/extension'
export type { RouterOptions } from './router.ts'
export { router } from './router.ts'
export type {
  AddMethodRoute,
  AddRoute,
  AttributesOf,
  GroupMiddleware,
  RouteChain,
  RouteGroup,
  RouteHandler,
  RouteMiddleware,
  Routes,
  WithInput
} from './routes.ts'
