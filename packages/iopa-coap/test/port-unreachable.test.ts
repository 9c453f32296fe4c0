// What a client does when the system says that nothing listens at the port of its server (ICMP).
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { dtls } from '@iopa/dtls'
import { expect, test } from 'vitest'
import { RawPeer } from './raw-peer.ts'

const freePort = async (): Promise<number> => {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  await new Promise<void>(resolve => socket.close(() => resolve()))
  return port
}

test.each([true, false])('a request to a port where nothing listens fails at once (confirmable: %j)', async confirmable => {
  const app = new App({ logger: false }).use(coap({ confirmable }))
  const client = await app.connect(`coap://127.0.0.1:${await freePort()}`)
  const began = performance.now()
  await expect(client.get('/')).rejects.toMatchObject({ status: 502, code: 'port-unreachable' })
  expect(performance.now() - began).toBeLessThan(2000)
  await app.close({ timeout: 0 })
})

test('a handshake with a port where nothing listens fails at once', async () => {
  const app = new App({ logger: false }).use(coap({ dtls: dtls({ psk: { sensor: Buffer.alloc(16) } }) }))
  const port = await freePort()
  const began = performance.now()
  const message = `Nothing listens at 127.0.0.1:${port}: the system says so.`
  await expect(app.connect(`coaps://127.0.0.1:${port}`)).rejects.toMatchObject({ status: 502, code: 'port-unreachable', message })
  expect(performance.now() - began).toBeLessThan(2000)
  await app.close({ timeout: 0 })
})

test('what is acknowledged still waits for its answer', async () => {
  const peer = await RawPeer.listening()
  const { port } = peer
  const app = new App({ logger: false }).use(coap())
  const client = await app.connect(`coap://127.0.0.1:${port}`, { timeout: 400 })
  const first = client.get('/late').catch((error: unknown) => error)
  peer.acknowledge(await peer.next())
  peer.close()
  await expect(client.get('/')).rejects.toMatchObject({ code: 'port-unreachable' })
  expect(await first).toMatchObject({ code: 'timeout' })
  await app.close({ timeout: 0 })
})

test('only the server that was asked is heard: a datagram from another port is not delivered', async () => {
  const peer = await RawPeer.listening()
  const app = new App({ logger: false }).use(coap())
  const client = await app.connect(`coap://127.0.0.1:${peer.port}`)
  const answer = client.get('/').then(({ status }) => status)
  const request = await peer.next()
  const forger = await RawPeer.to(peer.asker)
  const reply = Uint8Array.of(0x68, 0x84, request.id >> 8, request.id & 255, ...request.token)
  forger.send(reply)
  reply[1] = 0x44
  // Datagrams on loopback keep their order.
  peer.send(reply)
  expect(await answer).toBe(204)
  forger.close()
  await app.close({ timeout: 0 })
  peer.close()
})
