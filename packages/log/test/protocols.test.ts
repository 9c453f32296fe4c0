import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import { App, IopaError } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { type LogRecord, log } from '@iopa/log'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { tcp } from '@iopa/tcp'
import { udp } from '@iopa/udp'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { kept } from './destination.ts'

const out = kept()
const app = new App({ logger: false, limits: { headerBytes: 2000 } })
  .use(log({ to: out.to }))
  .use((context, next) => {
    if (context.method === 'CONNECT' && context['mqtt.UserName'] === 'eve') throw new IopaError(401, 'who', 'No.')
    return next()
  })
  .use(router())
  .use(http({ port: 0 }))
  .use(coap({ port: 0, tcp: true }))
  .use(mqtt({ port: 0 }))
  .use(tcp({ port: 0 }))
  .use(udp({ port: 0 }))
const state = { value: 1 }
app.get('/n', () => String(state.value))
app.put('/n', async context => {
  state.value = Number(await context.text())
})
app.get('/slow', context => new Promise(resolve => context.signal.addEventListener('abort', () => resolve('late'))))

const ports: Record<string, number> = {}
beforeAll(async () => {
  for (const { url } of await app.listen()) ports[url.protocol.slice(0, -1)] = Number(url.port)
})
afterAll(() => app.close())

/** The newest record that has these fields, when it is there. */
const written = (facts: Partial<LogRecord>): Promise<LogRecord> =>
  vi.waitFor(() => {
    const found = out.records.findLast(record => Object.entries(facts).every(([name, value]) => record[name as keyof LogRecord] === value))
    if (found === undefined) throw new Error(`no line ${JSON.stringify(facts)}`)
    return found
  })

/** Sends bytes, and resolves when the server has closed the connection. */
const send = (port: number, bytes: string | Uint8Array): Promise<string> =>
  new Promise(resolve => {
    let text = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    socket.on('data', chunk => (text += chunk))
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(text))
  })

const datagram = (port: number, bytes: Uint8Array): void => {
  const socket = createSocket('udp4')
  socket.send(bytes, port, '127.0.0.1', () => socket.close())
}

describe('one line a request', () => {
  test.each(['http', 'coap', 'tcp', 'udp'])('over %s', async scheme => {
    const client = await app.connect(`${scheme}://127.0.0.1:${ports[scheme]}`)
    await (await client.get('/n')).text()
    await client.close()
    const protocol = { http: 'HTTP/1.1', coap: 'CoAP/1', tcp: 'TCP/1.0', udp: 'UDP/1.0' }[scheme] as string
    const record = await written({ event: 'request', path: '/n', protocol })
    expect(record).toMatchObject({ method: 'GET', status: 200, bytes: 1, peer: expect.stringMatching(/^127\.0\.0\.1:\d+$/) })
  })

  test('over MQTT, and one for CONNECT and SUBSCRIBE', async () => {
    const client = await app.connect(`mqtt://127.0.0.1:${ports['mqtt']}`)
    await client.put('/n', '5')
    const ends = new AbortController()
    const seen = client.observe('/n', { signal: ends.signal })[Symbol.asyncIterator]()
    await seen.next()
    ends.abort()
    await seen.next().catch(() => undefined)
    await client.close()
    // No handler answers it: the problem that there is no route is not sent.
    expect(await written({ method: 'CONNECT', protocol: 'MQTT/5.0' })).toMatchObject({ status: undefined, code: undefined, bytes: undefined })
    expect(await written({ method: 'PUT', protocol: 'MQTT/5.0' })).toMatchObject({ path: '/n', status: 204 })
    expect(await written({ method: 'SUBSCRIBE' })).toMatchObject({ path: '/n', level: 'info' })
    expect(await written({ event: 'observation-ended', protocol: 'MQTT/5.0' })).toMatchObject({ path: '/n', deliveries: 1 })
  })
})

test('one line when an observation begins and one when it ends', async () => {
  const client = await app.connect(`http://127.0.0.1:${ports['http']}`)
  const ends = new AbortController()
  const seen = client.observe('/n', { signal: ends.signal })[Symbol.asyncIterator]()
  await seen.next()
  app.notify('/n')
  await seen.next()
  expect(await written({ event: 'observation-begun', protocol: 'HTTP/1.1' })).toMatchObject({ path: '/n' })
  ends.abort()
  await seen.next().catch(() => undefined)
  await client.close()
  expect(await written({ event: 'observation-ended', protocol: 'HTTP/1.1' })).toMatchObject({ deliveries: 2, reason: 'disconnect' })
})

