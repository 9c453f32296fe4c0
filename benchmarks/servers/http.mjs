import { App } from '@iopa/appbuilder'
import { http } from '@iopa/http'
import { router } from '@iopa/router'

/** The 30 routes that every contender registers; three of them are measured. */
const ROUTES = `GET /, GET /health, GET /hello, GET /login, POST /login, POST /logout, GET /users, POST /users, GET /users/:id, PUT /users/:id,
DELETE /users/:id, GET /users/:id/things, GET /things, POST /things, GET /things/:thing, DELETE /things/:thing, GET /things/:thing/properties,
GET /things/:thing/properties/:name, PUT /things/:thing/properties/:name, POST /things/:thing/actions/:name, GET /things/:thing/events/:name,
GET /groups, GET /groups/:id, GET /groups/:id/members, GET /rules, GET /rules/:id, POST /rules, GET /api/v1/status, GET /api/v1/metrics, POST /echo`
  .split(/,\s+/)
  .map(route => route.split(' '))

const HANDLERS = { '/hello': () => 'Hello World', '/echo': context => context.json() }

export const start = async ({ port, host }) => {
  const app = new App().use(router()).use(http({ port, host }))
  for (const [method, path] of ROUTES) app.on(method, path, HANDLERS[path] ?? (({ params }) => ({ id: params.id })))
  await app.listen()
  return { close: () => app.close() }
}
