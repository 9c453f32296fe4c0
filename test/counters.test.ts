// app.counters(): what each transport has, and what it refuses, over real sockets; and the log of it.
import { once } from 'node:events'
import net from 'node:net'
import { App, type Client, type Counts, type Logger } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { toFetchHandler } from '@iopa/http/fetch'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { tcp } from '@iopa/tcp'
import type { Listener } from '@iopa/transport'
import { socketNetwork } from '@iopa/transport/node'
import { udp } from '@iopa/udp'
import { afterEach, expect, test, vi } from 'vitest'
import { mqttConnect, mqttPublish, mqttSubscribe } from './hostile-support.ts'

const NONE: Counts = { inFlight: 0, connections: 0, observers: 0, sessions: 0, shed: 0, refused: 0, dropped: 0 }
const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

const lines: string[] = []
const serve = async (app: App): Promise<number[]> => {
  const listeners: Listener[] = await app.listen()
  ends.push(() => app.close({ timeout: 100 }))
  return listeners.map(({ url }) => Number(url.port))
}
const logging = (): Logger => {
  lines.length = 0
  const note = (line: unknown): void => void lines.push(String(line))
  return { error: note, warn: note, info: () => undefined, debug: () => undefined }
}
const dial = async (port: number): Promise<net.Socket> => {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  ends.push(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}
const counted = (app: App, name: string): Counts => app.counters()[name] ?? NONE

test('app.counters() counts running requests, connections and observers by transport, up and down', async () => {
  let release = (): void => undefined
  const held = new Promise<void>(resolve => (release = resolve))
  const app = new App({ logger: false }).use(router())
  app.get('/state', () => 'on')
  app.get('/held', () => held.then(() => 'done'))
  for (const transport of [http({ port: 0 }), tcp({ port: 0 }), udp({ port: 0 }), coap({ port: 0, tcp: true }), mqtt({ port: 0, statistics: false })])
    app.use(transport)
  const ports = await serve(app)
  const names = ['http', 'tcp', 'udp', 'coap', 'mqtt']
  expect(app.counters()).toEqual(Object.fromEntries(names.map(name => [name, NONE])))

  const clients = new App({ logger: false }).use(http()).use(tcp()).use(udp()).use(coap()).use(mqtt())
  ends.push(() => clients.close({ timeout: 0 }))
  const opened: Client[] = []
  for (const [at, name] of names.entries()) opened.push(await clients.connect(`${name}://127.0.0.1:${ports[at]}`))
  const stop = new AbortController()
  const observing = opened
    .filter((_, at) => names[at] !== 'udp')
    .map(async client => {
      for await (const answer of client.observe('/state', { signal: stop.signal })) if (!answer.ok) throw new Error(`answered ${answer.status}`)
    })
  const asked = opened.filter((_, at) => names[at] !== 'mqtt').map(client => client.get('/held'))
  await vi.waitFor(() => {
    for (const name of ['http', 'tcp', 'coap', 'mqtt']) expect([name, counted(app, name).observers]).toEqual([name, 1])
    for (const name of ['http', 'tcp', 'udp', 'coap']) expect([name, counted(app, name).inFlight]).toEqual([name, 1])
  })
  expect(counted(app, 'http').connections).toBe(2)
  expect(counted(app, 'tcp').connections).toBe(1)
  expect([counted(app, 'mqtt').connections, counted(app, 'mqtt').sessions]).toEqual([1, 1])
  release()
  await Promise.all(asked)
  stop.abort()
  await Promise.allSettled(observing)
  await clients.close({ timeout: 0 })
  await vi.waitFor(() => {
    for (const name of names) expect([name, { ...counted(app, name), sessions: 0 }]).toEqual([name, NONE])
  })
})

test('app.counters() counts fetch observers until their stream is cancelled', async () => {
  const app = new App({ logger: false }).use(() => 'on')
  ends.push(() => app.close({ timeout: 100 }))
  const handle = toFetchHandler(app)
  const response = await handle(new Request('http://localhost/', { headers: { accept: 'text/event-stream' } }))
  await vi.waitFor(() => expect(counted(app, 'fetch').observers).toBe(1))
  await response.body?.cancel()
  await vi.waitFor(() => expect(counted(app, 'fetch').observers).toBe(0))
})

test('app.counters() counts shed requests and refused connections, and logs them at most once a second', async () => {
  const limits = { inFlight: 1, connections: 3 }
  const app = new App({ logger: logging() }).use(http({ port: 0, limits })).use(() => new Promise(() => undefined))
  const [port] = (await serve(app)) as [number]
  const get = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
  const first = await dial(port)
  first.write(get)
  await vi.waitFor(() => expect(counted(app, 'http').inFlight).toBe(1))
  const second = await dial(port)
  second.resume().write(get.repeat(40))
  await vi.waitFor(() => expect(counted(app, 'http')).toEqual({ ...NONE, inFlight: 1, connections: 2, shed: 40 }))
  await dial(port)
  await vi.waitFor(() => expect(counted(app, 'http').connections).toBe(3))
  await Promise.all(Array.from({ length: 20 }, () => dial(port)))
  await vi.waitFor(() => expect(counted(app, 'http').refused).toBe(20))
  const told = (): string[] => lines.filter(line => line.startsWith('iopa: within a second'))
  await vi.waitFor(() => expect(told().length).toBeGreaterThan(0), { timeout: 2000 })
  expect(told().length).toBeLessThan(3)
  expect(told().join()).toContain('http shed requests: ')
  expect(told().join()).toContain('http refused connections: ')
})

test.each([
  ['tcp', tcp],
  ['mqtt', () => mqtt({ port: 0, statistics: false })],
  ['http', http]
] as const)('%s counts a connection that the system could not accept, and serves on', async (name, make) => {
  let server: net.Server | undefined
  const createServer = (...given: never[]): unknown => (server = (net.createServer as (...values: never[]) => net.Server)(...given))
  const network = socketNetwork({ net: { ...net, createServer } })
  const make2 = make as (options: object) => ReturnType<typeof tcp>
  const transport = name === 'mqtt' ? mqtt({ port: 0, statistics: false, network }) : make2({ port: 0, network })
  const app = new App({ logger: logging() }).use(transport).use(() => 'on')
  const [port] = (await serve(app)) as [number]
  server?.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE', syscall: 'accept' }))
  expect(counted(app, name).refused).toBe(1)
  await dial(port)
  await vi.waitFor(() => expect(counted(app, name).connections).toBe(1))
  await app.close({ timeout: 0 })
  expect(lines).toEqual([`iopa: within a second ${name} failed to accept connections: 1`])
})

test('app.counters() counts dropped MQTT messages', async () => {
  const app = new App({ logger: logging() }).use(mqtt({ port: 0, statistics: false, limits: { queueBytes: 20_000, queueMessages: 10 } }))
  const [port] = (await serve(app)) as [number]
  const [slow, sender] = [await dial(port), await dial(port)]
  slow.write(Buffer.concat([mqttConnect('slow'), mqttSubscribe('news')]))
  await once(slow, 'data')
  slow.pause()
  sender.resume().write(mqttConnect('sender'))
  await vi.waitFor(() => expect(counted(app, 'mqtt').sessions).toBe(2))
  const message = mqttPublish('news', Buffer.alloc(500_000, 'x'), 0)
  for (let sent = 0; sent < 60 && counted(app, 'mqtt').dropped === 0; sent++) {
    sender.write(message)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  expect(counted(app, 'mqtt').dropped).toBeGreaterThan(0)
})
