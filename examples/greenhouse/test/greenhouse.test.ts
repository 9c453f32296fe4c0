import { readFile } from 'node:fs/promises'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { tcp } from '@iopa/tcp'
import { udp } from '@iopa/udp'
import { connectAsync, type MqttClient } from 'mqtt'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { DASHBOARD, KEY, planted } from './planted.ts'

const DRY = { moisture: 10, temperature: 25 }
const MOIST = { moisture: 80, temperature: 21 }
const PNG = Buffer.from('89504e470d0a1a0a0000000d', 'hex')

type Line = Record<string, unknown>
const lines: Line[] = []

const build = (options: { limit?: number; guesses?: number } = {}) =>
  planted([http({ port: 0 }), coap({ port: 0 }), mqtt({ port: 0 }), tcp({ port: 0 }), udp({ port: 0 })], {
    log: { to: (_, record) => void lines.push({ ...record }) },
    ...options
  })

let app: Awaited<ReturnType<typeof build>>
const urls: Record<string, string> = {}
/** What the browsers of those who have signed in send. */
let gardener = ''
let visitor = ''
let operator = ''
const ended: (() => unknown)[] = []

beforeAll(async () => {
  app = await build()
  for (const { url } of await app.listen()) urls[url.protocol.slice(0, -1)] = url.href
  ;[gardener, visitor, operator] = await Promise.all([cookieOf('gardener'), cookieOf('visitor'), cookieOf('operator')])
})
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end()
})
afterAll(() => app.close())

const web = (path: string, init: RequestInit = {}): Promise<Response> => fetch(new URL(path, urls['http']), init)

const signIn = (name: string, password = `of ${name}`): Promise<Response> =>
  web('/session', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ name, password }) })
const cookieOf = async (name: string): Promise<string> => (await signIn(name)).headers.getSetCookie()[0]?.split(';')[0] ?? ''
const putAs = (cookie: string, path: string, body: unknown): Promise<Response> =>
  web(path, { method: 'PUT', headers: { cookie, 'content-type': 'application/json' }, body: JSON.stringify(body) })

const connect = async (protocol: string) => {
  const client = await app.connect(urls[protocol] as string)
  ended.push(() => client.close())
  return client
}

const connectMqtt = async (key?: string): Promise<MqttClient> => {
  const credentials = key === undefined ? {} : { username: 'herbs', password: key }
  const client = await connectAsync(urls['mqtt'] as string, { protocolVersion: 5, reconnectPeriod: 0, ...credentials })
  ended.push(() => client.endAsync(true))
  return client
}

/** The states that an observer gets. */
const heardBy = (answers: AsyncIterable<{ json(): Promise<unknown> }>): unknown[] => {
  const heard: unknown[] = []
  const iterator = answers[Symbol.asyncIterator]()
  const read = async (): Promise<void> => {
    for (let step = await iterator.next(); !step.done; step = await iterator.next()) heard.push(await step.value.json())
  }
  read().catch(error => heard.push(error))
  ended.push(() => iterator.return?.())
  return heard
}

/** The states that an event stream brings. */
const heardByStream = async (path: string, cookie: string): Promise<unknown[]> => {
  const heard: unknown[] = []
  const ends = new AbortController()
  const answer = await web(path, { headers: { cookie, accept: 'text/event-stream' }, signal: ends.signal })
  const read = async (): Promise<void> => {
    for await (const chunk of (answer.body as ReadableStream<Uint8Array>).pipeThrough(
      new TextDecoderStream() as never
    ) as unknown as AsyncIterable<string>)
      for (const [, data] of chunk.matchAll(/^data: ?(.*)$/gm)) heard.push(JSON.parse(data as string))
  }
  read().catch(() => undefined)
  ended.push(() => ends.abort())
  return heard
}

const bearer = { authorization: `Bearer ${KEY}` }

test('has at most 20 lines that are no business logic', async () => {
  // Every line of code that would be the same in another app: what builds the stack. Imports, and the addresses in start.ts, are not counted.
  const source = await readFile(new URL('../greenhouse.ts', import.meta.url), 'utf8')
  const [, stack] = /^ {2}\/\/ The stack.*?\n(.*?)^ {2}\/\/ The greenhouse/ms.exec(source) ?? []
  const counted = (stack ?? '').split('\n').filter(line => !/^\s*($|\/\/)/.test(line))
  expect(counted.length).toBeGreaterThan(10)
  expect(counted.length).toBeLessThanOrEqual(20)
})

