import { createSocket, type Socket } from 'node:dgram'
import { connect } from 'node:net'
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { type LogRecord, log } from '@iopa/log'
import { mqtt } from '@iopa/mqtt'
import { websocket } from '@iopa/mqtt/websocket'
import { router } from '@iopa/router'
import { afterEach, expect, test, vi } from 'vitest'
import { kept } from './destination.ts'

const open: (() => unknown)[] = []
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

const serve = async (use: (app: App) => unknown, limits: ConstructorParameters<typeof App>[0] = {}) => {
  const out = kept()
  const app = new App({ ...limits, logger: false }).use(log({ to: out.to }))
  use(app)
  const listeners = await app.listen()
  open.push(() => app.close({ timeout: 100 }))
  const refused = (facts: Partial<LogRecord>): Promise<void> =>
    vi.waitFor(() => expect(out.of('refused')).toContainEqual(expect.objectContaining({ level: 'warn', ...facts })), { timeout: 10_000 })
  return { app, listeners, refused }
}

/** Sends bytes on a connection that stays until the test ends. */
const send = (port: number, bytes: string | Uint8Array): void => {
  const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
  socket.resume()
  socket.on('error', () => undefined)
  open.push(() => socket.destroy())
}

const peer = expect.stringMatching(/^127\.0\.0\.1:\d+$/)

test('a TLS handshake that fails', async () => {
  const { listeners, refused } = await serve(app => app.use(coap({ port: 0, tls: { psk: { lamp: Buffer.alloc(32, 1) }, port: 0 } })))
  const { urls } = listeners[0] as unknown as { urls: URL[] }
  const secure = urls.find(({ protocol }) => protocol === 'coaps+tcp:') as URL
  send(Number(secure.port), 'GET / HTTP/1.1\r\n\r\n')
  await refused({ transport: 'coap', status: 400, code: 'tls-handshake-failed', peer })
})

test('bytes that are no CoAP message over TCP, and a message that is too large', async () => {
  const { listeners, refused } = await serve(app => app.use(coap({ port: 0, tcp: true })), { limits: { body: 1000 } })
  const port = Number(listeners[0]?.url.port)
  // A token of 15 bytes (RFC 8323 section 3.2).
  send(port, Uint8Array.of(0x0f, 1))
  await refused({ transport: 'coap', status: 400, code: 'malformed-message', peer })
  // CSM, then a message that announces 4 GB.
  send(port, Uint8Array.of(0x00, 0xe1, 0xf0, 0xff, 0xff, 0xff, 0xff, 1))
  await refused({ transport: 'coap', status: 413, code: 'body-too-large', peer })
})

test('a WebSocket that does not speak MQTT', async () => {
  const { listeners, refused } = await serve(app => app.use(mqtt({ port: 0, websocket: websocket({ port: 0 }) })))
  const { websocketUrl } = listeners[0] as unknown as { websocketUrl: URL }
  const head = ['GET /mqtt HTTP/1.1', 'Host: localhost', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13']
  send(Number(websocketUrl.port), `${head.join('\r\n')}\r\nSec-WebSocket-Key: ${btoa('0123456789abcdef')}\r\n\r\n`)
  await refused({ transport: 'mqtt', status: 400, code: 'refused', peer })
})

test('a peer for which the table of CoAP has no room', async () => {
  const { app, listeners, refused } = await serve(
    app => {
      const routes = app.use(router()).use(coap({ port: 0 }))
      routes.get('/slow', ({ signal }) => new Promise(resolve => signal.addEventListener('abort', () => resolve('late'))))
    },
    { limits: { connections: 1 } }
  )
  const sockets: Socket[] = []
  open.push(() => {
    for (const socket of sockets) socket.close()
  })
  const ask = (id: number): void => {
    const socket = createSocket('udp4')
    sockets.push(socket)
    // GET /slow, confirmable.
    socket.send(Uint8Array.of(0x40, 1, 0, id, 0xb4, 115, 108, 111, 119), Number(listeners[0]?.url.port), '127.0.0.1')
  }
  ask(1)
  await vi.waitFor(() => expect(app.counters()['coap']?.inFlight).toBe(1), { timeout: 10_000 })
  ask(2)
  await refused({ transport: 'coap', status: 503, code: 'too-many-peers', peer })
})
