import { IopaError } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, it } from 'vitest'
import { closeLabs, lab } from './broker/lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
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

  it('come after the work', async () => {
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

  it('leave in the order of the messages, PUBACK and PUBREC alike', async () => {
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

  it('leave as soon as each is done, when asked', async () => {
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

  it('of one topic follow work that was done one after another, of different topics side by side', async () => {
    const log: string[] = []
    const net: Awaited<ReturnType<typeof lab>> = await lab(slow(log)(() => net))
    const client = await net.client()
    client.publish('work/a/100', '1')
    client.publish('work/a/100', '2')
    client.publish('work/b/50', '3')
    await net.rest(400)
    expect(log).toEqual(['begin a', 'begin b', 'end b', 'end a', 'begin a', 'end a'])
  })

  it('of a message whose sender left do not matter to the work', async () => {
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
  it('of the server ends a connection of MQTT 5 that exceeds it', async () => {
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

  it('of the server makes a client of MQTT 3 wait, and loses nothing', async () => {
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

  it('of the client bounds what is sent to it', async () => {
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

  it('counts a message of QoS 2 until PUBCOMP, or a PUBREC that refuses it', async () => {
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

describe('topic aliases', () => {
  it('of the client stand for the topic they were set with, on that connection', async () => {
    const net = await lab()
    const observer = await net.client()
    await observer.subscribe('#')
    const client = await net.client()
    client.publish('long/topic', '1', { properties: { topicAlias: 3 } })
    client.publish('', '2', { properties: { topicAlias: 3 } })
    client.publish('other', '3', { properties: { topicAlias: 3 } })
    client.publish('', '4', { properties: { topicAlias: 3 } })
    expect(await observer.messages()).toEqual(['long/topic 1', 'long/topic 2', 'other 3', 'other 4'])
    const second = await net.client()
    second.publish('', 'x', { properties: { topicAlias: 3 } })
    expect(await second.next('disconnect')).toMatchObject({ reasonCode: 0x82 })
  })

  it('above the maximum, or without a topic, end the connection', async () => {
    const net = await lab(undefined, { topicAliasMaximum: 5 })
    const { client, connack } = await net.connect()
    expect(connack.properties).toMatchObject({ topicAliasMaximum: 5 })
    client.publish('a', 'x', { properties: { topicAlias: 6 } })
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x94 })
    const none = await net.client()
    none.publish('', 'x')
    expect(await none.next('disconnect')).toMatchObject({ reasonCode: 0x82 })
  })

  it('of the server are used towards a client that allows them, as many as it allows', async () => {
    const net = await lab()
    const client = await net.client({ properties: { topicAliasMaximum: 2 } })
    await client.subscribe('#', { qos: 1 })
    const publisher = await net.client()
    for (const topic of ['a', 'b', 'c', 'a', 'b', 'c']) await publisher.put(topic, 'x')
    await net.rest()
    const seen = client.packets.filter(packet => packet.cmd === 'publish').map(packet => [packet['topic'], packet.properties?.['topicAlias']])
    expect(seen).toEqual([
      ['a', 1],
      ['b', 2],
      ['c', undefined],
      ['', 1],
      ['', 2],
      ['c', undefined]
    ])
  })
})

describe('the maximum packet size', () => {
  it('of the server ends the connection before the packet is buffered', async () => {
    const net = await lab(undefined, { limits: { body: 1000 } })
    const { client, connack } = await net.connect()
    expect(connack.properties).toMatchObject({ maximumPacketSize: 1000 + 65_536 })
    client.sendBytes(Buffer.from([0x30, 0xff, 0xff, 0x7f]))
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x95 })
    const large = await net.dial(4)
    large.sendBytes(Buffer.from([0x10, 0xff, 0xff, 0x7f]))
    await net.clock.runUntil(() => large.closed, 100)
  })

  it('of the client leaves out messages that are larger, and counts them as delivered', async () => {
    const net = await lab()
    const client = await net.client({ properties: { maximumPacketSize: 100, receiveMaximum: 1 } })
    await client.subscribe('a', { qos: 1 })
    const publisher = await net.client()
    for (const payload of ['1', 'x'.repeat(100), '2']) await publisher.put('a', payload)
    publisher.publish('a', 'x'.repeat(100))
    publisher.publish('a', '3')
    expect(await client.messages()).toEqual(['a 1', 'a 2', 'a 3'])
  })

  it('of the client leaves out the reason string that does not fit', async () => {
    const net = await lab(app =>
      app.use((context, next) => {
        if (context.method === 'PUT') throw new IopaError(422, 'bad', 'y'.repeat(200))
        return next()
      })
    )
    const client = await net.client({ properties: { maximumPacketSize: 100 } })
    expect((await client.put('a', 'x')).properties).toBeUndefined()
    const other = await net.client({ properties: { requestProblemInformation: false } })
    expect((await other.put('a', 'x')).properties).toBeUndefined()
  })
})

describe('message expiry', () => {
  it('sends what is left of the time, and nothing after it', async () => {
    const net = await lab()
    const form = { clientId: 'c', clean: false, properties: { sessionExpiryInterval: 100 } }
    const first = await net.client(form)
    await first.subscribe('a', { qos: 1 })
    await first.vanish()
    const publisher = await net.client()
    await publisher.put('a', 'short', { properties: { messageExpiryInterval: 5 } })
    await publisher.put('a', 'long', { retain: true, properties: { messageExpiryInterval: 60 } })
    await net.rest(10_000)
    const second = await net.client(form)
    expect(await second.next('publish')).toMatchObject({ payload: Buffer.from('long'), properties: { messageExpiryInterval: 50 } })
    expect(await second.messages()).toEqual([])
    const live = await net.client()
    await live.subscribe('b')
    publisher.publish('b', 'x', { properties: { messageExpiryInterval: 7 } })
    expect(await live.next('publish')).toMatchObject({ properties: { messageExpiryInterval: 7 } })
    await net.rest(60_000)
    const tooLate = await net.client()
    await tooLate.subscribe('#')
    expect(await tooLate.messages()).toEqual([])
  })
})

describe('a slow reader', () => {
  it('loses messages of QoS 0 beyond its mark, and its session when its queue of QoS 1 is full; no other client notices', async () => {
    const net = await lab(undefined, { limits: { queueBytes: 100_000, queueMessages: 100 } })
    const slow = await net.client()
    const exact = await net.client()
    const quick = await net.client()
    await slow.subscribe('a/0')
    await exact.subscribe('a/1', { qos: 1 })
    await quick.subscribe('a/#', { qos: 1 })
    slow.pause()
    exact.pause()
    const publisher = await net.client()
    for (let index = 0; index < 400; index++) {
      publisher.publish('a/0', `${index} ${'x'.repeat(1000)}`)
      publisher.publish('a/1', `${index} ${'x'.repeat(1000)}`, { qos: 1, messageId: index + 1 })
      await publisher.next('puback')
    }
    expect((await quick.messages()).length).toBe(800)
    slow.resume()
    exact.resume()
    await net.rest(2000)
    const zero = await slow.messages()
    const one = await exact.messages()
    expect(zero.length).toBeGreaterThan(100)
    expect(zero.length).toBeLessThan(250)
    expect(one.length).toBeLessThan(400)
    expect(exact.closed).toBe(true)
    // What came first is what was sent, in order.
    expect(one.map(message => Number(message.split(' ')[1]))).toEqual(one.map((_, index) => index))
    publisher.publish('a/0', 'again')
    expect(await slow.messages()).toEqual(['a/0 again'])
  })

  it('that takes no answers is not read from', async () => {
    const net = await lab(undefined, { limits: { queueBytes: 10_000 } })
    const client = await net.client()
    client.pause()
    const ping = Buffer.alloc(200_000)
    for (let at = 0; at < ping.length; at += 2) ping[at] = 0xc0
    client.sendBytes(ping)
    await net.rest(5000)
    client.resume()
    await net.rest(5000)
    expect(client.packets.filter(packet => packet.cmd === 'pingresp').length).toBe(100_000)
  })
})

describe('writing', () => {
  it('everything that one read produces leaves in one write per connection', async () => {
    const net = await lab()
    const client = await net.client({ version: 4 })
    await client.subscribe('a/#', { qos: 1 })
    const publisher = await net.dial(4)
    publisher.send({ cmd: 'connect', clientId: 'p', protocolVersion: 4, clean: true, keepalive: 0 })
    await publisher.next('connack')
    let chunks = 0
    const bytes: Buffer[] = []
    for (let id = 1; id <= 20; id++) {
      bytes.push(Buffer.from([0x32, 8, 0, 3, 97, 47, 98, 0, id, 120]))
      bytes.push(Buffer.from([0x30, 6, 0, 3, 97, 47, 98, 120]))
    }
    client.onChunk = () => void chunks++
    publisher.sendBytes(Buffer.concat(bytes))
    expect((await client.messages()).length).toBe(40)
    expect(chunks).toBe(1)
  })
})