test('signs people in and out by a session', async () => {
  expect((await signIn('gardener', 'guessed')).status).toBe(401)
  const cookie = await cookieOf('gardener')
  expect(await (await web('/session', { headers: { cookie } })).json()).toEqual({ id: 'gardener', roles: ['gardener'] })
  const heard = await heardByStream('/valves/herbs', cookie)
  await vi.waitFor(() => expect(heard).toHaveLength(1))
  expect((await web('/session', { method: 'DELETE', headers: { cookie } })).status).toBe(204)
  expect((await web('/valves/herbs', { headers: { cookie } })).status).toBe(401)
  await vi.waitFor(() => expect(heard.at(-1)).toMatchObject({ status: 401 }))
  expect(await (await web('/session')).json()).toEqual({ roles: [] })
})

test('lets gardeners change, visitors read, and the operator see metrics alone', async () => {
  const statuses = async (cookie = '') => {
    const get = async (path: string): Promise<number> => (await web(path, { headers: { cookie } })).status
    return [await get('/valves/herbs'), (await putAs(cookie, '/valves/herbs', { open: false })).status, await get('/metrics'), await get('/docs')]
  }
  expect(await statuses()).toEqual([401, 401, 401, 401])
  expect(await statuses(visitor)).toEqual([200, 403, 403, 200])
  expect(await statuses(gardener)).toEqual([200, 200, 403, 200])
  expect(await statuses(operator)).toEqual([403, 403, 200, 403])
  // A reading is what the device says, and nobody else.
  expect((await putAs(gardener, '/beds/herbs', DRY)).status).toBe(403)
})

test('refuses a device what is not its own, in the terms of each protocol', async () => {
  const things = await connect('coap')
  expect((await things.get('/valves/herbs')).status).toBe(401)
  expect((await things.get('/valves/herbs?key=wrong')).status).toBe(401)
  expect((await things.get(`/valves/herbs?key=${KEY}`)).status).toBe(200)
  expect((await things.get(`/valves/tomatoes?key=${KEY}`)).status).toBe(403)
  expect((await things.put(`/valves/herbs?key=${KEY}`, { open: true })).status).toBe(403)

  await expect(connectMqtt('wrong')).rejects.toMatchObject({ code: 0x86 })
  const nobody = await connectMqtt()
  await expect(nobody.publishAsync('beds/herbs', JSON.stringify(DRY), { qos: 1 })).rejects.toMatchObject({ code: 0x87 })
  const device = await connectMqtt(KEY)
  await expect(device.publishAsync('beds/tomatoes', JSON.stringify(DRY), { qos: 1 })).rejects.toMatchObject({ code: 0x87 })
  await expect(device.subscribeAsync('valves/tomatoes')).rejects.toMatchObject({ packet: { granted: [0x87] } })

  for (const protocol of ['tcp', 'udp']) {
    const client = await connect(protocol)
    expect((await client.put('/beds/herbs', DRY)).status, protocol).toBe(401)
    expect((await client.put('/beds/tomatoes', DRY, { headers: bearer })).status, protocol).toBe(403)
  }
})

test('opens the valve of a dry bed, and tells observers on every protocol', async () => {
  const things = await connect('coap')
  const device = await connectMqtt(KEY)
  const messages: unknown[] = []
  device.on('message', (_, payload) => messages.push(JSON.parse(payload.toString())))
  await device.subscribeAsync('valves/herbs')
  const lines = await connect('tcp')
  const observers = {
    coap: heardBy(things.observe(`/valves/herbs?key=${KEY}`)),
    tcp: heardBy(lines.observe('/valves/herbs', { headers: bearer })),
    process: heardBy(app.observe('/valves/herbs', { headers: bearer })),
    mqtt: messages,
    http: await heardByStream('/valves/herbs', visitor)
  }
  const allHear = async (open: boolean): Promise<void> =>
    vi.waitFor(() => {
      for (const [name, heard] of Object.entries(observers)) expect(heard.at(-1), name).toEqual({ open })
    })
  await allHear(false)
  expect((await things.put(`/beds/herbs?key=${KEY}`, DRY)).status).toBe(200)
  await allHear(true)
  await device.publishAsync('beds/herbs', JSON.stringify(MOIST), { qos: 1 })
  await allHear(false)
  const datagrams = await connect('udp')
  expect((await datagrams.put('/beds/herbs', DRY, { headers: bearer })).status).toBe(200)
  await allHear(true)
  expect((await putAs(gardener, '/valves/herbs', { open: false })).status).toBe(200)
  await allHear(false)
})

