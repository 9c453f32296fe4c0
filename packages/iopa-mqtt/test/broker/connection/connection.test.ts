import { router } from '@iopa/router'
import type { ByteChannel } from '@iopa/transport'
import { generate } from 'mqtt-packet'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

describe('a connection', () => {
  test('takes packets above the bound of CONNECT once it is open', async () => {
    const net = await lab()
    const client = await net.client()
    expect(await client.put('a', 'x'.repeat(20_000))).toMatchObject({ reasonCode: 0x10 })
  })

  test('that is not read from does not count as silent, nor at once when it is read from again', async () => {
    const net = await lab(app => app.use(router()).put('/slow', () => new Promise<void>(resolve => void net.clock.setTimeout(resolve, 10_000))), {
      limits: { inFlightPerConnection: 1 }
    })
    const client = await net.client({ version: 4, keepalive: 1 })
    client.publish('slow', 'x', { qos: 1, messageId: 1 })
    await net.rest(10_900)
    expect(client.packets.map(packet => packet.cmd)).toEqual(['puback'])
    expect(client.closed).toBe(false)
    await net.rest(2000)
    expect(client.closed).toBe(true)
  })

  test('whose peer takes no answers is read no further, so that they do not pile up', async () => {
    const net = await lab(undefined, { limits: { queueBytes: 10_000 }, statistics: 1 })
    const client = await net.client()
    const watcher = await net.client()
    await watcher.subscribe('$SYS/broker/bytes/received')
    client.pause()
    const pings = Buffer.alloc(100_000)
    for (let at = 0; at < pings.length; at += 2) pings[at] = 0xc0
    for (let times = 0; times < 20; times++) client.sendBytes(pings)
    await net.rest(5000)
    expect(Number((await watcher.messages()).at(-1)?.split(' ')[1])).toBeLessThan(1_000_000)
  })

  test('that was told goodbye and does not go is cut off, and makes room for another', async () => {
    const net = await lab(undefined, { limits: { connections: 1 } })
    const channel: ByteChannel = await net.clock.runUntil(net.network.connect({ host: '127.0.0.1', port: Number(net.url.port) }))
    channel.open({ data: () => undefined, end: () => undefined, drain: () => undefined, close: () => undefined })
    channel.write(generate({ cmd: 'connect', clientId: 'stays', protocolVersion: 4, clean: true, keepalive: 0 }))
    channel.write(Buffer.from([0xe0, 0]))
    await net.rest(1000)
    const early = await net.dial()
    await net.rest()
    expect(early.closed).toBe(true)
    await net.rest(2000)
    expect((await net.connect()).connack.reasonCode).toBe(0)
  })

  test('runs DISCONNECT after the last handler, even if the client left earlier', async () => {
    const events: string[] = []
    const net = await lab(app => {
      app.use((context, next) => {
        if (context.method === 'DISCONNECT') events.push('DISCONNECT')
        return next()
      })
      app.use(router()).put('/slow', async () => {
        await new Promise<void>(resolve => void net.clock.setTimeout(resolve, 1000))
        events.push('done')
      })
    })
    const client = await net.client()
    client.publish('slow', 'x', { qos: 1, messageId: 1 })
    await net.rest()
    await client.vanish()
    await net.rest(5000)
    expect(events).toEqual(['done', 'DISCONNECT'])
  })

  test('gets no reason string in DISCONNECT if it does not want any', async () => {
    const net = await lab()
    const client = await net.client({ properties: { requestProblemInformation: false } })
    client.publish('', 'x', { properties: { topicAlias: 9 } })
    expect((await client.next('disconnect')).properties?.['reasonString']).toBeUndefined()
  })

  test('of MQTT 3 is closed when it publishes to an invalid topic', async () => {
    const net = await lab()
    const client = await net.client({ version: 4 })
    client.publish('a/+', 'x', { qos: 1, messageId: 1 })
    await net.rest()
    expect(client.packets).toEqual([])
    expect(client.closed).toBe(true)
  })
})

describe('a packet that breaks the protocol', () => {
  test.each([
    ['a PUBLISH with two topic aliases', [0x30, 11, 0, 1, 97, 6, 0x23, 0, 1, 0x23, 0, 1, 120], 0x82],
    ['a DISCONNECT with a byte behind its properties', [0xe0, 3, 0, 0, 1], 0x81],
    ['a PUBREL with the reason of another packet', [0x62, 3, 0, 7, 0x80], 0x82],
    ['an AUTH of another method', [0xf0, 6, 0x19, 4, 0x15, 0, 1, 88], 0x82]
  ] as const)('%s ends the connection', async (_name, bytes, reasonCode) => {
    const net = await lab(app =>
      app.use((context, next) => {
        if (context.method === 'CONNECT' && context['mqtt.AuthenticationMethod'] !== 'SUM') context.response.status = 401
        return next()
      })
    )
    const client = await net.client({ properties: { authenticationMethod: 'SUM' } })
    client.sendBytes(Buffer.from(bytes))
    expect(await client.next('disconnect')).toMatchObject({ reasonCode })
  })
})
