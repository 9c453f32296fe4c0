import fastify from 'fastify'
import { routes } from '../../routes.mjs'

export const start = async ({ port, host }) => {
  const app = fastify()
  for (const [method, path] of routes) {
    app.route({
      method,
      url: path,
      handler:
        path === '/hello'
          ? (_, reply) => reply.type('text/plain').send('Hello World')
          : path === '/users/:id'
            ? request => ({ id: request.params.id })
            : path === '/echo'
              ? request => request.body
              : () => 'x'
    })
  }
  await app.listen({ port, host })
}
