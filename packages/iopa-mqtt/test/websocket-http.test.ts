import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { App } from '@iopa/appbuilder'
import { type HttpOptions, http } from '@iopa/http'
import { router } from '@iopa/router'
import { connectAsync } from 'mqtt'
import { afterEach, describe, expect, test } from 'vitest'
import { type ClientOptions, WebSocket } from 'ws'
import { mqtt } from '../src/mqtt.ts'
import { websocket } from '../src/websocket.ts'
import { certificate } from './fixtures/certificate.ts'
import { until } from './fixtures/peers.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const serve = async (options: HttpOptions = {}, first: 'http' | 'mqtt' = 'http') => {
  let light = 'off'
  const broker = mqtt({ port: 0, websocket: websocket({ on: 'http', origins: ['https://house.example'] }) })
  const web = http({ port: 0, ...options })
  const app = new App({ logger: false })
    .use(router())
    .use(first === 'http' ? web : broker)
    .use(first === 'http' ? broker : web)
  app.get('/lights/hall', () => light)
  app.put('/lights/hall', async context => void (light = await context.text()))
  app.get('/mqtt', () => 'A page about MQTT')
  const listeners = await app.listen()
  closing.push(() => app.close({ timeout: 500 }))
  const url = listeners.map(listener => listener.url).find(({ protocol }) => protocol.startsWith('http')) as URL
  return { app, broker, origin: url.origin, port: Number(url.port) }
}

/** The status with which an upgrade is refused; 101 where it is not. */
const upgraded = (url: URL, options: ClientOptions = {}, protocols: string[] = ['mqtt']): Promise<number | undefined> =>
  new Promise(resolve => {
    const socket = new WebSocket(url, protocols, { rejectUnauthorized: false, ...options })
    closing.push(() => socket.terminate())
    socket.on('unexpected-response', (_request, response: IncomingMessage) => {
      response.resume()
      resolve(response.statusCode)
    })
    socket.on('open', () => resolve(101))
    socket.on('error', () => undefined)
  })

describe('MQTT over WebSocket on the port of http()', () => {
  test.each([
    ['http', {}],
    ['mqtt', {}],
    ['http', { http2: true }],
    ['http', { tls: certificate() }]
  ] as const)('serves mqtt.js beside the routes (%s first, %o)', async (first, options) => {
    const { app, broker, origin } = await serve(options, first)
    const url = broker.websocketUrl as URL
    expect(url.href).toBe(`${origin.replace('http', 'ws')}/mqtt`)
    expect(broker.urls.map(String)).toContain(url.href)
    const client = await connectAsync(url.href, { protocolVersion: 5, rejectUnauthorized: false })
    closing.push(() => client.endAsync(true))
    const heard: string[] = []
    client.on('message', (topic, payload) => heard.push(`${topic} ${payload}`))
    await client.subscribeAsync('lights/hall')
    await until(() => heard.length === 1)
    await client.publishAsync('lights/hall', 'x'.repeat(100_000), { qos: 1 })
    await until(() => heard.length === 2)
    expect(heard[1]).toBe(`lights/hall ${'x'.repeat(100_000)}`)
    expect(app.counters()).toMatchObject({ http: { connections: 1 }, mqtt: { connections: 1 } })
    await client.endAsync()
    await until(() => app.counters()['http']?.connections === 0 && app.counters()['mqtt']?.connections === 0)
    if (!('tls' in options)) expect(await (await fetch(`${origin}/mqtt`)).text()).toBe('A page about MQTT')
  })

  test('admits pages of its own origin, scheme included, and those that are listed', async () => {
    const { broker, port } = await serve()
    const url = broker.websocketUrl as URL
    expect(await upgraded(url)).toBe(101)
    expect(await upgraded(url, { origin: `http://127.0.0.1:${port}` })).toBe(101)
    expect(await upgraded(url, { origin: 'https://house.example' })).toBe(101)
    for (const origin of [`https://127.0.0.1:${port}`, 'http://127.0.0.1:1', 'https://evil.example', 'null'])
      expect(await upgraded(url, { origin })).toBe(403)
    expect(await upgraded(url, {}, ['soap'])).toBe(400)
    expect(await upgraded(url, { headers: { host: 'evil.example' } })).toBe(421)
    expect(await upgraded(new URL('/lights/hall', url))).toBe(200)
  })

  test('takes packets that come with the request, and a client that ends its side', async () => {
    const { app, port } = await serve()
    const socket = connectSocket(port, '127.0.0.1')
    closing.push(() => socket.destroy())
    const chunks: Buffer[] = []
    socket.on('data', chunk => chunks.push(chunk))
    const fields = [
      'Host: localhost',
      'Connection: Upgrade',
      'Upgrade: WebSocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
      'Sec-WebSocket-Protocol: mqtt'
    ]
    // CONNECT of MQTT 3.1.1 in a frame whose mask is zero.
    const connect = Buffer.from('100c00044d5154540402003c0000', 'hex')
    socket.write(
      Buffer.concat([
        Buffer.from(`GET /mqtt HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n`),
        Buffer.of(0x82, 0x80 | connect.length, 0, 0, 0, 0),
        connect
      ])
    )
    await until(() => Buffer.concat(chunks).includes(Buffer.from('20020000', 'hex')))
    expect(Buffer.concat(chunks).toString('latin1')).toMatch(/^HTTP\/1\.1 101 /)
    socket.end()
    await once(socket, 'close')
    await until(() => app.counters()['mqtt']?.connections === 0)
  })

  test('says goodbye when the app closes', async () => {
    const { app, broker } = await serve()
    const client = await connectAsync((broker.websocketUrl as URL).href, { protocolVersion: 5, reconnectPeriod: 0 })
    const reasons: unknown[] = []
    client.on('disconnect', packet => reasons.push(packet.reasonCode))
    const began = performance.now()
    await app.close({ timeout: 5000 })
    expect(performance.now() - began).toBeLessThan(4000)
    expect(reasons).toEqual([0x8b])
    expect(app.live).toBe(0)
  })

  test('does not ride on a listener off loopback without authentication', async () => {
    for (const first of ['http', 'mqtt'] as const) {
      await expect(serve({ host: '0.0.0.0' }, first)).rejects.toThrow(/allowUnauthenticated/)
    }
  })

  test('needs http() in the app', async () => {
    const app = new App({ logger: false }).use(mqtt({ port: 0, websocket: websocket({ on: 'http' }) }))
    await expect(app.listen()).rejects.toThrow(/needs http\(\) in the same app/)
    expect(app.live).toBe(0)
    await app.close()
  })

  test('rides on a UNIX socket, which its permissions protect', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'iopa-'))
    closing.push(() => rmSync(folder, { recursive: true }))
    const path = join(folder, 'http.sock')
    const broker = mqtt({ port: 0, websocket: websocket({ on: 'http' }) })
    const app = new App({ logger: false }).use(router()).use(http({ path })).use(broker)
    await app.listen()
    closing.push(() => app.close({ timeout: 500 }))
    expect(broker.websocketUrl?.protocol).toBe('ws+unix:')
    const socket = new WebSocket(`ws+unix://${path}:/mqtt`, ['mqtt'])
    closing.push(() => socket.terminate())
    await once(socket, 'open')
  })

  test('has options of its own', () => {
    expect(() => websocket({ on: 'http', port: 8083 })).toThrow(/'port'.*give it to http\(\)/)
    expect(() => websocket({ on: 'tcp' as never })).toThrow(/'http'/)
  })
})
