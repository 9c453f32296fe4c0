// All everyday packages in one app: they answer right on every protocol, and a change is still one GET for all equal observers (design 5.4).
import { App } from '@iopa/appbuilder'
import { allow, anyOf, basic, preSharedKey } from '@iopa/auth'
import { cache, etag } from '@iopa/cache'
import { compress } from '@iopa/compress'
import type { SealedAnswer } from '@iopa/context'
import { cookies, sessions } from '@iopa/cookies'
import { cors } from '@iopa/cors'
import { forms } from '@iopa/forms'
import { http } from '@iopa/http'
import { log, requestId } from '@iopa/log'
import { rateLimit } from '@iopa/rate-limit'
import { resource, resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { secureHeaders } from '@iopa/secure-headers'
import { health, traces } from '@iopa/telemetry'
import { prometheus } from '@iopa/telemetry/prometheus'
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { CHANGING, OBSERVING, Town, type Watching } from './cross-protocol-support.ts'
import { until } from './hostile-support.ts'

// IOPA_FUZZ asks for the number that the design promises.
const OBSERVERS = process.env['IOPA_FUZZ'] === undefined ? 2_000 : 10_000
const ANN = { user: 'ann', password: 'of ann' }
const BOB = { user: 'bob', password: 'of bob' }

const account = (id: string) => ({ id, roles: id === 'ann' ? ['admin'] : [] })

const lamp = resource('/lamps/{id}', { state: z.object({ on: z.boolean(), note: z.string().default('') }), methods: { get: {}, put: {} } })

/** An app with every everyday package and one lamp, which counts its GETs. */
const everyday = () => {
  const counts = { gets: 0, lines: 0, spans: 0 }
  const done = async () => undefined
  const counting = { onStart: () => undefined, onEnd: () => void counts.spans++, shutdown: done, forceFlush: done }
  const provider = new BasicTracerProvider({ spanProcessors: [counting] })
  let state = { on: false, note: '' }
  const prom = prometheus()
  const app = new App({ logger: false, limits: { observers: 2 * OBSERVERS } })
    .use(requestId())
    .use(log({ to: () => void counts.lines++, format: 'json' }))
    .use(traces({ tracer: provider.getTracer('everyday') }))
    .use(prom)
    .use(health())
    .use(cors({ origin: 'https://app.example.com', credentials: true }))
    .use(secureHeaders({ trustedOrigins: ['https://app.example.com'] }))
    .use(compress())
    .use(cookies())
    .use(sessions())
    .use(
      anyOf([basic({ verify: (id, password) => (password === `of ${id}` ? account(id) : null) }), preSharedKey({ user: account })], {
        optional: true
      })
    )
    .use(
      allow([
        { roles: 'admin', to: '/#' },
        { anyone: true, may: 'read', to: '/lamps/+' }
      ])
    )
    .use(rateLimit({ limit: 2 * OBSERVERS }))
    .use(cache({ ttl: 60 }))
    .use(etag())
    .use(router())
    .use(resources())
  app.get('/metrics', prom.handler)
  app.post('/notes', forms(), async context => (await context['forms.Form'].read()).values())
  app.serve(lamp, {
    get: () => {
      counts.gets++
      return state
    },
    put: ({ input }) => {
      state = input
    }
  })
  return { app: app as unknown as App, counts }
}

test(`one change to ${OBSERVERS} equal observers is one GET`, { timeout: 60_000 }, async () => {
  const { app, counts } = everyday()
  app.use(http({ port: 0 }))
  const host = app.host('http')
  const endpoint = (at: number) => ({
    scheme: 'http',
    protocol: 'HTTP/1.1',
    remoteAddress: `10.0.${at >> 8}.${at & 255}`,
    remotePort: 1024,
    localAddress: '127.0.0.1',
    localPort: 80,
    tls: false,
    sessionId: `s${at}`,
    rawTransport: null,
    bodyLimit: 1024
  })
  const deliveries = new Map<number, SealedAnswer[]>()
  for (let at = 0; at < OBSERVERS; at++) {
    // What tells requests apart, and says nothing of the lamp.
    const headers = ['host', 'lamps.example', 'accept', 'text/event-stream', 'accept-encoding', at % 2 ? 'gzip' : 'br', 'x-request-id', `id-${at}`]
    headers.push('origin', at % 3 ? 'https://app.example.com' : 'https://other.example', 'user-agent', `browser ${at}`, 'cookie', `visits=${at}`)
    headers.push('authorization', `Basic ${btoa('ann:of ann')}`, 'traceparent', `00-${String(at + 1).padStart(32, '0')}-00f067aa0ba902b7-01`)
    const source = { headers: () => headers, authority: () => 'lamps.example' }
    const context = host.create({ method: 'GET', path: '/lamps/hall', query: '', rawPath: '/lamps/hall', endpoint: endpoint(at), source })
    context['iopa.Observe'] = true
    const told: SealedAnswer[] = []
    deliveries.set(at, told)
    await host.observe(context, answer => void told.push(answer))
  }
  const heard = (): number => [...deliveries.values()].filter(told => told.at(-1)?.payload?.toString().includes('"second"')).length
  const change = async (note: string) =>
    app.invoke({
      'iopa.Method': 'PUT',
      'iopa.Path': '/lamps/hall',
      'iopa.Headers': { authorization: `Basic ${btoa('ann:of ann')}` },
      'iopa.Body': { on: true, note }
    })
  expect((await change('first')).status).toBe(204)
  const all = (length: number): boolean => [...deliveries.values()].every(told => told.length === length)
  await until('all hear the first change', () => all(2))
  counts.gets = counts.spans = counts.lines = 0
  await change('second')
  await until('all hear the second change', () => all(3))
  expect([counts.gets, heard()]).toEqual([1, OBSERVERS])
  // Spans of the PUT and of one notification, and the line of the PUT: nothing for each observer.
  expect([counts.spans, counts.lines]).toEqual([2, 1])
  await app.close({ timeout: 0 })
  expect(app.live).toBe(0)
})

test('one change is one GET for the equal observers of all protocols', async () => {
  const { app, counts } = everyday()
  const town = await Town.open(app)
  const all: Watching[] = []
  for (const protocol of OBSERVING) for (let count = 0; count < 4; count++) all.push(await town.watch(protocol, '/lamps/hall', ANN))
  for (const note of ['first', 'second']) {
    counts.gets = 0
    expect(await town.put('http', '/lamps/hall', { on: true, note }, ANN)).toBe(204)
    const state = JSON.stringify({ on: true, note })
    await until(
      `all hear the ${note} change`,
      () => all.every(({ told }) => JSON.stringify(told.at(-1)) === state),
      () => all.map(({ protocol, told }) => [protocol, told])
    )
    // Users are equal as far as their proof is: a password over HTTP, MQTT and TCP, a key over CoAP on TLS, none over CoAP on UDP.
    expect(counts.gets, note).toBe(3)
  }
  await town.close()
  expect(app.live).toBe(0)
})

test('every protocol answers as the packages say', async () => {
  const { app, counts } = everyday()
  const town = await Town.open(app)
  const refused = { mqtt: { denied: 135, unknown: 135, invalid: 153 }, other: { denied: 403, unknown: 401, invalid: 422 } }
  for (const protocol of CHANGING) {
    if (protocol === 'coap') continue
    const statuses = refused[protocol === 'mqtt' ? 'mqtt' : 'other']
    const note = protocol.repeat(400)
    expect(await town.put(protocol, '/lamps/hall', { on: true, note }, ANN), protocol).toBe(protocol === 'mqtt' ? 0 : 204)
    expect(await town.put(protocol, '/lamps/hall', { on: false }, BOB), protocol).toBe(statuses.denied)
    expect(await town.put(protocol, '/lamps/hall', { on: false }), protocol).toBe(statuses.unknown)
    expect(await town.put(protocol, '/lamps/hall', { on: 1 }, ANN), protocol).toBe(statuses.invalid)
    expect(await town.get(protocol, '/lamps/hall', BOB), protocol).toEqual({ on: true, note })
  }
  // CoAP over UDP carries no credentials.
  expect(await town.put('coap', '/lamps/hall', { on: false })).toBe(401)
  expect(await town.get('coap', '/lamps/hall')).toMatchObject({ on: true })

  const web = await town.client('http')
  const origin = 'https://app.example.com'
  const headers = { authorization: `Basic ${btoa('ann:of ann')}`, origin, 'accept-encoding': 'gzip' }
  const answer = await web.get('/lamps/hall', { headers })
  const fields = ['content-encoding', 'access-control-allow-origin', 'x-content-type-options', 'ratelimit-policy', 'set-cookie']
  expect(fields.map(name => answer.headers.get(name) ?? undefined)).toEqual([
    'gzip',
    origin,
    'nosniff',
    expect.stringContaining(`q=${2 * OBSERVERS}`),
    undefined
  ])
  expect(answer.headers.get('x-request-id')).toMatch(/./)
  const etag = answer.headers.get('etag') as string
  const again = await web.get('/lamps/hall', { headers: { ...headers, 'if-none-match': etag } })
  const forged = await web.put('/lamps/hall', { on: false }, { headers: { ...headers, origin: 'https://evil.example' } })
  const preflight = { origin, 'access-control-request-method': 'PUT' }
  const allowed = await web.send({ 'iopa.Method': 'OPTIONS', 'iopa.Path': '/lamps/hall', 'iopa.Headers': preflight })
  expect([again.status, forged.status, allowed.status]).toEqual([304, 403, 204])
  const form = await web.post('/notes', 'text=hello', { headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' } })
  expect(await form.json()).toEqual({ text: 'hello' })
  expect(await (await web.get('/metrics', { headers: { authorization: headers.authorization } })).text()).toContain('http_route="/lamps/{id}"')
  for (const protocol of ['http', 'coap', 'tcp', 'udp'] as const) expect(await town.get(protocol, '/ready'), protocol).toEqual({ status: 'ready' })
  expect(Math.min(counts.lines, counts.spans)).toBeGreaterThan(30)
  await town.close()
  expect(app.live).toBe(0)
})
