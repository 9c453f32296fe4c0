import { randomUUID } from 'node:crypto'
import bearerAuth from '@fastify/bearer-auth'
import cors from '@fastify/cors'
import rateLimit from '@fastify/rate-limit'
import fastify from 'fastify'
import { jsonLight, jsonParams, state } from '../../contract.mjs'
import { LIMIT, nothing, ORIGIN, TOKEN } from '../../everyday.mjs'

export const start = async ({ port, host }) => {
  const app = fastify({ logger: { level: 'info', stream: nothing() }, genReqId: () => randomUUID(), requestIdHeader: 'x-request-id' })
  app.addHook('onSend', async (request, reply) => {
    reply.header('x-request-id', request.id)
    reply.header('server-timing', `total;dur=${reply.elapsedTime.toFixed(1)}`)
  })
  await app.register(cors, { origin: [ORIGIN], credentials: true })
  await app.register(bearerAuth, { keys: new Set([TOKEN]) })
  await app.register(rateLimit, { max: LIMIT.max, timeWindow: LIMIT.window })
  app.get('/lights/:id', { schema: { params: jsonParams } }, request => ({ id: request.params.id, ...state }))
  app.put('/lights/:id', { schema: { params: jsonParams, body: jsonLight } }, request => request.body)
  await app.listen({ port, host })
}
