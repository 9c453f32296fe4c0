import { App, type AppOptions, IopaError, reply } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { type TraceOptions, traces } from '@iopa/telemetry'
import { memory } from '@iopa/testing'
import { SpanStatusCode } from '@opentelemetry/api'
import { AlwaysOffSampler, type ReadableSpan } from '@opentelemetry/sdk-trace-base'
import { expect, test } from 'vitest'
import { memorySpans, parentOf, until } from './support.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = `00-${TRACE}-b7ad6b7169203331-01`

const traced = (options: TraceOptions = {}, appOptions: AppOptions = { logger: false }) => {
  const { tracer, spans } = memorySpans()
  const app = new App(appOptions)
    .use(traces({ tracer, ...options }))
    .use(router())
    .use(memory())
  return { app, spans }
}

const named = (spans: ReadableSpan[], name: string): ReadableSpan => spans.find(span => span.name === name) as ReadableSpan

test('names a span by method and route pattern, also of a mounted app, and never by a path', async () => {
  const { app, spans } = traced()
  const inner = new App({ logger: false }).use(router())
  inner.get('/users/:id', () => 'user')
  app.mount('/admin', inner)
  app.get('/lights/{id}', () => 'on')
  for (const path of ['/lights/1', '/admin/users/1', '/nothing/here']) await app.invoke({ 'iopa.Path': path })
  await app.invoke({ 'iopa.Method': 'BREW', 'iopa.Path': '/pot' })
  await app.close()
  expect(spans().map(({ name }) => name)).toEqual(['GET /lights/{id}', 'GET /admin/users/:id', 'GET', 'REQUEST'])
})

test('writes status, error type and span status: 5xx is an error of the server, 4xx is not', async () => {
  const { app, spans } = traced()
  app.get('/bad', () => {
    throw new IopaError(503, 'broken', 'Broken.')
  })
  app.get('/wrong', () => reply(409))
  await app.invoke({ 'iopa.Path': '/bad' })
  await app.invoke({ 'iopa.Path': '/wrong' })
  await app.close()
  const [bad, wrong] = spans()
  expect(bad?.attributes).toMatchObject({ 'rpc.response.status_code': '503', 'error.type': 'broken' })
  expect(bad?.status.code).toBe(SpanStatusCode.ERROR)
  expect(wrong?.attributes).toMatchObject({ 'rpc.response.status_code': '409' })
  expect(wrong?.status.code).toBe(SpanStatusCode.UNSET)
})

test.each([
  ['a trace of the peer', PARENT, TRACE],
  ['a version of the future with more fields', `01-${TRACE}-b7ad6b7169203331-01-more`, TRACE]
])('continues %s', async (_, traceparent, expected) => {
  const { app, spans } = traced()
  app.get('/a', () => 'a')
  await app.invoke({ 'iopa.Path': '/a', 'iopa.Headers': { traceparent } })
  await app.close()
  expect(spans()[0]?.spanContext().traceId).toBe(expected)
})

test.each([
  ['a malformed traceparent', 'nonsense'],
  ['version ff', `ff-${TRACE}-b7ad6b7169203331-01`],
  ['more fields of version 00', `${PARENT}-more`],
  ['an all-zero trace', `00-${'0'.repeat(32)}-b7ad6b7169203331-01`],
  ['an oversized one', `01-${TRACE}-b7ad6b7169203331-01-${'x'.repeat(600)}`]
])('ignores %s', async (_, traceparent) => {
  const { app, spans } = traced()
  app.get('/a', () => 'a')
  const answer = await app.invoke({ 'iopa.Path': '/a', 'iopa.Headers': { traceparent } })
  await app.close()
  expect(answer.status).toBe(200)
  expect(spans()[0]?.parentSpanContext).toBeUndefined()
  expect(spans()[0]?.spanContext().traceId).not.toBe(TRACE)
})

test('ignores a traceparent that stands twice', async () => {
  const { app, spans } = traced()
  app.get('/a', () => 'a')
  const headers: [string, string][] = [
    ['traceparent', PARENT],
    ['traceparent', PARENT]
  ]
  await app.invoke({ 'iopa.Path': '/a', 'iopa.Headers': headers })
  await app.close()
  expect(spans()[0]?.parentSpanContext).toBeUndefined()
})

test('begins a new trace with a link for a peer that is not trusted', async () => {
  const { app, spans } = traced({ trust: context => context.headers.has('x-ours') })
  app.get('/a', () => 'a')
  await app.listen()
  const client = await app.connect('memory://app')
  // Without a context manager the client continues the trace that its own headers name.
  await client.get('/a', { headers: { traceparent: PARENT } })
  await client.get('/a', { headers: { traceparent: PARENT, 'x-ours': '1' } })
  await client.close()
  await app.close()
  const [stranger, ours] = spans().filter(({ name }) => name === 'GET /a')
  expect(stranger?.parentSpanContext).toBeUndefined()
  expect(stranger?.links.map(({ context }) => context.traceId)).toEqual([TRACE])
  expect(ours?.spanContext().traceId).toBe(TRACE)
})

