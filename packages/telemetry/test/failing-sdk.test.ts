import { App } from '@iopa/appbuilder'
import { http } from '@iopa/http'
import { metrics, traces } from '@iopa/telemetry'
import { prometheus } from '@iopa/telemetry/prometheus'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor, type SpanProcessor } from '@opentelemetry/sdk-trace-base'
import { expect, test } from 'vitest'

const fail = (): never => {
  throw new Error('the SDK fails')
}
const processor = (own: Partial<SpanProcessor>): SpanProcessor => ({
  onStart: () => undefined,
  onEnd: () => undefined,
  forceFlush: async () => undefined,
  shutdown: async () => undefined,
  ...own
})
const tracerOf = (own: Partial<SpanProcessor>) => new BasicTracerProvider({ spanProcessors: [processor(own)] }).getTracer('x')

const meter = {
  createHistogram: () => ({ record: fail }),
  createCounter: () => ({ add: fail }),
  createUpDownCounter: () => ({ add: fail }),
  createObservableCounter: () => ({ addCallback: () => undefined, removeCallback: () => undefined }),
  createObservableUpDownCounter: () => ({ addCallback: () => undefined, removeCallback: () => undefined })
}

test.each([
  ['at the start of a span', () => traces({ tracer: tracerOf({ onStart: fail }) })],
  ['at the end of a span', () => traces({ tracer: tracerOf({ onEnd: fail }) })],
  ['in every instrument', () => metrics({ meter: meter as never })]
])('a request goes on where the SDK throws %s, which is logged once', async (_, middleware) => {
  const logged: unknown[] = []
  const logger = { error: (message: string) => logged.push(message), warn: () => undefined, info: () => undefined, debug: () => undefined }
  const app = new App({ logger })
    .use(http({ port: 0 }))
    .use(middleware())
    .use(() => 'x')
  const [listener] = await app.listen()
  const client = await app.connect(listener!.url)
  for (let round = 0; round < 3; round++) {
    const answer = await client.get('/')
    expect([answer.status, await answer.text()]).toEqual([200, 'x'])
  }
  await client.close()
  await app.close()
  expect(logged).toEqual([expect.stringContaining('cannot write')])
})

test('does not trust a peer where the function gives a promise', async () => {
  const exporter = new InMemorySpanExporter()
  const tracer = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).getTracer('x')
  const app = new App().use(traces({ tracer, trust: (async () => false) as never })).use(http({ port: 0 }))
  app.use(() => 'x')
  const [listener] = await app.listen()
  await fetch(listener!.url, { headers: { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` } })
  await app.close()
  expect(exporter.getFinishedSpans()[0]?.spanContext().traceId).not.toBe('a'.repeat(32))
})

test('belongs to one app', () => {
  for (const own of [traces(), metrics(), prometheus()]) {
    new App().use(own as never)
    expect(() => new App().use(own as never)).toThrow(expect.objectContaining({ code: 'telemetry-in-use' }))
  }
})

test('refuses options that are none', () => {
  const wrong = [
    () => traces({ tracer: 5 as never }),
    () => traces({ propagator: {} as never }),
    () => traces({ ignore: true as never }),
    () => metrics({ meter: 5 as never }),
    () => prometheus({ register: {} as never }),
    ...[5, [], [3, 1], ['a']].map(buckets => () => prometheus({ buckets: buckets as never }))
  ]
  for (const make of wrong) expect(make).toThrow(expect.objectContaining({ code: 'bad-option' }))
})
