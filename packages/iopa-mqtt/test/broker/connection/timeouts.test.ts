import { once } from 'node:events'
import net, { connect as dial } from 'node:net'
import { App, type Limits } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import type { Listener } from '@iopa/transport'
import { connectAsync, type MqttClient } from 'mqtt'
import { generate, parser } from 'mqtt-packet'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { mqtt } from '../../../src/mqtt.ts'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

const closing: (() => unknown)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
  expect(await closeLabs()).toBe(0)
})

const routed = (limits: Partial<Limits>) => new App({ logger: false }).use(router()).use(mqtt({ port: 0, limits }))

/** An app on a real port. */
const served = async (build: (app: ReturnType<typeof routed>) => unknown, limits: Partial<Limits> = {}): Promise<number> => {
  const app = routed(limits)
  build(app)
  const [listener] = await app.listen()
  closing.push(async () => {
    await app.close({ timeout: 100 })
    expect(app.live).toBe(0)
  })
  return Number(listener?.url.port)
}

const _client = async (port: number): Promise<MqttClient> => {
  const made = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5, reconnectPeriod: 0 })
  closing.push(() => made.endAsync(true))
  return made
}

describe('keep alive', () => {
  test('closes a connection without packets after one and a half times its interval', async () => {
    const net = await lab()
    for (const version of [4, 5] as const) {
      const client = await net.client({ version, keepalive: 10 })
      await net.rest(14_000)
      expect(client.closed).toBe(false)
      client.send({ cmd: 'pingreq' })
      expect(await client.next('pingresp')).toBeDefined()
      await net.rest(14_000)
      expect(client.closed).toBe(false)
      if (version === 5) expect(await client.next('disconnect', 3000)).toMatchObject({ reasonCode: 0x8d })
      await net.clock.runUntil(() => client.closed, 3000)
    }
  })

  test('of 0 never closes a connection', async () => {
    const net = await lab(undefined, { maxKeepAlive: 0 })
    const client = await net.client({ keepalive: 0 })
    await net.rest(2 * 3600 * 1000)
    expect(client.closed).toBe(false)
  })

  test('does not end a connection while a handler runs, however long', async () => {
    const net = await lab(app => app.use(router()).put('/slow', () => new Promise<void>(resolve => void net.clock.setTimeout(resolve, 20_000))))
    const client = await net.client({ keepalive: 2 })
    client.publish('slow', 'x', { qos: 1, messageId: 1 })
    for (let second = 0; second < 15; second++) {
      client.send({ cmd: 'pingreq' })
      await client.next('pingresp')
      await net.rest(1000)
    }
    for (let second = 0; second < 6; second++) {
      client.send({ cmd: 'pingreq' })
      await net.rest(1000)
    }
    expect(await client.next('puback')).toMatchObject({ messageId: 1, reasonCode: 0x00 })
  })
})

describe('keep alive', () => {
  test.each([4, 5] as const)('ends a connection whose client has stopped reading (MQTT version %i)', async version => {
    const left: string[] = []
    const net = await lab(
      app =>
        app.use((context, next) => {
          if (context.method === 'DISCONNECT') left.push(String(context['mqtt.ClientId']))
          return next()
        }),
      { limits: { queueBytes: 10_000 } }
    )
    const client = await net.client({ version, keepalive: 1, clientId: 'silent' })
    await client.subscribe('a')
    client.pause()
    const publisher = await net.client()
    for (let round = 0; round < 2; round++) {
      for (let index = 0; index < 500; index++) publisher.publish('a', 'x'.repeat(1000))
      await net.rest()
    }
    // Its packets are not read while it takes no answers: they prove nothing.
    client.sendBytes(Buffer.alloc(20_000, Buffer.from([0xc0, 0])))
    await net.rest(5000)
    expect(left).toEqual(['silent'])
  })

  test('stands still while handlers keep the connection from being read', async () => {
    const net = await lab(
      app =>
        app.use(router()).put('/slow', async () => {
          await new Promise<void>(resolve => void net.clock.setTimeout(resolve, 20_000))
        }),
      { limits: { inFlightPerConnection: 1 } }
    )
    const client = await net.client({ keepalive: 1, version: 4 })
    client.publish('slow', 'x', { qos: 1, messageId: 1 })
    await net.rest(15_000)
    expect(client.closed).toBe(false)
    expect(await client.next('puback', 10_000)).toBeDefined()
  })

  test('keeps a client that sent in time when the event loop was blocked', async () => {
    const app = new App({ logger: false })
    app.use(mqtt({ port: 0, statistics: false }))
    const [listener] = (await app.listen()) as [Listener]
    const socket = net.connect(Number(listener.url.port), '127.0.0.1')
    try {
      const library = parser({ protocolVersion: 4 })
      const packets: string[] = []
      library.on('packet', packet => packets.push(packet.cmd))
      socket.on('data', chunk => library.parse(chunk))
      socket.write(generate({ cmd: 'connect', clientId: 'c', protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive: 1 }))
      await vi.waitFor(() => expect(packets).toEqual(['connack']))
      socket.write(generate({ cmd: 'pingreq' }))
      const until = performance.now() + 2500
      while (performance.now() < until);
      await vi.waitFor(() => expect(packets).toEqual(['connack', 'pingresp']))
      expect(socket.closed).toBe(false)
    } finally {
      socket.destroy()
      await app.close({ timeout: 100 })
    }
  })

  test('is measured in time that passes, not by the wall clock', async () => {
    const app = new App({ logger: false })
    const transport = mqtt({ port: 0, statistics: false })
    app.use(transport)
    const [listener] = (await app.listen()) as [Listener]
    const socket = net.connect(Number(listener.url.port), '127.0.0.1')
    const now = vi.spyOn(Date, 'now')
    try {
      let connected = false
      socket.on('data', () => {
        connected = true
      })
      socket.write(generate({ cmd: 'connect', clientId: 'c', protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive: 60 }))
      await vi.waitFor(() => expect(connected).toBe(true))
      // The system clock jumps an hour forward.
      const real = performance.timeOrigin
      now.mockImplementation(() => Math.round(real + performance.now()) + 3_600_000)
      await new Promise(resolve => setTimeout(resolve, 1200))
      expect(socket.closed).toBe(false)
    } finally {
      now.mockRestore()
      socket.destroy()
      await app.close({ timeout: 100 })
    }
  })
})

