import { H3, serve } from 'h3'
import { routes } from '../../routes.mjs'

export const start = async ({ port, host }) => {
  const app = new H3()
  for (const [method, path] of routes) {
    app.on(
      method,
      path,
      path === '/hello'
        ? () => 'Hello World'
        : path === '/users/:id'
          ? event => ({ id: event.context.params.id })
          : path === '/echo'
            ? event => event.req.json()
            : () => 'x'
    )
  }
  await serve(app, { port, hostname: host, silent: true }).ready()
}
