import { App, type Context, defineMiddleware, type MiddlewareFunction, type Next } from '@iopa/appbuilder'
import type { ContextOf, Extension } from '@iopa/appbuilder/extension'

declare module '@iopa/constants' {
  interface IopaKeys {
    'acme.Tenant': string
    'acme.Trace': { id: string }
  }
}

interface Routes {
  get<This, P extends string>(this: This, path: P, handler: (context: ContextOf<This, { id: string }>) => unknown): This
}
declare const routes: () => Extension<Routes>
const tenant = defineMiddleware({ name: 'tenant', provides: ['acme.Tenant'] }, async (context, next) => {
  context['acme.Tenant'] = 'a'
  return next()
})
const needsTenant = defineMiddleware({ name: 'needs-tenant', requires: ['acme.Tenant'] }, (context, next) => {
  context['acme.Tenant'].length
  return next()
})

// A plain function sees its context and next.
new App().use((context, next) => {
  context['iopa.Method'].length
  // @ts-expect-error a misspelt key does not compile
  context['iopa.Methud']
  // @ts-expect-error an extension key may be missing until something provides it
  context['acme.Tenant'].length
  return next()
})

// Router then provider, provider then router: both type.
new App()
  .use(routes())
  .use(tenant)
  .get('/a', context => context['acme.Tenant'].length)
new App()
  .use(tenant)
  .use(routes())
  .get('/a', context => context['acme.Tenant'].length + context.params.id.length)
new App().use(routes()).get('/a', context => {
  // @ts-expect-error nothing provides the key here
  context['acme.Tenant'].length
  // @ts-expect-error the params have another name
  context.params.nome
})
new App().use(tenant).use(needsTenant)
// @ts-expect-error required before it is provided
new App().use(needsTenant)

new App().use({
  invoke(context, next) {
    context.path.length
    return next()
  }
})
class Legacy {
  readonly name: string
  constructor(_app: App, name: string) {
    this.name = name
  }
  invoke(_context: Context, next: Next): unknown {
    return next()
  }
}
new App().use(Legacy, 'x').use(async (context, next) => {
  await next()
  context.response.status = 201
})
const chained: App = new App().use(routes()).use(tenant)
export const plain: MiddlewareFunction = (context, next) => (context.path === '/' ? chained : next())