test('one line when a connection opens and one when it closes', async () => {
  await send(ports['http'] as number, 'GET /n HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
  const closed = await written({ event: 'connection-closed', transport: 'http' })
  expect(closed.duration).toBeGreaterThanOrEqual(0)
  expect(out.records.some(({ event, peer }) => event === 'connection-opened' && peer === closed.peer)).toBe(true)
})

test('says that the peer has gone before its answer', async () => {
  const socket = connect(ports['http'] as number, '127.0.0.1', () => socket.write('GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n'))
  await vi.waitFor(() => expect(app.counters()['http']?.inFlight).toBe(1))
  socket.resetAndDestroy()
  const record = await written({ path: '/slow' })
  expect(record).toMatchObject({ aborted: true, level: 'warn' })
  expect(record.status).toBeUndefined()
})

describe('refusals before there is a context', () => {
  const REQUESTS: readonly [string, string, number, string][] = [
    ['http', 'GET / HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n', 400, 'malformed-request'],
    ['http', 'GET / HTTP/3.0\r\nHost: localhost\r\n\r\n', 505, 'http-version'],
    ['http', `GET / HTTP/1.1\r\nHost: localhost\r\nx: ${'y'.repeat(3000)}\r\n\r\n`, 431, 'headers-too-large'],
    ['http', 'GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n', 421, 'unknown-host'],
    ['http', 'GET /a%2Fb HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', 400, 'slash-in-segment'],
    ['tcp', 'GET / HTTP/1.1\r\n', 400, 'foreign-protocol'],
    ['mqtt', 'GET / HTTP/1.1\r\n\r\n', 400, 'malformed-message']
  ]

  test.each(REQUESTS)('%s %j is %i %s', async (scheme, bytes, status, code) => {
    out.records.length = 0
    await send(ports[scheme] as number, bytes)
    const record = await written({ event: 'refused', transport: scheme, status, code })
    expect(record).toMatchObject({ level: 'warn', peer: expect.stringMatching(/^127\.0\.0\.1:\d+$/) })
  })

  test('a CONNECT of an unknown version', async () => {
    await send(ports['mqtt'] as number, Buffer.from([0x10, 12, 0, 4, 77, 81, 84, 84, 9, 2, 0, 60, 0, 0]))
    expect(await written({ event: 'refused', code: 'mqtt-version' })).toMatchObject({ status: 505 })
  })

  test('a CONNECT that the app refuses is a request', async () => {
    await send(ports['mqtt'] as number, Buffer.from([0x10, 18, 0, 4, 77, 81, 84, 84, 4, 0x82, 0, 60, 0, 1, 97, 0, 3, 101, 118, 101]))
    expect(await written({ event: 'request', method: 'CONNECT', status: 401 })).toMatchObject({ code: 'who' })
  })

  test('a bag that is no JSON object, over TCP and UDP', async () => {
    const socket = connect(ports['tcp'] as number, '127.0.0.1', () => socket.write('nonsense\n'))
    expect(await written({ event: 'refused', transport: 'tcp', code: 'bag-syntax' })).toMatchObject({ status: 400 })
    socket.destroy()
    datagram(ports['udp'] as number, Buffer.from('nonsense'))
    expect(await written({ event: 'refused', transport: 'udp', code: 'bag-syntax' })).toMatchObject({ status: 400 })
  })

  test('a datagram that is no CoAP message, and a critical option that is not understood', async () => {
    datagram(ports['coap'] as number, Buffer.from([0x4f, 1, 0, 1]))
    expect(await written({ event: 'refused', transport: 'coap', code: 'malformed-message' })).toMatchObject({ status: 400 })
    // Option 9 is critical and unknown.
    datagram(ports['coap'] as number, Buffer.from([0x40, 1, 0, 2, 0x91, 1]))
    expect(await written({ event: 'refused', transport: 'coap', code: 'refused' })).toMatchObject({ status: 402 })
  })
})
