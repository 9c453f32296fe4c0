import { App, reply } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { metrics, traces } from '@iopa/telemetry'
import { prometheus } from '@iopa/telemetry/prometheus'
import { SpanKind } from '@opentelemetry/api'
import { expect, test } from 'vitest'
import { memorySpans, parentOf, until } from './support.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = `00-${TRACE}-b7ad6b7169203331-01`

test('1,000 equal observers of different traces share one GET, whose span belongs to the trace of the change', async () => {
  const { tracer, spans } = memorySpans()
  const app = new App({ logger: false }).use(traces({ tracer })).use(metrics()).use(prometheus()).use(router())
  let runs = 0
  app.get('/a', context => {
    if (context['server.IsNotification']) runs++
    return 'a'
  })
  app.put('/a', () => reply(204))
  const readers = Array.from({ length: 1000 }, (_, n) => {
    const traceparent = `00-${n.toString(16).padStart(32, 'a')}-b7ad6b7169203331-01`
    return app.observe('/a', { headers: { traceparent } })[Symbol.asyncIterator]()
  })
  await Promise.all(readers.map(reader => reader.next()))
  await new Promise(resolve => setImmediate(resolve))
  await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/a', 'iopa.Headers': { traceparent: PARENT } })
  const told = await Promise.all(readers.map(reader => reader.next()))
  await app.close()
  expect(runs).toBe(1)
  const change = spans().find(({ name }) => name === 'PUT /a')
  const run = spans().find(({ kind, attributes }) => kind === SpanKind.INTERNAL && attributes['iopa.notification'] === true)
  expect(run?.name).toBe('GET /a')
  expect(run && parentOf(run)).toBe(change?.spanContext().spanId)
  expect(run?.spanContext().traceId).toBe(TRACE)
  // Linked to a request that observes, which has a trace of its own.
  expect(run?.links).toHaveLength(1)
  expect(run?.links[0]?.context.traceId).toMatch(/^a+/)
  for (const { value } of told) expect(value?.headers.get('traceparent')).toBe(`00-${TRACE}-${run?.spanContext().spanId}-01`)
})

test('the span of an observing GET ends with its first answer', async () => {
  const { tracer, spans } = memorySpans()
  const app = new App({ logger: false }).use(traces({ tracer })).use(router())
  app.get('/a', () => 'a')
  const reader = app.observe('/a')[Symbol.asyncIterator]()
  await reader.next()
  expect(spans().map(({ name, attributes }) => [name, attributes['iopa.observe']])).toEqual([['GET /a', true]])
  await app.close()
  expect(spans()).toHaveLength(1)
})

test('deliveries over MQTT and CoAP carry the trace of the change; events of HTTP have no place for it', async () => {
  const { tracer } = memorySpans()
  const app = new App({ logger: false })
    .use(traces({ tracer }))
    .use(router())
    .use(http({ port: 0 }))
    .use(mqtt({ port: 0 }))
    .use(coap({ port: 0 }))
  let value = 0
  app.get('/a', () => `${value}`)
  app.put('/a', async context => {
    value = Number(await context.text())
  })
  const listeners = await app.listen()
  // Clients of an app without traces.
  const plain = new App({ logger: false }).use(http()).use(mqtt()).use(coap())
  const clients = await Promise.all(listeners.map(({ url }) => plain.connect(url)))
  const readers = clients.map(client => client.observe('/a')[Symbol.asyncIterator]())
  const first = await Promise.all(readers.map(reader => reader.next()))
  await new Promise(resolve => setTimeout(resolve, 20))
  await clients[0]?.put('/a', '1', { headers: { traceparent: PARENT } })
  const told = await Promise.all(readers.map(reader => reader.next()))
  expect(first.map(answer => answer.value?.headers.get('traceparent'))).toEqual([undefined, undefined, undefined])
  const traceIds = told.map(answer => answer.value?.headers.get('traceparent')?.slice(3, 35))
  expect(traceIds).toEqual([undefined, TRACE, TRACE])
  await Promise.all(readers.map(reader => reader.return?.()))
  await Promise.all(clients.map(client => client.close()))
  await plain.close({ timeout: 0 })
  await app.close({ timeout: 0 })
})

test('the span of a client that observes ends with the first answer', async () => {
  const { tracer, spans } = memorySpans()
  const app = new App({ logger: false })
    .use(traces({ tracer }))
    .use(router())
    .use(http({ port: 0 }))
  app.get('/a', () => 'a')
  const [listener] = await app.listen()
  const client = await app.connect(listener?.url as URL)
  const reader = client.observe('/a')[Symbol.asyncIterator]()
  await reader.next()
  await until(() => spans().length === 2)
  const sent = spans().find(({ kind }) => kind === SpanKind.CLIENT)
  expect(sent?.attributes).toMatchObject({ 'http.request.method': 'GET', 'http.response.status_code': 200 })
  await reader.return?.()
  await client.close()
  await app.close({ timeout: 0 })
})
