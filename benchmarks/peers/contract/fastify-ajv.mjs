import fastify from 'fastify'
import { jsonLight, jsonParams, state } from '../../contract.mjs'

export const start = async ({ port, host }) => {
  const app = fastify()
  app.get('/lights/:id', { schema: { params: jsonParams } }, request => ({ id: request.params.id, ...state }))
  app.put('/lights/:id', { schema: { params: jsonParams, body: jsonLight } }, request => request.body)
  await app.listen({ port, host })
}
