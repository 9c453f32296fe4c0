import { App, IopaError, reply } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { coapProxy, type UpstreamClient } from '@iopa/coap-proxy'
import { http } from '@iopa/http'
import { router } from '@iopa/router'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

let base = ''
let root = ''
let level = 40
let runs = 0
const seen: { options: number[]; body: string }[] = []
const server = new App({ logger: false }).use(router()).use(coap({ port: 0 }))
const app = new App({ logger: false })
server.get('/level', context => {
  runs++
  seen.push({ options: [...(context['coap.Message']?.options ?? [])].map(([number]) => number), body: '' })
  return { level }
})
server.put('/level', async context => {
  level = ((await context.json()) as { level: number }).level
})
server.post('/items', () => reply(201, null, { location: '/items/7' }))
server.get('/shelly', () => reply(200, Uint8Array.of(1), { 'content-type': 'application/coap-payload;cf=65001' }))
server.put('/shelly', context => context.headers.get('content-type') ?? context['iopa.ContentType'])
server.get('/tagged', () => reply(200, 'tagged', { etag: '"v1"', 'cache-control': 'max-age=0' }))

beforeAll(async () => {
  const [things] = await server.listen()
  app.use((context, next) => {
    if (context.headers.has('authorization')) context['server.User'] = { id: 'ann', by: 'bearer' }
    return next()
  })
  app.use(coapProxy({ client: app, targets: [things!.url] }))
  app.use(coap({ port: 0 })).use(http({ port: 0 }))
  const listeners = await app.listen()
  root = listeners.map(({ url }) => url.href).find(url => url.startsWith('http'))!
  base = `${root}hc/coap/${things!.url.host}`
})
afterAll(async () => {
  await app.close()
  await server.close()
})

