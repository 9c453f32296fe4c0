import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { routes } from '../../routes.mjs'

export const start = ({ port, host }) =>
  new Promise(resolve => {
    const app = new Hono()
    for (const [method, path] of routes) {
      app.on(
        method,
        path,
        path === '/hello'
          ? context => context.text('Hello World')
          : path === '/users/:id'
            ? context => context.json({ id: context.req.param('id') })
            : path === '/echo'
              ? async context => context.json(await context.req.json())
              : context => context.text('x')
      )
    }
    serve({ fetch: app.fetch, port, hostname: host }, resolve)
  })
