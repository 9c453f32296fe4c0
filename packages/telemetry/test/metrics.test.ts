import { connect } from 'node:net'
import { App, reply } from '@iopa/appbuilder'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { metrics } from '@iopa/telemetry'
import { virtualClock } from '@iopa/testing'
import { metrics as otel } from '@opentelemetry/api'
import { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { expect, test } from 'vitest'
import { until } from './support.ts'

interface Point {
  readonly attributes: Record<string, unknown>
  readonly value: unknown
}

const memoryMetrics = () => {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 1_000_000 })
  const provider = new MeterProvider({ readers: [reader] })
  const read = async (): Promise<Record<string, Point[]>> => {
    await reader.forceFlush()
    const scopes = exporter.getMetrics().at(-1)?.scopeMetrics ?? []
    return Object.fromEntries(scopes.flatMap(scope => scope.metrics).map(({ descriptor, dataPoints }) => [descriptor.name, dataPoints as Point[]]))
  }
  return { provider, meter: provider.getMeter('test'), read }
}

test('records duration, sizes and active requests of HTTP by method, route and status, never by path', async () => {
  const { meter, provider, read } = memoryMetrics()
  const app = new App({ logger: false })
    .use(metrics({ meter }))
    .use(router())
    .use(http({ port: 0 }))
  app.get('/lights/:id', () => 'ön')
  app.post('/lights', () => reply(201))
  app.get('/bad', () => {
    throw new Error('bad')
  })
  const [listener] = await app.listen()
  const url = listener?.url as URL
  for (const path of ['/lights/1', '/lights/2', '/bad', '/random/1', '/random/2']) await (await fetch(new URL(path, url))).text()
  await fetch(new URL('/lights', url), { method: 'POST', body: '12345' })
  await fetch(new URL('/lights', url), { method: 'BREW' })
  let found = await read()
  for (let turn = 0; turn < 50 && (found['http.server.request.duration']?.length ?? 0) < 5; turn++) found = await read()
  await app.close({ timeout: 0 })
  await provider.shutdown()
  const durations = found['http.server.request.duration'] as Point[]
  const seen = durations.map(({ attributes, value }) => {
    const method = attributes['http.request.method']
    return [method, attributes['http.route'], attributes['http.response.status_code'], attributes['error.type'], (value as { count: number }).count]
  })
  expect(seen).toEqual(
    expect.arrayContaining([
      ['GET', '/lights/:id', 200, undefined, 2],
      ['GET', '/bad', 500, '500', 1],
      ['GET', undefined, 404, undefined, 2],
      ['POST', '/lights', 201, undefined, 1]
    ])
  )
  expect(seen.map(([method]) => method)).toContain('_OTHER')
  const sum = (name: string, route: string) =>
    (found[name]?.find(({ attributes }) => attributes['http.route'] === route)?.value as { sum: number } | undefined)?.sum
  expect(sum('http.server.response.body.size', '/lights/:id')).toBe(6)
  expect(sum('http.server.request.body.size', '/lights')).toBe(5)
  for (const { value } of found['http.server.active_requests'] as Point[]) expect(value).toBe(0)
})

test('measures durations with the clock of the app, and an observation until its first answer', async () => {
  const { meter, provider, read } = memoryMetrics()
  const clock = virtualClock()
  const app = new App({ logger: false, clock }).use(metrics({ meter })).use(router())
  app.get('/slow', () => new Promise(resolve => clock.setTimeout(() => resolve('slow'), 250)))
  const answer = app.invoke({ 'iopa.Path': '/slow' })
  await clock.advance(250)
  await (await answer).text()
  const reader = app.observe('/slow')[Symbol.asyncIterator]()
  const first = reader.next()
  await clock.advance(250)
  await first
  await clock.advance(5000)
  const found = await read()
  await app.close()
  await provider.shutdown()
  expect(found['rpc.server.call.duration']?.map(({ attributes, value }) => [attributes, (value as { sum: number; count: number }).sum])).toEqual([
    [{ 'rpc.system.name': 'iopa', 'rpc.method': 'GET /slow', 'rpc.response.status_code': '200' }, 0.5]
  ])
})

