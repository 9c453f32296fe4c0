import { App, reply } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { router } from '@iopa/router'
import { expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import { isCritical, OPTION } from '../src/codec/option-registry.ts'
import { RawPeer } from './raw-peer.ts'

const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

test('options of traces are elective, safe to forward and no part of the cache key', () => {
  for (const number of [OPTION.TRACEPARENT, OPTION.TRACESTATE, OPTION.BAGGAGE]) {
    expect(isCritical(number)).toBe(false)
    expect(number & 0x1e).toBe(0x1c)
    expect(number).toBeGreaterThanOrEqual(65000)
    expect(number).toBeLessThanOrEqual(65535)
  }
})

test('carries traceparent, tracestate and baggage of a request, and ignores values that are no field values', async () => {
  const seen: (string | undefined)[][] = []
  const app = new App({ logger: false }).use(router()).use(coap({ port: 0 }))
  app.get('/a', ({ headers }) => {
    seen.push(['traceparent', 'tracestate', 'baggage'].map(name => headers.get(name)))
    return reply(204)
  })
  const [listener] = await app.listen()
  const client = await app.connect(listener?.url as URL)
  await client.get('/a', { headers: { traceparent: PARENT, tracestate: 'a=1', baggage: 'k=v' } })
  await client.get('/a', { headers: { traceparent: PARENT, tracestate: 'x'.repeat(513) } })
  await client.close()
  const peer = await RawPeer.to(Number(listener?.url.port))
  const options: [number, Uint8Array | string][] = [
    [OPTION.TRACEPARENT, 'line\r\nbreak'],
    [OPTION.TRACESTATE, ''],
    [OPTION.BAGGAGE, 'x'.repeat(513)]
  ]
  expect((await peer.ask(CODE.GET, { path: '/a', options })).code).toBe(CODE.CONTENT)
  peer.close()
  await app.close({ timeout: 0 })
  expect(seen).toEqual([
    [PARENT, 'a=1', 'k=v'],
    [PARENT, undefined, undefined],
    [undefined, undefined, undefined]
  ])
})

test('carries the traceparent of a notification to observers, and none with the first answer', async () => {
  let value = 0
  const app = new App({ logger: false })
    .use((context, next) => {
      if (context['server.IsNotification']) context.response.headers.set('traceparent', PARENT)
      return next()
    })
    .use(router())
    .use(coap({ port: 0 }))
  app.get('/a', () => `${value}`)
  const [listener] = await app.listen()
  const client = await app.connect(listener?.url as URL)
  const got: unknown[] = []
  for await (const answer of client.observe('/a')) {
    got.push([await answer.text(), answer.headers.get('traceparent')])
    if (got.length === 2) break
    value++
    app.notify('/a')
  }
  await client.close()
  await app.close({ timeout: 0 })
  expect(got).toEqual([
    ['0', undefined],
    ['1', PARENT]
  ])
})
