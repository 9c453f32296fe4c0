import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

describe('many messages to one topic', () => {
  test('wait behind a slow one and are then handled in order without nesting', async () => {
    let handled = 0
    const count = 20_000
    const net = await lab(
      app =>
        app.use(router()).put('/work', () => {
          if (++handled === 1) return new Promise<void>(resolve => void net.clock.setTimeout(resolve, 1000))
          return undefined
        }),
      { limits: { inFlightPerConnection: 30_000, inFlight: 30_000 } }
    )
    const client = await net.client()
    for (let id = 1; id <= count; id++) client.publish('work', String(id), { qos: 1, messageId: id })
    await net.rest(3000)
    expect(handled).toBe(count)
    expect(net.errors).toEqual([])
    expect(client.packets.map(packet => packet.messageId)).toEqual(Array.from({ length: count }, (_, index) => index + 1))
  })
})

describe('acknowledgements', () => {
  const slow =
    (log: string[] = []) =>
    (net: () => Awaited<ReturnType<typeof lab>>) =>
    (app: Parameters<NonNullable<Parameters<typeof lab>[0]>>[0]) =>
      void app.use(router()).put('/work/:name/:ms', async ({ params }) => {
        log.push(`begin ${params.name}`)
        await new Promise<void>(resolve => void net().clock.setTimeout(resolve, Number(params.ms)))
        log.push(`end ${params.name}`)
      })

  test('come after the work', async () => {
    const log: string[] = []
    const net: Awaited<ReturnType<typeof lab>> = await lab(slow(log)(() => net))
    const client = await net.client()
    client.publish('work/a/100', 'x', { qos: 1, messageId: 1 })
    await net.rest(50)
    expect(client.packets).toEqual([])
    await net.rest(100)
    expect(client.packets).toMatchObject([{ cmd: 'puback', messageId: 1 }])
    expect(log).toEqual(['begin a', 'end a'])
  })

  test('leave in the order of the messages, PUBACK and PUBREC alike', async () => {
    const net: Awaited<ReturnType<typeof lab>> = await lab(slow()(() => net))
    const client = await net.client()
    client.publish('work/a/300', 'x', { qos: 1, messageId: 1 })
    client.publish('work/b/200', 'x', { qos: 2, messageId: 2 })
    client.publish('work/c/100', 'x', { qos: 1, messageId: 3 })
    client.publish('plain', 'x', { qos: 1, messageId: 4 })
    await net.rest(250)
    expect(client.packets).toEqual([])
    await net.rest(100)
    expect(client.packets.map(packet => [packet.cmd, packet.messageId])).toEqual([
      ['puback', 1],
      ['pubrec', 2],
      ['puback', 3],
      ['puback', 4]
    ])
  })

  test('leave as soon as each is done, when asked', async () => {
    const net: Awaited<ReturnType<typeof lab>> = await lab(
      slow()(() => net),
      { ackOrder: 'any' }
    )
    const client = await net.client()
    client.publish('work/a/300', 'x', { qos: 1, messageId: 1 })
    client.publish('work/b/100', 'x', { qos: 1, messageId: 2 })
    client.publish('plain', 'x', { qos: 1, messageId: 3 })
    await net.rest(400)
    expect(client.packets.map(packet => packet.messageId)).toEqual([3, 2, 1])
  })

  test('of one topic follow work that was done one after another, of different topics side by side', async () => {
    const log: string[] = []
    const net: Awaited<ReturnType<typeof lab>> = await lab(slow(log)(() => net))
    const client = await net.client()
    client.publish('work/a/100', '1')
    client.publish('work/a/100', '2')
    client.publish('work/b/50', '3')
    await net.rest(400)
    expect(log).toEqual(['begin a', 'begin b', 'end b', 'end a', 'begin a', 'end a'])
  })

  test('of a message whose sender left do not matter to the work', async () => {
    const log: string[] = []
    const net = await lab(app =>
      app.use(router()).put('/a', async context => {
        await new Promise<void>(resolve => void net.clock.setTimeout(resolve, 100))
        log.push(await context.text())
      })
    )
    const client = await net.client()
    client.publish('a', 'one')
    client.publish('a', 'two')
    await client.leave()
    await net.rest(300)
    expect(log).toEqual(['one', 'two'])
  })
})