describe('a packet that comes byte by byte', () => {
  const publish = generate({ cmd: 'publish', topic: 't', payload: Buffer.alloc(500), qos: 0, dup: false, retain: false })

  test.each([4, 5])('ends a real connection of MQTT %s', async version => {
    const port = await served(() => undefined, { requestTimeout: 300 })
    const socket = dial(port, '127.0.0.1')
    let closed = false
    const end = once(socket, 'close').then(() => (closed = true))
    socket.on('error', () => undefined).resume()
    socket.write(
      generate(
        { cmd: 'connect', protocolId: 'MQTT', protocolVersion: version as 4 | 5, clean: true, clientId: 'slow', keepalive: 0 },
        { protocolVersion: version }
      )
    )
    let sent = 0
    const dripping = setInterval(() => sent < publish.length - 1 && socket.write(publish.subarray(sent, ++sent)), 20)
    closing.push(
      () => clearInterval(dripping),
      () => socket.destroy()
    )
    await end
    expect(closed).toBe(true)
    expect(sent).toBeLessThan(publish.length - 1)
  })

  test('is given limits.requestTimeout, and a client of MQTT 5 is sent a reason', async () => {
    const net = await lab(undefined, { maxKeepAlive: 0 })
    const slow = await net.client()
    for (let sent = 0; sent < 29; sent++) {
      slow.sendBytes(publish.subarray(sent, sent + 1))
      await net.rest(1000)
    }
    expect(slow.closed).toBe(false)
    for (let sent = 29; sent < 33 && !slow.closed; sent++) {
      slow.sendBytes(publish.subarray(sent, sent + 1))
      await net.rest(1000)
    }
    expect(await slow.next('disconnect')).toMatchObject({ reasonCode: 0x8d })
    expect(slow.closed).toBe(true)
  })

  test('begins with each packet: a client that always has one on its way is not late', async () => {
    const net = await lab(undefined, { maxKeepAlive: 0 })
    const busy = await net.client()
    busy.sendBytes(publish.subarray(0, 10))
    for (let turns = 0; turns < 10; turns++) {
      await net.rest(10_000)
      busy.sendBytes(Buffer.concat([publish.subarray(10), publish.subarray(0, 10)]))
    }
    await net.rest(10_000)
    expect(busy.closed).toBe(false)
  })

  test('does not count while the broker does not read the client', async () => {
    let release: () => void = () => undefined
    const net = await lab(
      app => app.use((context, next) => (context.path === '/held' ? new Promise<void>(resolve => (release = resolve)).then(() => next()) : next())),
      { maxKeepAlive: 0, limits: { inFlightPerConnection: 1, requestTimeout: 1_000_000 } }
    )
    const client = await net.client({ version: 4 })
    client.publish('held', 'x')
    await net.rest()
    client.sendBytes(publish.subarray(0, 100))
    await net.rest(900_000)
    release()
    await net.rest(900_000)
    expect(client.closed).toBe(false)
    client.sendBytes(publish.subarray(100))
    await net.rest()
    expect(client.closed).toBe(false)
  })
})