test('counts notifications, observers, connections and refusals', async () => {
  const { meter, provider, read } = memoryMetrics()
  const app = new App({ logger: false })
    .use(metrics({ meter }))
    .use(router())
    .use(http({ port: 0, limits: { connections: 1 } }))
    .use(mqtt({ port: 0 }))
  app.get('/a', () => 'a')
  app.put('/a', () => reply(204))
  const [web, broker] = await app.listen()
  const client = await app.connect(broker?.url as URL)
  const reader = client.observe('/a')[Symbol.asyncIterator]()
  await reader.next()
  await client.put('/a', 'x')
  await reader.next()
  let closed = false
  const sockets = [0, 1].map(() => connect(Number(web?.url.port), '127.0.0.1').resume())
  for (const socket of sockets) socket.on('close', () => void (closed = true))
  await until(() => closed)
  const found = await read()
  for (const socket of sockets) socket.destroy()
  await reader.return?.()
  await client.close()
  await app.close({ timeout: 0 })
  await provider.shutdown()
  const of = (name: string, transport: string) => found[name]?.find(({ attributes }) => attributes['iopa.transport'] === transport)?.value
  expect(found['iopa.notifications']?.map(({ attributes, value }) => [attributes, value])).toEqual([
    [{ 'iopa.route': '/a', 'iopa.response.status_code': 200 }, 1]
  ])
  expect(of('iopa.connections', 'mqtt')).toBe(1)
  expect(of('iopa.sessions', 'mqtt')).toBe(1)
  expect(of('iopa.requests.shed', 'http')).toBe(0)
  expect(found['iopa.refusals']?.[0]?.attributes).toMatchObject({
    'iopa.transport': 'http',
    'iopa.response.status_code': 503,
    'error.type': 'too-many-connections'
  })
  const operations = found['messaging.process.duration']?.map(({ attributes }) => attributes['messaging.operation.name'])
  expect(operations).toEqual(expect.arrayContaining(['CONNECT', 'SUBSCRIBE', 'PUT']))
})

test('finds an SDK that is set up after the app, and hands requests on until then', async () => {
  const app = new App({ logger: false }).use(metrics()).use(() => 'a')
  await app.invoke({ 'iopa.Path': '/' })
  const { provider, read } = memoryMetrics()
  otel.setGlobalMeterProvider(provider)
  await app.invoke({ 'iopa.Path': '/' })
  const found = await read()
  await app.close()
  otel.disable()
  await provider.shutdown()
  expect(found['rpc.server.call.duration']?.[0]?.value).toMatchObject({ count: 1 })
})

test('routes that come and go share one name beyond 2,000 sets of attributes', async () => {
  const { meter, provider, read } = memoryMetrics()
  const app = new App({ logger: false }).use(metrics({ meter })).use(router())
  for (let n = 0; n < 2005; n++) {
    const route = app.registry.add('GET', `/r${n}`, {}, [() => 'r'])
    await app.invoke({ 'iopa.Path': `/r${n}` })
    route.remove()
  }
  const found = await read()
  await app.close()
  await provider.shutdown()
  // The SDK has a limit of its own, 2,000 as well; what is beyond ours is one set.
  const methods = new Set(found['rpc.server.call.duration']?.map(({ attributes }) => attributes['rpc.method']))
  expect(methods.has('GET /r2004')).toBe(false)
})

test('is called by the SDK for the counters of an app until it closes', async () => {
  const { meter, provider } = memoryMetrics()
  const callbacks = new Set<unknown>()
  const observed = () => ({ addCallback: (read: unknown) => callbacks.add(read), removeCallback: (read: unknown) => callbacks.delete(read) })
  meter.createObservableCounter = observed as never
  meter.createObservableUpDownCounter = observed as never
  const app = new App({ logger: false }).use(metrics({ meter }))
  expect(callbacks.size).toBe(7)
  await app.close()
  expect(callbacks.size).toBe(0)
  await provider.shutdown()
})
