// The budget of bodies in memory, over real sockets: what a transport holds counts from its first bytes on, and one user does not hold all of it.
import net from 'node:net'
import { App, type Client, defineMiddleware, type Limits, type Transport } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { tcp } from '@iopa/tcp'
import { udp } from '@iopa/udp'
import { afterEach, describe, expect, test, vi } from 'vitest'

const KIB = 1024
const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

const serve = async (app: App, ...transports: Transport[]): Promise<number[]> => {
  for (const transport of transports) app.use(transport)
  const listeners = await app.listen()
  ends.push(() => app.close({ timeout: 50 }))
  return listeners.map(({ url }) => Number(url.port))
}
const connect = async (url: string): Promise<Client> => {
  const app = new App({ logger: false }).use(http()).use(tcp()).use(udp()).use(coap())
  ends.push(() => app.close({ timeout: 0 }))
  return app.connect(url)
}
const dial = (port: number): net.Socket => {
  const socket = net.connect(port, '127.0.0.1')
  socket.setNoDelay(true)
  socket.on('error', () => undefined)
  ends.push(() => socket.destroy())
  return socket
}
const received = (socket: net.Socket): (() => string) => {
  let text = ''
  socket.on('data', chunk => (text += chunk.toString()))
  return () => text
}

/** An app that reads bodies and holds those of `/hold` until `release` is called; `/stream` streams `size` bytes, and holds before the end. */
const holding = (bodyMemory: number, limits: Partial<Limits> = {}): { app: App; release: () => void } => {
  const waiting: (() => void)[] = []
  const held = (): Promise<void> => new Promise(resolve => void waiting.push(resolve))
  const app = new App({ logger: false, limits: { bodyMemory, ...limits } }).use(async context => {
    if (context.path === '/stream')
      return (async function* () {
        yield new Uint8Array(200 * KIB)
        if (context.query.has('hold')) await held()
      })()
    const { length } = await context.bytes()
    if (context.path === '/hold') await held()
    return { length }
  })
  const release = (): void => {
    for (const resolve of waiting.splice(0)) resolve()
  }
  return { app, release }
}

describe('the budget of bodies in memory', () => {
  test('counts answers that a transport sends whole while they are collected', async () => {
    const { app, release } = holding(300 * KIB)
    const [port] = await serve(app, tcp({ port: 0 }))
    const client = await connect(`tcp://127.0.0.1:${port}`)
    const first = client.get('/stream?hold')
    await vi.waitFor(() => expect(app.counters().tcp?.inFlight).toBe(1))
    await new Promise(resolve => setTimeout(resolve, 20))
    expect((await client.get('/stream')).status).toBe(503)
    release()
    expect((await first).status).toBe(200)
    expect((await client.get('/stream')).status).toBe(200)
  })

  test.each([
    ['coap', 60, () => coap({ port: 0 })],
    ['coap+tcp', 60, () => coap({ port: 0, udp: false, tcp: true })],
    ['tcp', 60, () => tcp({ port: 0 })],
    ['udp', 40, () => udp({ port: 0 })]
  ] as const)('has no room for a body over %s while another protocol holds it, and has room again after that', async (scheme, size, make) => {
    const { app, release } = holding(210 * KIB)
    const [web, port] = await serve(app, http({ port: 0 }), make())
    const one = await connect(`http://127.0.0.1:${web}`)
    const body = new Uint8Array(size * KIB)
    const first = one.put('/hold', new Uint8Array(180 * KIB))
    await vi.waitFor(() => expect(app.counters().http?.inFlight).toBe(1))
    await new Promise(resolve => setTimeout(resolve, 20))
    const status = async (): Promise<number> => {
      // A connection of TCP ends where what has begun to come has no room.
      const other = await connect(`${scheme}://127.0.0.1:${port}`)
      const request = { 'iopa.Method': 'PUT', 'iopa.Path': '/', 'iopa.Body': body, 'iopa.ContentType': 'application/octet-stream' }
      return other.send(request).then(
        answer => answer.status,
        error => (error as { status: number }).status
      )
    }
    expect(await status()).toBe(503)
    release()
    expect((await first).status).toBe(200)
    expect(await status()).toBe(200)
    expect(await status()).toBe(200)
  })

  test('counts an incomplete line of TCP, and releases it when the connection ends', async () => {
    const { app } = holding(230 * KIB)
    const [port] = (await serve(app, tcp({ port: 0 }))) as [number]
    const begun = `{"iopa.Method":"PUT","iopa.Path":"/","iopa.Body":"${'x'.repeat(120 * KIB)}`
    const first = dial(port)
    first.write(begun)
    const second = dial(port)
    const answer = received(second)
    await vi.waitFor(() => expect(app.counters().tcp?.connections).toBe(2))
    await new Promise(resolve => setTimeout(resolve, 30))
    second.write(`${begun}"}\n`)
    await vi.waitFor(() => expect(answer()).toMatch(/"iopa.StatusCode":503/))
    first.destroy()
    await vi.waitFor(() => expect(app.counters().tcp?.connections).toBe(1))
    const third = dial(port)
    const last = received(third)
    third.write(`${begun}"}\n`)
    await vi.waitFor(() => expect(last()).toMatch(/"iopa.StatusCode":200/))
  })

  test('leaves room for others while one user uploads slowly', async () => {
    const user = defineMiddleware({ name: 'user', provides: ['server.User'] }, (context, next) => {
      context['server.User'] = { id: context.headers.get('x-user') ?? 'none' }
      return next()
    })
    const app = new App({ logger: false, limits: { bodyMemory: 800 * KIB } })
      .use(user)
      .use(async context => ({ length: (await context.bytes()).length })) as unknown as App
    const [port] = (await serve(app, http({ port: 0 }))) as [number]
    const head = (id: string, length: number): string => `PUT / HTTP/1.1\r\nHost: localhost\r\nX-User: ${id}\r\nContent-Length: ${length}\r\n\r\n`
    const drips = Array.from({ length: 20 }, () => {
      const socket = dial(port)
      const text = received(socket)
      socket.write(head('ann', 60_000) + 'x'.repeat(50_000))
      return { socket, text }
    })
    const timer = setInterval(() => {
      for (const { socket } of drips) socket.write('x')
    }, 10)
    ends.push(() => clearInterval(timer))
    // Those of ann that find no room within her share are refused; the others wait for the rest.
    await vi.waitFor(() => expect(drips.filter(({ text }) => / 503 /.test(text())).length).toBeGreaterThan(5))
    expect(app.counters().http?.inFlight).toBeGreaterThan(3)
    const bobs = Array.from({ length: 2 }, () => {
      const socket = dial(port)
      const text = received(socket)
      socket.write(head('bob', 40_000) + 'x'.repeat(40_000))
      return text
    })
    await vi.waitFor(() => expect(bobs.map(text => text().slice(0, 12))).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200']))
  })
})
