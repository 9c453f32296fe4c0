import { router } from '@iopa/router'
import helmet from 'helmet'
import { expect, test } from 'vitest'
import { connect } from '../src/index.ts'
import { eventually, serve } from './support.ts'

test('neutral middleware leaves one GET to 1,000 equal observers', async () => {
  let runs = 0
  const { app } = await serve(app => {
    const routes = app
      .use(connect(helmet(), { neutral: true }))
      .use(
        connect(
          (req, res, next) => {
            res.setHeader('x-seen', String(req.headers['x-own']) + req.socket.remoteAddress)
            next()
          },
          { neutral: true }
        )
      )
      .use(router())
    routes.get('/a', () => ++runs)
  })
  const stops: AbortController[] = []
  let got = 0
  for (let at = 0; at < 1000; at++) {
    const stop = new AbortController()
    stops.push(stop)
    void (async () => {
      for await (const _ of app.observe('/a', { signal: stop.signal })) got++
    })().catch(() => undefined)
  }
  await eventually('all have their first state', () => got === 1000)
  const before = runs
  app.notify('/a')
  await eventually('all have the next', () => got === 2000)
  expect(runs - before).toBe(1)
  for (const stop of stops) stop.abort()
})
