import { once } from 'node:events'
import { createServer, type IncomingMessage, request } from 'node:http'
import { type AddressInfo, connect as connectSocket } from 'node:net'
import { type ByteChannel, systemClock } from '@iopa/transport'
import { afterEach, describe, expect, test } from 'vitest'
import { type ClientOptions, WebSocket } from 'ws'
import { isOriginAllowed } from '../src/websocket/admission.ts'
import { listenWebSocket } from '../src/websocket/listener.ts'
import type { WebSocketListener, WebSocketOptions } from '../src/websocket/network.ts'
import { certificate } from './fixtures/certificate.ts'
import { until } from './fixtures/peers.ts'

const LIMITS = { maxPayload: 1000, connections: 10, headerTimeout: 1000, headerBytes: 4096, clock: systemClock, messageTimeout: 30_000 }
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** Sends back what it gets, in one piece a chunk. */
const echo = (channel: ByteChannel): void => {
  channel.open({
    data: chunk => void channel.write(chunk),
    end: () => {},
    drain: () => {},
    close: () => {}
  })
}

const listen = async (options: WebSocketOptions = { port: 0 }, accept: (channel: ByteChannel) => void = echo): Promise<WebSocketListener> => {
  const listener = await listenWebSocket(options, LIMITS, accept)
  closing.push(() => listener.close())
  return listener
}

const connect = async (url: URL | string, options: ClientOptions = {}, protocols: string[] = ['mqtt']): Promise<WebSocket> => {
  const socket = new WebSocket(url, protocols, options)
  closing.push(() => socket.terminate())
  await once(socket, 'open')
  return socket
}

/** The status with which an upgrade is refused. */
const refusal = (url: URL | string, options: ClientOptions = {}, protocols: string[] = ['mqtt']): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(url, protocols, options)
    socket.on('unexpected-response', (_request, response: IncomingMessage) => {
      response.resume()
      resolve(response.statusCode)
    })
    socket.on('open', () => reject(new Error('was let in')))
    socket.on('error', () => {})
  })