test('refuses a reading that cannot be, and names the member', async () => {
  const things = await connect('coap')
  const refused = await things.put(`/beds/herbs?key=${KEY}`, { moisture: 101, temperature: 20 })
  expect([refused.status, await refused.text()]).toEqual([422, expect.stringContaining('moisture')])
  const problem = await (await putAs(gardener, '/valves/herbs', { open: 'wide' })).json()
  expect(problem).toMatchObject({ status: 422, code: 'invalid-input', errors: [{ pointer: '/open' }] })
})

test('takes a photo of a bed from a gardener, and gives it back', async () => {
  const send = (bytes: Uint8Array<ArrayBuffer>, as = gardener, path = '/photos/herbs'): Promise<Response> => {
    const body = new FormData()
    body.append('photo', new File([bytes], 'herbs.png', { type: 'image/png' }))
    return web(path, { method: 'PUT', headers: { cookie: as }, body })
  }
  expect((await web('/photos/herbs', { headers: { cookie: gardener } })).status).toBe(404)
  const taken = await heardByStream('/photos', visitor)
  expect((await send(PNG)).status).toBe(204)
  await vi.waitFor(() => expect(taken.at(-1)).toEqual({ herbs: 1 }))
  const photo = await web('/photos/herbs', { headers: { cookie: gardener } })
  expect([photo.headers.get('content-type'), photo.headers.get('cache-control')]).toEqual(['image/png', 'private, no-cache'])
  expect(Buffer.from(await photo.arrayBuffer())).toEqual(PNG)
  const again = await web('/photos/herbs', { headers: { cookie: gardener, 'if-none-match': photo.headers.get('etag') as string } })
  expect(again.status).toBe(304)

  expect((await send(PNG, visitor)).status).toBe(403)
  expect((await send(PNG, gardener, '/photos/roses')).status).toBe(404)
  expect((await send(Buffer.from('<svg onload="alert(1)"/>'))).status).toBe(415)
  expect((await send(Buffer.concat([PNG, Buffer.alloc(600_000)]))).status).toBe(413)
})

test('gives one user one budget over all protocols', async () => {
  const small = await build({ limit: 3 })
  ended.push(() => small.close())
  const statuses: number[] = []
  for (const { url } of await small.listen()) {
    if (!['http:', 'coap:', 'tcp:', 'udp:'].includes(url.protocol)) continue
    const client = await small.connect(url)
    statuses.push((await client.get(`/valves/herbs?key=${KEY}`)).status)
    await client.close()
  }
  expect(statuses).toEqual([200, 200, 200, 429])
})

test('takes passwords of scripts, and asks no browser for them', async () => {
  const basic = (password: string) => ({ authorization: `Basic ${Buffer.from(`gardener:${password}`).toString('base64')}` })
  const [right, wrong, none] = await Promise.all([basic('of gardener'), basic('guessed'), {}].map(headers => web('/valves/herbs', { headers })))
  expect([right?.status, wrong?.status, none?.status]).toEqual([200, 401, 401])
  for (const refused of [wrong, none]) expect(refused?.headers.get('www-authenticate')).toMatch(/^Bearer realm="app"(?:, error="invalid_token")?$/)
})

test('lets an address guess a few times, over all protocols together', async () => {
  const guarded = await build({ guesses: 5 })
  ended.push(() => guarded.close())
  const at: Record<string, string> = {}
  for (const { url } of await guarded.listen()) at[url.protocol.slice(0, -1)] = url.href
  const things = await guarded.connect(at['coap'] as string)
  ended.push(() => things.close())
  const ask = async (path: string, init: RequestInit = {}) => (await fetch(new URL(path, at['http']), init)).status
  const signIn = (password: string) =>
    ask('/session', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ name: 'gardener', password }) })
  const connecting = (password: string) =>
    connectAsync(at['mqtt'] as string, { protocolVersion: 5, reconnectPeriod: 0, username: 'herbs', password }).catch(
      ({ code }: { code: number }) => code
    )
  // A page without a session, and what is right, cost nothing.
  for (let turn = 0; turn < 10; turn++) expect(await ask('/valves/herbs')).toBe(401)
  expect((await things.get(`/valves/herbs?key=${KEY}`)).status).toBe(200)
  const statuses = [
    (await things.get('/valves/herbs?key=guessed')).status,
    await ask('/valves/herbs', { headers: { authorization: 'Bearer guessed' } }),
    await ask('/valves/herbs', { headers: { authorization: `Basic ${btoa('gardener:guessed')}` } }),
    await signIn('guessed'),
    await connecting('guessed')
  ]
  expect(statuses).toEqual([401, 401, 401, 401, 0x86])
  expect([
    (await things.get(`/valves/herbs?key=${KEY}`)).status,
    await ask('/valves/herbs', { headers: bearer }),
    await signIn('of gardener'),
    await connecting(KEY)
  ]).toEqual([429, 429, 429, 0x9f])
})

