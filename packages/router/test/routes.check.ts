import { App, type Context, defineMiddleware } from '@iopa/appbuilder'
import type { Extension, Schema } from '@iopa/appbuilder/extension'
import { type RouteGroup, type RouteHandler, type Routes, router } from '../src/index.ts'

declare module '@iopa/constants' {
  interface IopaKeys {
    'routes-check.Tenant': { id: string }
  }
}

const tenant = defineMiddleware({ name: 'tenant', provides: ['routes-check.Tenant'] }, (_, next) => next())
const extension: Extension<Routes> = router({ trailingSlash: 'ignore' })
const app = new App().use(extension)

// Chaining keeps the type of the app.
const chained: typeof app = app
  .get('/a', () => 1)
  .group('/b', () => 1)
  .on('FETCH', '/c', () => 1)
  .all('/d', () => 1)
const plain: App = chained
plain.live

// Params come from the literal, on every method, with attributes or without.
app.get('/lights/:id', ({ params }) => params.id.length)
app.put('/lights/{id:[0-9]{1,3}}/:part', { rt: 'light', ct: [0, 50] }, ({ params }) => params.id + params.part)
app.on('DATA', '/files/{rest*}', { title: 'files' }, context => context['iopa.Params'].rest.length)
app.all('/files/*', ({ params }) => params['*'].length)
app.get('/a/{b}?', ({ params }) => params.b?.length)
// @ts-expect-error a wrong name of a parameter
app.get('/lights/:id', ({ params }) => params.ident)
// @ts-expect-error an optional parameter may be undefined
app.get('/a/{b}?', ({ params }) => params.b.length)
// @ts-expect-error a pattern without parameters has none
app.get('/a', ({ params }) => params.id)
// @ts-expect-error the key itself is typed, too
app.get('/lights/:id', context => context['iopa.Params'].ident)
// @ts-expect-error params are read-only
app.get('/lights/:id', ({ params }) => (params.id = 'x'))
// @ts-expect-error a handler is needed
app.get('/lights')
// @ts-expect-error an attribute that there is none of
app.get('/lights', { resourceType: 'x' }, () => 1)
// @ts-expect-error a misspelt key
app.get('/lights', context => context['iopa.Methud'])
// @ts-expect-error an option that there is none of
router({ trailingSlash: 'maybe' })

// What middleware of the pipeline provides is there, whether it was used before or after, and is not without it.
new App()
  .use(tenant)
  .use(router())
  .get('/a', context => context['routes-check.Tenant'].id)
new App()
  .use(router())
  .use(tenant)
  .put('/a/:id', context => context['routes-check.Tenant'].id + context.params.id)
// @ts-expect-error nothing provides the key
app.get('/a', context => context['routes-check.Tenant'].id)

// In a group the params of the prefix are there as well, and what the app provides.
new App()
  .use(tenant)
  .use(router())
  .group('/houses/{house}', houses => {
    const prefix: '/houses/{house}' = houses.prefix
    houses
      .get('/', ({ params }) => params.house + prefix)
      .get('/lights/:id', context => context.params.house + context.params.id + context['routes-check.Tenant'].id)
      .group('/rooms/:room', rooms => rooms.get('/:id', ({ params }) => params.house + params.room + params.id))
    // @ts-expect-error a wrong name of a parameter
    houses.get('/x', ({ params }) => params.home)
  })

// A group and a handler can be written elsewhere.
const lights = (group: RouteGroup<App, '/houses/{house}'>): unknown => group.get('/lights/:id', ({ params }) => [params.house, params.id])
app.group('/houses/{house}', lights)
const one: RouteHandler<App, '/lights/:id'> = ({ params }) => params.id
app.get('/lights/:id', one)
const any = (context: Context): string => context.path + (context.params['id'] ?? '')
app.get('/lights/:id', any)

// A pattern that is no literal says nothing of its names.
declare const pattern: string
app.get(pattern, ({ params }) => params['id']?.length)
// @ts-expect-error so each may be missing
app.get(pattern, ({ params }) => params['id'].length)

// What the middleware of a route or of a group provides is there for what stands behind it, and nowhere else.
const user = defineMiddleware({ name: 'user', provides: ['server.User'] }, (_, next) => next())
const greeting = defineMiddleware({ name: 'greeting', requires: ['server.User'] }, (_, next) => next())
app.get('/:id', tenant, context => context['routes-check.Tenant'].id + context.params.id)
app.get('/:id', { rt: 'x' }, tenant, user, context => context['routes-check.Tenant'].id + context.user.id)
app.get('/:id', tenant, user, greeting, context => context['routes-check.Tenant'].id + context.user.id + context.params.id)
app.get('/', [tenant, user], context => context['routes-check.Tenant'].id + context.user.id)
app.get(
  '/',
  user,
  (context, next) => (context.user.id === '' ? undefined : next()),
  context => context.user.id
)
app.on('FETCH', '/:id', user, context => context.user.id + context.params.id)
app.get(
  '/',
  user,
  greeting,
  tenant,
  (_, next) => next(),
  context => context.user.id + context['routes-check.Tenant'].id
)
app.group('/g/:id', group =>
  group
    .use(tenant)
    .use(user)
    .use(greeting)
    .get('/', context => context['routes-check.Tenant'].id + context.user.id + context.params.id)
)
// @ts-expect-error nothing before it provides the user
app.get('/', greeting, () => 1)
// @ts-expect-error the user comes after it
app.get('/', greeting, user, () => 1)
// @ts-expect-error nothing provides a tenant
app.get('/', user, context => context['routes-check.Tenant'].id)
// @ts-expect-error nothing before it provides the user
app.group('/g', group => group.use(greeting))
// @ts-expect-error an attribute is no middleware
app.get('/', user, { rt: 'x' }, () => 1)

// Attributes are typed, and packages add some.
declare module '@iopa/transport' {
  interface RouteAttributes {
    readonly 'routes-check'?: { readonly unit: string }
  }
}
declare module '@iopa/appbuilder' {
  interface RouteAttributes {
    readonly room?: string
  }
}
app.get('/', { 'routes-check': { unit: 'lx' }, room: 'hall' }, () => 1)
for (const { attributes } of app.routes()) attributes['routes-check']?.unit === attributes.room
// @ts-expect-error a wrong type
app.get('/', { room: 1 }, () => 1)

// A schema for the input types it, beside params and what middleware provides.
declare const Light: Schema<{ on?: boolean }, { on: boolean; level: number }>
app.put('/lights/:id', { input: Light, title: 'A light' }, ({ input, params }) => input.level + params.id.length)
app.put('/lights/:id', { input: Light }, tenant, context => context.input.level + context['routes-check.Tenant'].id.length)
app.put('/lights/:id', { input: Light }, tenant, tenant, tenant, tenant, ({ input }) => input.level)
app.on('FETCH', '/lights/:id', { input: Light }, context => context['iopa.Input'].level)
app.group('/b/{c}', group => group.post('/d', { input: Light }, ({ input, params }) => input.level + params.c.length))
app.put('/lights/:id', { title: 'none' }, ({ input }) => {
  // @ts-expect-error without a schema the input is unknown
  input.level
})
// @ts-expect-error a member that the schema does not give
app.put('/lights/:id', { input: Light }, ({ input }) => input.colour)
// @ts-expect-error an attribute that there is none of, beside a schema
app.put('/lights/:id', { input: Light, resourceType: 'x' }, () => 1)
// @ts-expect-error a JSON Schema is no schema
app.put('/lights/:id', { input: { type: 'object' } }, () => 1)