describe('the receive maximum', () => {
  test('of the server ends a connection of MQTT 5 that exceeds it', async () => {
    const net = await lab(app => app.use(router()).put('/slow', () => new Promise<void>(resolve => void net.clock.setTimeout(resolve, 1000))), {
      limits: { inFlightPerConnection: 3 }
    })
    const { client, connack } = await net.connect()
    expect(connack.properties).toMatchObject({ receiveMaximum: 3 })
    for (let id = 1; id <= 3; id++) client.publish('slow', 'x', { qos: 1, messageId: id })
    await net.rest()
    expect(client.closed).toBe(false)
    const second = await net.client()
    for (let id = 1; id <= 4; id++) second.publish('plain', 'x', { qos: 2, messageId: id })
    expect(await second.next('disconnect')).toMatchObject({ reasonCode: 0x93 })
  })

  test('of the server makes a client of MQTT 3 wait, and loses nothing', async () => {
    let most = 0
    let now = 0
    const net = await lab(
      app =>
        app.use(router()).put('/slow/:n', async () => {
          most = Math.max(most, ++now)
          await new Promise<void>(resolve => void net.clock.setTimeout(resolve, 100))
          now--
        }),
      { limits: { inFlightPerConnection: 4 } }
    )
    const client = await net.client({ version: 4 })
    for (let id = 1; id <= 20; id++) client.publish(`slow/${id}`, 'x', { qos: 1, messageId: id })
    for (let id = 21; id <= 40; id++) client.publish(`slow/${id}`, 'x')
    await net.rest(3000)
    expect(most).toBe(4)
    expect(client.packets.map(packet => packet.messageId)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1))
  })

  test('of the client bounds what is sent to it', async () => {
    const net = await lab()
    const client = await net.client({ properties: { receiveMaximum: 2 } })
    client.acknowledges = false
    await client.subscribe('a', { qos: 2 })
    const publisher = await net.client()
    for (let index = 0; index < 4; index++) await publisher.put('a', String(index))
    await net.rest()
    expect(client.packets.map(packet => String(packet['payload']))).toEqual(['0', '1'])
    client.send({ cmd: 'puback', messageId: client.packets[0]?.messageId as number })
    await net.rest()
    expect(client.packets.length).toBe(3)
    publisher.publish('a', 'qos 0')
    await net.rest()
    expect(client.packets.length).toBe(4)
    for (const packet of client.packets.filter(one => one['qos'] === 1)) client.send({ cmd: 'puback', messageId: packet.messageId as number })
    await net.rest()
    expect(String(client.packets.at(-1)?.['payload'])).toBe('3')
  })

  test('counts a message of QoS 2 until PUBCOMP, or a PUBREC that refuses it', async () => {
    const net = await lab()
    const client = await net.client({ properties: { receiveMaximum: 1 } })
    client.acknowledges = false
    await client.subscribe('a', { qos: 2 })
    const publisher = await net.client()
    for (let id = 1; id <= 3; id++) publisher.publish('a', String(id), { qos: 2, messageId: id })
    const first = await client.next('publish')
    client.send({ cmd: 'pubrec', messageId: first.messageId as number })
    await client.next('pubrel')
    await net.rest()
    expect(client.packets).toEqual([])
    client.send({ cmd: 'pubcomp', messageId: first.messageId as number })
    const second = await client.next('publish')
    client.send({ cmd: 'pubrec', messageId: second.messageId as number, reasonCode: 0x97 })
    expect(await client.next('publish')).toMatchObject({ payload: Buffer.from('3') })
    client.send({ cmd: 'pubrec', messageId: 999 })
    expect(await client.next('pubrel')).toMatchObject({ messageId: 999, reasonCode: 0x92 })
  })
})
