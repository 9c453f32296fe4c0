import { IopaError } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

const lasting = (sessionExpiryInterval = 100) => ({ clientId: 'c', clean: false, properties: { sessionExpiryInterval } })

describe('a session whose client reconnects', () => {
  test('checks again where its answers may be published', async () => {
    let allowed = true
    const net = await lab(app => {
      app.use((context, next) => {
        if (context.method === 'PUBLISH' && !allowed) throw new IopaError(403, 'forbidden')
        return next()
      })
      app.use(router()).put('/work', () => undefined)
    })
    const ask = { properties: { responseTopic: 'answers' } }
    const first = await net.client(lasting())
    expect(await first.put('work', 'x', ask)).toMatchObject({ reasonCode: 0 })
    allowed = false
    expect(await first.put('work', 'x', ask)).toMatchObject({ reasonCode: 0 })
    await first.vanish()
    const second = await net.client(lasting())
    expect(await second.put('work', 'x', ask)).toMatchObject({ reasonCode: 0x87 })
  })

  test('observes on what it had subscribed to, with the claims that its user has now', async () => {
    let state = '1'
    const readers: unknown[] = []
    const net = await lab(app => {
      app.use((context, next) => {
        if (context.method === 'CONNECT') context.user = { id: 'ann', role: String(context['mqtt.KeepAlive']) }
        return next()
      })
      app.use(router()).get('/state', context => {
        readers.push(context.user?.['role'])
        return state
      })
    })
    const first = await net.client({ ...lasting(), keepalive: 10 })
    await first.subscribe('state', { qos: 1 })
    await first.vanish()
    const second = await net.client({ ...lasting(), keepalive: 20 })
    await second.messages()
    readers.length = 0
    state = '2'
    net.app.notify('/state')
    expect(await second.messages()).toEqual(['state 2'])
    expect(readers).toEqual(['20'])
  })
})

describe('a message for a client', () => {
  test('waits while the send window is full', async () => {
    const net = await lab(undefined, { sendWindow: 2 })
    const client = await net.client({ acknowledges: false })
    await client.subscribe('a', { qos: 1 })
    const publisher = await net.client()
    for (let index = 0; index < 5; index++) await publisher.put('a', String(index))
    expect(await client.messages()).toEqual(['a 0', 'a 1'])
  })

  test('has its topic name if the packet that set the alias was too large', async () => {
    const net = await lab()
    const client = await net.client({ properties: { topicAliasMaximum: 5, maximumPacketSize: 100 } })
    await client.subscribe('a')
    const publisher = await net.client()
    for (const payload of ['x'.repeat(200), 'y', 'z']) publisher.publish('a', payload)
    await net.rest()
    expect(client.packets.map(packet => [packet['topic'], String(packet['payload'])])).toEqual([
      ['a', 'y'],
      ['', 'z']
    ])
  })

  test('is left out when it is too large in the form of its version', async () => {
    const net = await lab()
    const client = await net.client({ properties: { maximumPacketSize: 100 } })
    await client.subscribe('a')
    const publisher = await net.client({ version: 4 })
    for (const payload of ['x'.repeat(200), 'y']) publisher.publish('a', payload)
    expect(await client.messages()).toEqual(['a y'])
  })

  test('that is its own will is left out where it wants nothing of its own', async () => {
    const net = await lab()
    const will = { topic: 'will', payload: Buffer.from('gone'), qos: 1 as const, retain: false }
    const client = await net.client({ ...lasting(), will })
    await client.subscribe('will', { qos: 1, nl: true })
    const other = await net.client()
    await other.subscribe('will')
    await client.vanish()
    expect(await other.messages()).toEqual(['will gone'])
    expect(await (await net.client(lasting())).messages()).toEqual([])
  })
})

describe('message expiry', () => {
  test('sends what is left of the time, and nothing after it', async () => {
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
  test('loses messages of QoS 0 beyond its mark, and its session when its queue of QoS 1 is full; no other client notices', async () => {
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

  test('that takes no answers is not read from', async () => {
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
