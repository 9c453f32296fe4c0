import type { CoreRouteAttributes } from '@iopa/transport'

/**
 * The route attributes that an app adds: `declare module '@iopa/appbuilder' { interface RouteAttributes { readonly owner?: string } }`. They are
 * attributes of every route, as those that packages add to the interface of the same name in `@iopa/transport`, which an
 * app that is installed by pnpm cannot name.
 */
export interface RouteAttributes extends CoreRouteAttributes {}

// Within the block below the name RouteAttributes means the other interface.
interface AppAttributes extends RouteAttributes {}

declare module '@iopa/transport' {
  interface RouteAttributes extends AppAttributes {}
}
