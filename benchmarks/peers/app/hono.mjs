import { serve } from '@hono/node-server'
import { getConnInfo } from '@hono/node-server/conninfo'
import { zValidator } from '@hono/zod-validator'
import { Hono } from 'hono'
import { bearerAuth } from 'hono/bearer-auth'
import { cors } from 'hono/cors'
import { logger } from 'hono/logger'
import { requestId } from 'hono/request-id'
import { timing } from 'hono/timing'
import { rateLimiter } from 'hono-rate-limiter'
import { Light, Params, state } from '../../contract.mjs'
import { LIMIT, nothing, ORIGIN, TOKEN } from '../../everyday.mjs'

export const start = async ({ port, host }) => {
  const lines = nothing()
  const app = new Hono()
  app.use(requestId())
  app.use(logger(line => lines.write(line)))
  app.use(timing())
  app.use(cors({ origin: [ORIGIN], credentials: true }))
  app.use(bearerAuth({ token: TOKEN }))
  app.use(rateLimiter({ windowMs: LIMIT.window, limit: LIMIT.max, keyGenerator: c => getConnInfo(c).remote.address }))
  app.get('/lights/:id', zValidator('param', Params), c => c.json({ id: c.req.valid('param').id, ...state }))
  app.put('/lights/:id', zValidator('param', Params), zValidator('json', Light), c => c.json(c.req.valid('json')))
  await new Promise(resolve => serve({ fetch: app.fetch, port, hostname: host }, resolve))
}