test('ignores requests that the option ignore names, and writes queries nowhere', async () => {
  const { app, spans } = traced({ ignore: ({ path }) => path === '/health' })
  app.get('/health', () => 'up')
  app.get('/a', () => 'a')
  await app.invoke({ 'iopa.Path': '/health' })
  await app.invoke({ 'iopa.Path': '/a', 'iopa.QueryString': 'token=secret' })
  await app.close()
  expect(spans().map(({ name }) => name)).toEqual(['GET /a'])
  expect(JSON.stringify(spans()[0]?.attributes)).not.toContain('secret')
})

test('leaves sampling to the SDK: a request that is not sampled still carries its trace on', async () => {
  const { tracer, spans } = memorySpans(new AlwaysOffSampler())
  const seen: (string | undefined)[] = []
  const app = new App({ logger: false }).use(traces({ tracer })).use(router()).use(memory())
  app.get('/a', ({ headers }) => {
    seen.push(headers.get('traceparent'))
    return 'a'
  })
  await app.listen()
  const client = await app.connect('memory://app')
  await client.get('/a', { headers: { traceparent: PARENT } })
  await client.close()
  await app.close()
  expect(spans()).toEqual([])
  expect(seen[0]).toMatch(new RegExp(`^00-${TRACE}-[\\da-f]{16}-00$`))
})

test('an explicit parent in a bag goes before the headers', async () => {
  const { app, spans } = traced()
  app.get('/inner', () => 'in')
  await app.listen()
  const client = await app.connect('memory://app')
  app.get('/outer', async context => (await client.send({ 'iopa.Path': '/inner', 'telemetry.Span': context['telemetry.Span'] })).text())
  await app.invoke({ 'iopa.Path': '/outer' })
  await client.close()
  await app.close()
  const outer = named(spans(), 'GET /outer')
  const sent = named(spans(), 'GET')
  expect(parentOf(sent)).toBe(outer.spanContext().spanId)
  expect(parentOf(named(spans(), 'GET /inner'))).toBe(sent.spanContext().spanId)
})

test('a client span says how its request failed', async () => {
  const { app, spans } = traced()
  app.get('/gone', () => reply(410))
  await app.listen()
  const client = await app.connect('memory://app')
  await client.get('/gone')
  await expect(client.get('/gone', { signal: AbortSignal.abort() })).rejects.toThrow()
  await client.close()
  await expect(client.get('/gone')).rejects.toThrow()
  await app.close()
  const sent = spans().filter(({ name }) => name === 'GET')
  expect(sent[0]?.attributes).toMatchObject({ 'error.type': '410', 'rpc.system.name': 'memory', 'url.full': expect.stringContaining('/gone') })
  expect(sent[0]?.status.code).toBe(SpanStatusCode.ERROR)
})

test('CONNECT and SUBSCRIBE of MQTT have spans that end with their answers; requests do not inherit them', async () => {
  const { tracer, spans } = memorySpans()
  const app = new App({ logger: false })
    .use(traces({ tracer }))
    .use(router())
    .use(mqtt({ port: 0 }))
  const parents: unknown[] = []
  app.get('/a', context => {
    parents.push(context['telemetry.Span'])
    return 'a'
  })
  const [listener] = await app.listen()
  const client = await app.connect(listener?.url as URL)
  const reader = client.observe('/a')[Symbol.asyncIterator]()
  await reader.next()
  await until(() => spans().length >= 4)
  const names = spans().map(({ name }) => name)
  expect(names).toEqual(expect.arrayContaining(['CONNECT', 'SUBSCRIBE', 'GET /a', 'GET']))
  const connect = named(spans(), 'CONNECT')
  expect(connect.attributes).toMatchObject({ 'messaging.system': 'mqtt', 'messaging.operation.name': 'connect' })
  expect(parents).not.toContain(connect)
  await reader.return?.()
  await client.close()
  await app.close({ timeout: 0 })
})

test('the CoAP server span has the attributes of a remote call', async () => {
  const { tracer, spans } = memorySpans()
  const app = new App({ logger: false })
    .use(traces({ tracer }))
    .use(router())
    .use(coap({ port: 0 }))
  app.get('/t/:id', () => 'x')
  const [listener] = await app.listen()
  const client = await app.connect(listener?.url as URL)
  await client.get('/t/1')
  await client.close()
  await app.close({ timeout: 0 })
  expect(named(spans(), 'GET /t/:id').attributes).toMatchObject({
    'rpc.system.name': 'coap',
    'rpc.method': 'GET /t/:id',
    'rpc.response.status_code': '200',
    'network.protocol.name': 'coap',
    'network.protocol.version': '1',
    'url.path': '/t/1',
    'client.address': '127.0.0.1'
  })
})
