import net from 'node:net'
import { App } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import type { Listener } from '@iopa/transport'
import { generate, parser } from 'mqtt-packet'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { mqtt } from '../src/mqtt.ts'
import { closeLabs, lab } from './broker/lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
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
