// How requests of the client end when a connection is lost or cancelled: with one code, and without having been sent.
import net from 'node:net'
import { App } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import type { Client } from '@iopa/transport'
import { afterEach, expect, test } from 'vitest'
import { mqtt } from '../src/mqtt.ts'
import { connectMqtt } from './fixtures/connect-mqtt.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** An app whose PUT of /lights/x counts, and a relay to it whose connections can be cut. */
const serve = async () => {
  let puts = 0
  const app = new App({ logger: false }).use(router()).use(mqtt({ port: 0, statistics: false }))
  app.put('/lights/:id', () => void puts++)
  app.get('/lights/:id', () => 'on')
  const [listener] = await app.listen()
  ends.push(() => app.close({ timeout: 50 }))
  const sockets = new Set<net.Socket>()
  let silent = false
  const relay = net.createServer(socket => {
    const inner = net.connect(Number(listener!.url.port), '127.0.0.1')
    for (const one of [socket, inner]) {
      sockets.add(one)
      one.on('error', () => undefined)
      one.on('close', () => sockets.delete(one))
    }
    socket.on('data', data => silent || inner.write(data))
    inner.on('data', data => silent || socket.write(data))
  })
  await new Promise<void>(resolve => relay.listen(0, '127.0.0.1', resolve))
  ends.push(() => {
    for (const socket of sockets) socket.destroy()
    relay.close()
  })
  return {
    url: new URL(`mqtt://127.0.0.1:${(relay.address() as net.AddressInfo).port}`),
    puts: () => puts,
    /** From now on nothing passes; `cut` ends the connections. */
    silence: () => (silent = true),
    cut: () => {
      for (const socket of sockets) socket.destroy()
    }
  }
}

const open = async (url: URL, options: Parameters<typeof connectMqtt>[1] = {}): Promise<Client> => {
  const channel = await connectMqtt(url, options)
  ends.push(() => channel.close())
  return channel
}

const put = (signal?: AbortSignal) => ({
  'iopa.Method': 'PUT',
  'iopa.Path': '/lights/hall',
  'iopa.Body': 'x',
  ...(signal && { 'iopa.CallCancelled': signal })
})

test('sends nothing that was cancelled before, whatever the quality of service', async () => {
  const { url, puts } = await serve()
  for (const options of [{}, { qos: 0 }, { answer: 'acknowledgement' }, { protocolVersion: 4 }] as const) {
    const channel = await open(url, options)
    const before = puts()
    await expect(channel.send(put(AbortSignal.abort(new Error('before'))))).rejects.toThrow('before')
    await channel.send(put())
    // With QoS 0 nothing says that it has arrived but what comes after it.
    await channel.send({ 'iopa.Path': '/lights/hall' })
    expect(puts()).toBe(before + 1)
  }
})

test.each([{}, { qos: 0 }, { protocolVersion: 4 }] as const)(
  'rejects at once with the reason at each step towards a broker that has fallen silent, %j',
  async options => {
    const { url, silence } = await serve()
    const channel = await open(url, { timeout: 5000, ...options })
    silence()
    const asked = [put, (signal?: AbortSignal) => ({ 'iopa.Path': '/lights/hall', ...(signal && { 'iopa.CallCancelled': signal }) })]
    for (const ask of asked) {
      const stop = new AbortController()
      const reason = new Error('enough')
      setTimeout(() => stop.abort(reason), 30)
      const began = performance.now()
      // A publication of QoS 0 is done when it has left.
      const outcome = await channel.send(ask(stop.signal)).catch((error: unknown) => error)
      if (outcome instanceof Error) expect(outcome).toBe(reason)
      expect(performance.now() - began).toBeLessThan(1500)
    }
  }
)

test('rejects with 502 disconnected for a lost connection if it does not send again', async () => {
  const { url, silence, cut } = await serve()
  const channel = await open(url, { timeout: 3000 })
  silence()
  // The subscription to its responses, which this client makes before its first request, is lost.
  const lost = channel.send({ 'iopa.Path': '/lights/hall' }).catch((error: unknown) => error)
  await new Promise(resolve => setTimeout(resolve, 30))
  cut()
  expect(await lost).toMatchObject({
    name: 'IopaError',
    status: 502,
    code: 'disconnected',
    detail: 'The connection was lost before the answer came.'
  })
})
