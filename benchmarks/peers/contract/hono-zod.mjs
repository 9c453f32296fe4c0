import { serve } from '@hono/node-server'
import { zValidator } from '@hono/zod-validator'
import { Hono } from 'hono'
import { Light, Params, state } from '../../contract.mjs'

export const start = async ({ port, host }) => {
  const app = new Hono()
  app.get('/lights/:id', zValidator('param', Params), c => c.json({ id: c.req.valid('param').id, ...state }))
  app.put('/lights/:id', zValidator('param', Params), zValidator('json', Light), c => c.json(c.req.valid('json')))
  await new Promise(resolve => serve({ fetch: app.fetch, port, hostname: host }, resolve))
}
