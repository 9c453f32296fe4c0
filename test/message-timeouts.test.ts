// Peers that say nothing, and peers that send a message byte by byte: every stream protocol has a limit for both.
import { once } from 'node:events'
import net from 'node:net'
import { App, type Limits, type Transport } from '@iopa/appbuilder'
import { type CoapListener, coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { type MqttTransport, mqtt } from '@iopa/mqtt'
import { websocket } from '@iopa/mqtt/websocket'
import { tcp } from '@iopa/tcp'
import { afterEach, expect, test, vi } from 'vitest'

const LIMIT = 150

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** Serves an echo with short limits; the idle limit is far away, so that it cannot be what ends a connection. */
const serve = async (transport: Transport): Promise<number> => {
  const limits: Partial<Limits> = { headerTimeout: LIMIT, requestTimeout: LIMIT, idleTimeout: 60_000 }
  const app = new App({ logger: false, limits }).use(transport).use(() => 'yes')
  const [listener] = await app.listen()
  ends.push(() => app.close({ timeout: 100 }))
  const browsers = (transport as MqttTransport).websocketUrl
  return Number((browsers ?? (listener as CoapListener).urls?.find(({ protocol }) => protocol === 'coap+tcp:') ?? listener?.url)?.port)
}

const dial = async (port: number): Promise<net.Socket> => {
  const socket = net.connect(port, '127.0.0.1')
  socket.on('error', () => undefined).resume()
  ends.push(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

const CONNECT = Buffer.concat([Buffer.of(0x10, 92, 0, 4), Buffer.from('MQTT'), Buffer.of(4, 2, 0, 0, 0, 80), Buffer.from('n'.repeat(80))])
const PUBLISH = Buffer.concat([Buffer.of(0x30, 103, 0, 1), Buffer.from(`a${'x'.repeat(100)}`)])
const UPGRADE = [
  'GET / HTTP/1.1',
  'Host: localhost',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
  'Sec-WebSocket-Protocol: mqtt',
  '\r\n'
].join('\r\n')
/** A binary message in one frame whose mask is zero. */
const frame = (bytes: Uint8Array): Buffer => Buffer.concat([Buffer.of(0x82, 0x80 | bytes.length, 0, 0, 0, 0), bytes])

const broker = (): Transport => mqtt({ port: 0, statistics: false, websocket: websocket({ port: 0 }) })
const plain = (): Transport => mqtt({ port: 0, statistics: false })
const overTcp = (): Transport => coap({ port: 0, tcp: true })

/** What is sent at once, and what follows byte by byte. */
const drips: [string, () => Transport, Uint8Array | string, Uint8Array | string][] = [
  ['a head of HTTP', () => http({ port: 0 }), '', `GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ${'x'.repeat(100)}`],
  ['a line of TCP', () => tcp({ port: 0 }), '', `{"iopa.Method":"PUT","iopa.Path":"/","iopa.Body":"${'x'.repeat(100)}"}\n`],
  [
    'a line of TCP while another is observed',
    () => tcp({ port: 0 }),
    '{"iopa.Method":"GET","iopa.Path":"/","iopa.Observe":true,"iopa.Seq":1}\n',
    `{"iopa.Method":"PUT","iopa.Path":"/","iopa.Body":"${'x'.repeat(100)}"}\n`
  ],
  ['a message of CoAP', overTcp, Buffer.of(0x00, 0xe1), Buffer.concat([Buffer.of(0xd1, 95, 0x03, 0x07, 0xff), Buffer.alloc(110, 'x')])],
  ['the CSM of CoAP', overTcp, '', Buffer.concat([Buffer.of(0xd0, 95, 0xe1), Buffer.alloc(110, 0)])],
  ['the CONNECT of MQTT', plain, '', CONNECT],
  ['a packet of MQTT', plain, CONNECT, PUBLISH],
  ['the upgrade to MQTT over WebSocket', broker, '', UPGRADE],
  ['a CONNECT of MQTT in a frame of WebSocket', broker, UPGRADE, frame(CONNECT)],
  ['a packet of MQTT in a frame of WebSocket', broker, Buffer.concat([Buffer.from(UPGRADE), frame(CONNECT)]), frame(PUBLISH)]
]

test('a connection ends when a message arrives byte by byte for too long', async () => {
  const ports = await Promise.all(drips.map(([, make]) => serve(make())))
  const peers = await Promise.all(ports.map(dial))
  for (const [at, [, , before]] of drips.entries()) peers[at]?.write(before)
  let sent = 0
  const timer = setInterval(() => {
    for (const [at, [, , , drip]] of drips.entries()) peers[at]?.write(Buffer.from(drip as string).subarray(sent, sent + 1))
    sent++
  }, 20)
  ends.push(() => clearInterval(timer))
  const open = (): string[] => drips.filter((_, at) => peers[at]?.closed === false).map(([name]) => name)
  await new Promise(resolve => setTimeout(resolve, LIMIT / 2))
  expect(open()).toEqual(drips.map(([name]) => name))
  // The limits are checked now and then: once more the limit at most, and MQTT looks twice a second.
  await vi.waitFor(() => expect(open()).toEqual([]), { timeout: 1500, interval: 10 })
  // None was whole by then: the shortest has 94 bytes, for which it would have taken 1.9 s.
})

test('a connection ends when it sends nothing', async () => {
  const silent: [string, () => Transport][] = [
    ['http', () => http({ port: 0 })],
    ['tcp', () => tcp({ port: 0 })],
    ['tcp, plain messages', () => tcp({ port: 0, framing: 'raw' })],
    ['coap', overTcp],
    ['mqtt', plain],
    ['mqtt over WebSocket', broker]
  ]
  const peers = await Promise.all((await Promise.all(silent.map(([, make]) => serve(make())))).map(dial))
  const open = (): string[] => silent.filter((_, at) => peers[at]?.closed === false).map(([name]) => name)
  await vi.waitFor(() => expect(open()).toEqual([]), { timeout: 1500, interval: 10 })
})