describe('HTTP to CoAP', () => {
  test('maps methods, media types and statuses', async () => {
    const answer = await fetch(`${base}/level`)
    expect([answer.status, answer.headers.get('content-type'), await answer.json()]).toEqual([200, 'application/json', { level: 40 }])
    const put = await fetch(`${base}/level`, { method: 'PUT', body: '{"level":7}', headers: { 'content-type': 'application/json' } })
    expect([put.status, level]).toEqual([204, 7])
    expect((await fetch(`${base}/none`)).status).toBe(404)
    expect((await fetch(`${base}/level`, { method: 'DELETE' })).status).toBe(405)
    expect((await fetch(`${base}/level`, { method: 'PUT', body: 'x', headers: { 'content-type': 'application/vnd.none' } })).status).toBe(415)
    expect((await fetch(`${base}/level`, { method: 'OPTIONS' })).status).toBe(501)
  })

  test('gives Location within the proxy', async () => {
    const made = await fetch(`${base}/items`, { method: 'POST' })
    expect([made.status, made.headers.get('location')]).toEqual([201, `${new URL(base).pathname}/items/7`])
  })

  test('says to caches of HTTP what an answer depends on', async () => {
    const fields = async (init: RequestInit = {}) => {
      const { headers } = await fetch(`${base}/shelly`, init)
      return [headers.get('vary'), headers.get('cache-control')]
    }
    expect(await fields()).toEqual(['accept', 'max-age=60'])
    expect(await fields({ headers: { authorization: 'Bearer x' } })).toEqual(['accept', 'private, max-age=60'])
  })

  test('validates by ETag', async () => {
    const answer = await fetch(`${base}/tagged`, { headers: { 'if-none-match': '"v1"' } })
    expect(answer.status).toBe(304)
  })

  test('refuses a server that is no target with 403, and a path without one with 400', async () => {
    expect((await fetch(`${root}hc/coap/192.0.2.1/level`)).status).toBe(403)
    expect((await fetch(`${root}hc/http/192.0.2.1/level`)).status).toBe(400)
    expect((await fetch(`${root}hc/coap`)).status).toBe(400)
  })

  test('does not forward credentials', async () => {
    seen.length = 0
    await fetch(`${base}/level?fresh`, { headers: { authorization: 'Bearer secret', cookie: 'a=b' } })
    expect(seen.at(-1)?.options).toEqual([11, 15, 16])
  })

  test('takes proxies in Via from the hops that are left', async () => {
    expect((await fetch(`${base}/level`, { headers: { via: '1.1 a, 1.1 b' } })).status).toBe(200)
    expect((await fetch(`${base}/level?via`, { headers: { via: Array(16).fill('1.1 a').join(', ') } })).status).toBe(508)
  })

  test('keeps answers for Max-Age, with their Age, and asks again for another user', async () => {
    runs = 0
    const first = await fetch(`${base}/level?cached`)
    expect([first.headers.get('age'), first.headers.get('cache-control')]).toEqual([null, 'max-age=60'])
    const second = await fetch(`${base}/level?cached`)
    expect([second.headers.get('age'), second.headers.get('cache-control')]).toEqual([expect.stringMatching(/^\d$/), 'max-age=60'])
    expect(runs).toBe(1)
    await fetch(`${base}/level?cached`, { headers: { authorization: 'Basic YTpi' } })
    expect(runs).toBe(2)
    await fetch(`${base}/level?cached`, { headers: { 'cache-control': 'no-cache' } })
    expect(runs).toBe(3)
  })

  test('takes a whole URI behind its path as well (RFC 8075 section 5.4.1)', async () => {
    const uri = `${root}hc/${base.replace(`${root}hc/coap/`, 'coap://')}`
    expect((await fetch(`${uri}/level?a=b`)).status).toBe(200)
    expect((await fetch(`${root}hc/coap://192.0.2.1/level`)).status).toBe(403)
    expect((await fetch(`${root}other/coap://192.0.2.1/level`)).status).toBe(400)
  })

  test('maps Content-Formats that have no media type to application/coap-payload, and back', async () => {
    const answer = await fetch(`${base}/shelly`)
    expect(answer.headers.get('content-type')).toBe('application/coap-payload;cf=65001')
    const put = await fetch(`${base}/shelly`, { method: 'PUT', body: 'x', headers: { 'content-type': 'application/coap-payload;cf=65001' } })
    expect(await put.text()).toBe('application/coap-payload;cf=65001')
  })

  test('observes by server-sent events', async () => {
    const leave = new AbortController()
    const answer = await fetch(`${base}/level`, { headers: { accept: 'text/event-stream' }, signal: leave.signal })
    let text = ''
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
    const until = async (part: string) => {
      while (!text.includes(part)) {
        const { value, done } = await reader.read()
        if (done) throw new Error(`The events ended without ${part}: ${text}`)
        text += value
      }
    }
    await until('"level":7')
    await fetch(`${base}/level`, { method: 'PUT', body: '{"level":8}', headers: { 'content-type': 'application/json' } })
    await until('"level":8')
    leave.abort()
  })
})

test.each([
  [70_000, 'rejects', 200],
  [60_000, 'is an error', 502]
])('an answer whose server dies after %i bytes %s, and is not kept', async (bytes, _, status) => {
  let asked = 0
  const body = async function* () {
    for (let sent = 0; sent < bytes; sent += 10_000) yield new Uint8Array(10_000)
    throw new IopaError(502, 'connection-lost', 'The connection is lost.')
  }
  const send = async () => {
    asked++
    return { status: 200, type: 'text/plain', headers: { get: () => undefined }, body: body() }
  }
  const client = { connect: async () => ({ send, close: async () => undefined }) } as unknown as UpstreamClient
  const dying = new App({ logger: false }).use(coapProxy({ client, targets: ['coap://192.0.2.7'] })).use(http({ port: 0 }))
  const [{ url } = { url: '' }] = await dying.listen()
  for (let at = 1; at <= 2; at++) {
    const answer = await fetch(`${url}hc/coap/192.0.2.7/x`)
    expect([answer.status, asked]).toEqual([status, at])
    if (status === 200) await expect(answer.bytes()).rejects.toThrow()
    else await answer.text()
  }
  await dying.close()
})