test('lets pages of the dashboard in, and changes of other sites not', async () => {
  const preflight = (origin: string) => web('/valves/herbs', { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'PUT' } })
  const permitted = await preflight(DASHBOARD)
  expect(permitted.status).toBe(204)
  expect(permitted.headers.get('access-control-allow-origin')).toBe(DASHBOARD)
  expect(permitted.headers.get('access-control-allow-methods')).toContain('PUT')
  expect((await preflight('https://evil.example')).headers.get('access-control-allow-origin')).toBeNull()

  const from = (origin: string) =>
    web('/valves/herbs', { method: 'PUT', headers: { cookie: gardener, origin, 'content-type': 'application/json' }, body: '{"open":false}' })
  expect([(await from(DASHBOARD)).status, (await from('https://evil.example')).status]).toEqual([200, 403])
})

test('serves its page compressed, with a policy', async () => {
  const page = await web('/', { headers: { 'accept-encoding': 'gzip' } })
  expect(page.headers.get('content-encoding')).toBe('gzip')
  expect(page.headers.get('content-security-policy')).toContain("script-src 'self'")
  expect(await page.text()).toContain('<title>Greenhouse</title>')
})

test('tells everyone that it is well, and the operator how much it does', async () => {
  const things = await connect('coap')
  for (const path of ['/health', '/ready']) expect([(await web(path)).status, (await things.get(path)).status], path).toEqual([200, 200])
  await things.put(`/beds/tomatoes?key=key-of-the-tomatoes`, MOIST)
  const metrics = await (await web('/metrics', { headers: { cookie: operator } })).text()
  expect(metrics).toMatch(/rpc_server_call_duration_seconds_count\{.*PUT \/beds\/\{id\}.*\} [1-9]/)
})

test('describes to each user what this user may do', async () => {
  const pathsFor = async (cookie: string): Promise<string[]> => {
    return Object.keys(((await (await web('/openapi.json', { headers: { cookie } })).json()) as { paths: object }).paths)
  }
  expect(await pathsFor(visitor)).toEqual(expect.arrayContaining(['/beds', '/beds/{id}', '/valves/{id}']))
  expect(await pathsFor(gardener)).not.toContain('/metrics')
})

test('writes a line a request, with its user and its protocol and without keys', async () => {
  const things = await connect('coap')
  await things.put(`/beds/herbs?key=${KEY}`, MOIST)
  const device = await connectMqtt(KEY)
  await device.publishAsync('beds/herbs', JSON.stringify(MOIST), { qos: 1 })
  await (await web('/beds/herbs', { headers: { cookie: visitor } })).text()
  const line = (method: string, protocol: string, user: string) =>
    expect.objectContaining({ event: 'request', method, protocol, user, path: '/beds/herbs', status: 200 })
  await vi.waitFor(() => {
    for (const wanted of [line('PUT', 'CoAP/1', 'herbs'), line('PUT', 'MQTT/5.0', 'herbs'), line('GET', 'HTTP/1.1', 'visitor')])
      expect(lines).toContainEqual(wanted)
  })
  expect(lines.find(({ user }) => user === 'visitor')).toHaveProperty('requestId')
  expect(JSON.stringify(lines)).not.toContain(KEY)
})

// The last one: it uses up what this address may try.
test('lets nobody guess passwords', async () => {
  const statuses: number[] = []
  while (statuses.at(-1) !== 429 && statuses.length < 20) statuses.push((await signIn('gardener', 'guessed')).status)
  expect(new Set(statuses)).toEqual(new Set([401, 429]))
})