describe('WebSocket', () => {
  test.each([
    ['nothing', false, ''],
    ['half a request', false, 'GET / HTTP/1.1\r\nHos'],
    ['nothing, where TLS is spoken,', true, ''],
    ['half a handshake', true, '\x16\x03']
  ] as const)('closes at once with a connection that has sent %s', async (_, secure, text) => {
    const listener = await listen(secure ? { port: 0, tls: certificate() } : { port: 0 })
    const socket = connectSocket(listener.port, '127.0.0.1')
    closing.push(() => socket.destroy())
    const ended = once(socket.resume(), 'close')
    await once(socket, 'connect')
    socket.write(text)
    // The server has accepted it when it has accepted the next one.
    const next = connectSocket(listener.port, '127.0.0.1', () => next.end('x\r\n\r\n'))
    await once(next.on('error', () => {}).resume(), 'close')
    const started = performance.now()
    await listener.close()
    await ended
    expect(performance.now() - started).toBeLessThan(500)
  })

  test('carries bytes both ways, on a port of its own', async () => {
    const { url, port } = await listen()
    expect(url.href).toBe(`ws://127.0.0.1:${port}/`)
    const socket = await connect(url)
    expect(socket.protocol).toBe('mqtt')
    socket.send(Uint8Array.of(1, 2, 3))
    const [data, isBinary] = (await once(socket, 'message')) as [Buffer, boolean]
    expect([isBinary, [...data]]).toEqual([true, [1, 2, 3]])
  })

  test('loses no data that arrives before the receiver is set', async () => {
    const received: number[] = []
    const { url } = await listen({ port: 0 }, channel => {
      setTimeout(() => channel.open({ data: chunk => void received.push(...chunk), end: () => {}, drain: () => {}, close: () => {} }), 30)
    })
    const socket = await connect(url)
    for (let n = 0; n < 5; n++) socket.send(Uint8Array.of(n))
    await until(() => received.length === 5)
    expect(received).toEqual([0, 1, 2, 3, 4])
  })

  test('reports when the peer reads too slowly, and when it has caught up', async () => {
    let channel: ByteChannel | undefined
    let drained = 0
    const { url } = await listen({ port: 0 }, accepted => {
      channel = accepted
      channel.open({ data: () => {}, end: () => {}, drain: () => void drained++, close: () => {} })
    })
    const socket = await connect(url)
    socket.pause()
    await until(() => channel)
    const chunk = new Uint8Array(256 * 1024)
    for (let n = 0; n < 200 && channel!.buffered < 4 * chunk.length; n++) {
      channel!.write(chunk)
      await new Promise(resolve => setImmediate(resolve))
    }
    expect(channel!.write(chunk)).toBe(false)
    expect(channel!.buffered).toBeGreaterThan(chunk.length)
    drained = 0
    socket.resume()
    await until(() => drained > 0)
    expect(channel!.buffered).toBe(0)
  })

  test('reports the end of the connection once, whichever side ends it', async () => {
    const closed: string[] = []
    const channels: ByteChannel[] = []
    const { url } = await listen({ port: 0 }, channel => {
      const name = String(channels.push(channel))
      channel.open({ data: () => {}, end: () => {}, drain: () => {}, close: () => void closed.push(name) })
    })
    const sockets = [await connect(url), await connect(url), await connect(url)]
    await until(() => channels.length === 3)
    sockets[0]!.close()
    await until(() => closed.length === 1)
    channels[1]!.end()
    await once(sockets[1]!, 'close')
    await until(() => closed.length === 2)
    channels[2]!.destroy()
    await once(sockets[2]!, 'close')
    await until(() => closed.length === 3)
    expect(closed).toEqual(['1', '2', '3'])
    expect(channels[0]!.write('late')).toBe(false)
  })

  test('closes a connection that sends text, or a message over the limit', async () => {
    const { url } = await listen()
    const texting = await connect(url)
    texting.send('hello')
    expect((await once(texting, 'close'))[0]).toBe(1003)
    const large = await connect(url)
    large.send(new Uint8Array(LIMITS.maxPayload + 1))
    expect((await once(large, 'close'))[0]).toBe(1009)
  })

  test('accepts listed pages and those of its own host, and clients without an Origin', async () => {
    const { url, port } = await listen({ port: 0, origins: ['https://house.example'] })
    await connect(url)
    await connect(url, { origin: 'https://house.example' })
    await connect(url, { origin: `http://127.0.0.1:${port}` })
    expect(await refusal(url, { origin: 'https://evil.example' })).toBe(403)
    expect(await refusal(url, { origin: 'null' })).toBe(403)
    expect(await refusal(url, { origin: 'http://evil.example', headers: { host: 'evil.example' } })).toBe(403)
    expect(await refusal(url, { origin: `http://127.0.0.1:${port + 1}` })).toBe(403)
  })

  test.each([
    [undefined, 'x', '10.0.0.1', true],
    ['https://house.example', 'house.example', '10.0.0.1', true],
    ['https://house.example', 'house.example:443', '10.0.0.1', true],
    ['http://house.example:8080', 'house.example:8080', '10.0.0.1', true],
    ['http://house.example:8080', 'house.example', '10.0.0.1', false],
    ['http://house.example', 'house.example', '127.0.0.1', false],
    ['http://localhost:1', 'localhost:1', '::ffff:127.0.0.1', true],
    ['http://[::1]:1', '[::1]:1', '::1', true],
    ['file://', '', '10.0.0.1', false],
    ['garbage', 'garbage', '10.0.0.1', false]
  ])('Origin %s, Host %s, on %s: %s', (origin, host, address, allowed) => {
    expect(isOriginAllowed(origin, host, address, [])).toBe(allowed)
  })

  test('refuses clients without the subprotocol, and requests that are not WebSocket', async () => {
    const { url, port } = await listen({ port: 0, path: '/mqtt' })
    expect(await refusal(url, {}, [])).toBe(400)
    expect(await refusal(url, {}, ['chat'])).toBe(400)
    expect(await refusal(`ws://127.0.0.1:${port}/other`)).toBe(404)
    expect((await connect(url, {}, ['mqttv3.1'])).protocol).toBe('mqttv3.1')
    const response = await new Promise<IncomingMessage>(resolve => request({ port, host: '127.0.0.1' }, resolve).end())
    response.resume()
    expect(response.statusCode).toBe(426)
  })

  test('shares a node:http server with others, and does not close it', async () => {
    const server = createServer((_request, response) => response.end('page')).listen(0, '127.0.0.1')
    await once(server, 'listening')
    closing.push(() => server.close())
    const { port } = server.address() as AddressInfo
    const listener = await listen({ server })
    expect(listener.url.href).toBe(`ws://127.0.0.1:${port}/mqtt`)
    const socket = await connect(listener.url)
    socket.send(Uint8Array.of(7))
    await once(socket, 'message')
    expect(await refusal(`ws://127.0.0.1:${port}/other`)).toBe(404)
    const other = (_request: IncomingMessage, taken: { destroy(): void }): void => taken.destroy()
    server.on('upgrade', other)
    const elsewhere = new WebSocket(`ws://127.0.0.1:${port}/other`)
    expect(String((await once(elsewhere, 'error'))[0])).toMatch(/hang up/)
    await listener.close()
    expect(server.listeners('upgrade')).toEqual([other])
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('page')
  })

  test('rejects when the port is taken', async () => {
    const { port } = await listen()
    await expect(listen({ port })).rejects.toMatchObject({ code: 'bind-failed' })
  })
})
