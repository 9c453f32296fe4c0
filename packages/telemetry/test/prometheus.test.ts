import { execFile } from 'node:child_process'
import { App, IopaError, reply } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { prometheus } from '@iopa/telemetry/prometheus'
import { Counter, Registry, register as shared } from 'prom-client'
import { expect, test } from 'vitest'

/** Runs promtool; undefined where it is not installed. */
const promtool = (metrics: string): Promise<{ readonly code: number; readonly output: string } | undefined> =>
  new Promise(resolve => {
    const child = execFile('promtool', ['check', 'metrics'], (error, stdout, stderr) => {
      if (error?.code === 'ENOENT') resolve(undefined)
      else resolve({ code: Number(error?.code ?? 0), output: stdout + stderr })
    })
    child.stdin?.on('error', () => {})
    child.stdin?.end(metrics)
  })

const scraped = async () => {
  const prom = prometheus({ defaultMetrics: true })
  const app = new App({ logger: false })
    .use(prom)
    .use(router())
    .use(http({ port: 0 }))
    .use(mqtt({ port: 0 }))
    .use(coap({ port: 0 }))
  app.get('/metrics', prom.handler)
  app.get('/lights/:id', () => 'on')
  app.put('/lights/:id', () => reply(204))
  const listeners = await app.listen()
  for (const { url } of listeners) {
    const client = await app.connect(url)
    const reader = client.observe('/lights/1')[Symbol.asyncIterator]()
    await reader.next()
    await client.put('/lights/1', 'on')
    await reader.return?.()
    await client.close()
  }
  const answer = await fetch(new URL('/metrics', listeners[0]?.url))
  const text = await answer.text()
  await app.close({ timeout: 0 })
  return { text, type: answer.headers.get('content-type') }
}

test('answers in the text format, with routes and never with paths', async () => {
  const { text, type } = await scraped()
  expect(type).toBe('text/plain; version=0.0.4; charset=utf-8')
  const put = text.split('\n').find(line => line.startsWith('http_server_request_duration_seconds_count') && line.includes('"PUT"'))
  for (const label of ['http_route="/lights/:id"', 'http_response_status_code="204"', 'url_scheme="http"']) expect(put).toContain(label)
  expect(text).toMatch(/^messaging_process_duration_seconds_count\{messaging_system="mqtt",messaging_operation_name="PUT"/m)
  expect(text).toMatch(/^rpc_server_call_duration_seconds_count\{rpc_system_name="coap",rpc_method="PUT \/lights\/:id"/m)
  expect(text).toMatch(/^iopa_connections\{iopa_transport="http"\} \d+$/m)
  expect(text).toMatch(/^iopa_requests_shed_total\{iopa_transport="coap"\} 0$/m)
  expect(text).toMatch(/^nodejs_eventloop_lag_seconds /m)
  expect(text).not.toContain('/lights/1')
})

test('promtool accepts the metrics', async context => {
  const { text } = await scraped()
  // Without those of the process, whose names are not ours.
  const checked = await promtool(text.slice(0, text.indexOf('# HELP process_')))
  if (checked === undefined) {
    if (process.env['IOPA_REQUIRE_PEERS'] === '1') throw new Error('promtool is missing: bash .ci/peers')
    context.skip('promtool is not installed: apt-get install prometheus')
    return
  }
  expect(checked).toEqual({ code: 0, output: '' })
})

test('is a route that a guard protects', async () => {
  const prom = prometheus()
  const app = new App({ logger: false }).use(prom).use(router())
  const guard = () => {
    throw new IopaError(401, 'unauthorized', 'Say who you are.')
  }
  app.get('/metrics', guard, prom.handler)
  expect((await app.invoke({ 'iopa.Path': '/metrics' })).status).toBe(401)
  await app.close()
})

test('has a registry of its own, or the one given, and never the default one', async () => {
  const register = new Registry()
  const prom = prometheus({ register, buckets: [1, 2] })
  expect(prom.register).toBe(register)
  const own = new Counter({ name: 'lamps_total', help: 'Lamps.', registers: [prom.register] })
  own.inc(3)
  const app = new App({ logger: false }).use(prom).use(prom.handler)
  await app.invoke({ 'iopa.Path': '/metrics' })
  const text = await (await app.invoke({ 'iopa.Path': '/metrics' })).text()
  expect(text).toContain('lamps_total 3')
  expect([...text.matchAll(/rpc_server_call_duration_seconds_bucket\{le="([^"]+)"/g)].map(match => match[1])).toEqual(['1', '2', '+Inf'])
  expect(await shared.metrics()).not.toContain('rpc_server')
  expect(prometheus().register).not.toBe(prometheus().register)
  expect(() => new App().use(prom)).toThrow(expect.objectContaining({ code: 'telemetry-in-use' }))
  await app.close()
})
