import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

const lasting = (sessionExpiryInterval = 100) => ({ clientId: 'c', clean: false, properties: { sessionExpiryInterval } })

const FOREVER = 0xffff_ffff

const persistent = (clientId = 'c', sessionExpiryInterval = 100) => ({ clientId, clean: false, properties: { sessionExpiryInterval } })

describe('the end of a session', () => {
  test('comes no later than the broker allows, whatever the client says when it leaves', async () => {
    const net = await lab(undefined, { maxSessionExpiry: 10 })
    const client = await net.client(lasting(5))
    await client.leave({ sessionExpiryInterval: 1000 })
    await net.rest(11_000)
    expect((await net.connect(lasting())).connack.sessionPresent).toBe(false)
  })

  test('takes its subscriptions with it', async () => {
    const net = await lab(undefined, { maxSubscriptions: 1 })
    const first = await net.client()
    expect(await first.subscribe('a')).toEqual([0])
    const second = await net.client()
    expect(await second.subscribe('a')).toEqual([0x97])
    await first.leave()
    expect(await second.subscribe('a')).toEqual([0])
  })

  test('makes room for the messages of others', async () => {
    const net = await lab(undefined, { maxQueuedBytes: 5000 })
    const away = await net.client(lasting())
    await away.subscribe('a', { qos: 1 })
    await away.vanish()
    const publisher = await net.client()
    for (let index = 0; index < 10; index++) await publisher.put('a', 'x'.repeat(500))
    const other = { ...lasting(), clientId: 'other' }
    const waiting = await net.client(other)
    await waiting.subscribe('b', { qos: 1 })
    await waiting.vanish()
    await publisher.put('b', 'no room'.padEnd(500))
    await net.client({ clientId: 'c', clean: true })
    await publisher.put('b', 'room again'.padEnd(500))
    expect((await (await net.client(other)).messages()).map(message => message.trim())).toEqual(['b room again'])
  })
})

describe('a session', () => {
  test('keeps subscriptions and messages of QoS 1 and 2 while its client is away', async () => {
    const net = await lab()
    for (const version of [4, 5] as const) {
      const form = { version, clientId: `c${version}`, clean: false, properties: { sessionExpiryInterval: 100 } }
      const first = await net.connect(form)
      expect(first.connack.sessionPresent).toBe(false)
      await first.client.subscribe('a/#', { qos: 2 })
      await first.client.leave()
      const publisher = await net.client()
      publisher.publish('a/0', 'lost')
      await publisher.put('a/1', 'one')
      publisher.publish('a/2', 'two', { qos: 2, messageId: 3 })
      await publisher.next('pubrec')
      const second = await net.connect(form)
      expect(second.connack.sessionPresent).toBe(true)
      expect(await second.client.messages()).toEqual(['a/1 one', 'a/2 two'])
      publisher.publish('a/3', 'three')
      expect(await second.client.messages()).toEqual(['a/3 three'])
    }
  })

  test('is replaced by an empty one with clean start', async () => {
    const net = await lab()
    const first = await net.client(persistent())
    await first.subscribe('a', { qos: 1 })
    await first.vanish()
    await (await net.client()).put('a', 'x')
    const { client, connack } = await net.connect({ ...persistent(), clean: true })
    expect(connack.sessionPresent).toBe(false)
    await (await net.client()).put('a', 'y')
    expect(await client.messages()).toEqual([])
  })

  test('ends when it expires, and not before', async () => {
    const net = await lab()
    await (await net.client(persistent('short', 5))).vanish()
    await (await net.client(persistent('long', FOREVER))).vanish()
    await net.rest(4000)
    const back = await net.connect(persistent('short', 5))
    expect(back.connack.sessionPresent).toBe(true)
    await back.client.vanish()
    await net.rest(6000)
    expect((await net.connect(persistent('short', 5))).connack.sessionPresent).toBe(false)
    expect((await net.connect(persistent('long'))).connack.sessionPresent).toBe(true)
  })

  test('can change its expiry by DISCONNECT', async () => {
    const net = await lab()
    await (await net.client(persistent('ends'))).leave({ sessionExpiryInterval: 0 })
    expect((await net.connect(persistent('ends'))).connack.sessionPresent).toBe(false)
    const none = await net.client({ clientId: 'none' })
    none.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 5 } })
    expect(await none.next('disconnect')).toMatchObject({ reasonCode: 0x82 })
  })

  test('is taken over by a second connection; the first gets DISCONNECT 0x8E', async () => {
    const net = await lab()
    const first = await net.client(persistent())
    await first.subscribe('a', { qos: 1 })
    const { client: second, connack } = await net.connect(persistent())
    expect(connack.sessionPresent).toBe(true)
    expect(await first.next('disconnect')).toMatchObject({ reasonCode: 0x8e })
    await net.clock.runUntil(() => first.closed)
    await (await net.client()).put('a', 'x')
    expect(await second.messages()).toEqual(['a x'])
  })

  test('sends again what was not acknowledged, in order and marked as a duplicate', async () => {
    const net = await lab()
    const first = await net.client(persistent())
    first.acknowledges = false
    await first.subscribe('a/#', { qos: 2 })
    const publisher = await net.client()
    for (const index of [1, 2, 3]) await publisher.put(`a/${index}`, String(index))
    publisher.publish('a/4', '4', { qos: 2, messageId: 4 })
    publisher.publish('a/5', '5', { qos: 2, messageId: 5 })
    await net.rest()
    const sent = first.packets.filter(packet => packet.cmd === 'publish')
    expect(sent.map(packet => packet['dup'])).toEqual([false, false, false, false, false])
    first.send({ cmd: 'puback', messageId: sent[0]?.messageId as number })
    first.send({ cmd: 'pubrec', messageId: sent[3]?.messageId as number })
    await first.next('pubrel')
    await first.vanish()
    const second = await net.client(persistent())
    await net.rest()
    const again = second.packets
      .filter(packet => packet.cmd === 'publish' || packet.cmd === 'pubrel')
      .map(packet => [packet.cmd, packet['topic'], packet['dup'], packet.messageId])
    expect(again.slice(0, 4)).toEqual([
      ['publish', 'a/2', true, sent[1]?.messageId],
      ['publish', 'a/3', true, sent[2]?.messageId],
      ['pubrel', null, false, sent[3]?.messageId],
      ['publish', 'a/5', true, sent[4]?.messageId]
    ])
    await second.vanish()
    const third = await net.client(persistent())
    expect(await third.messages()).toEqual([])
  })

  test('handles a message of QoS 2 once, however often it is sent', async () => {
    let count = 0
    const net = await lab(app => app.use(router()).put('/count', () => void count++))
    const first = await net.client(persistent())
    const message = { qos: 2 as const, messageId: 7 }
    first.publish('count', 'x', message)
    expect(await first.next('pubrec')).toMatchObject({ messageId: 7, reasonCode: 0 })
    first.publish('count', 'x', { ...message, dup: true })
    expect(await first.next('pubrec')).toMatchObject({ messageId: 7, reasonCode: 0 })
    await first.vanish()
    const second = await net.client(persistent())
    second.publish('count', 'x', { ...message, dup: true })
    await second.next('pubrec')
    expect(count).toBe(1)
    second.send({ cmd: 'pubrel', messageId: 7 })
    expect(await second.next('pubcomp')).toMatchObject({ messageId: 7, reasonCode: 0 })
    second.send({ cmd: 'pubrel', messageId: 7 })
    expect(await second.next('pubcomp')).toMatchObject({ messageId: 7, reasonCode: 0x92 })
    second.publish('count', 'x', message)
    await second.next('pubrec')
    expect(count).toBe(2)
  })

  test('answers a client that came back while its message of QoS 2 was still in work', async () => {
    let count = 0
    const net = await lab(app =>
      app.use(router()).put('/slow', async () => {
        count++
        await new Promise<void>(resolve => void net.clock.setTimeout(resolve, 1000))
      })
    )
    const first = await net.client(persistent())
    first.publish('slow', 'x', { qos: 2, messageId: 7 })
    await net.rest()
    await first.vanish()
    const second = await net.client(persistent())
    second.publish('slow', 'x', { qos: 2, messageId: 7, dup: true })
    expect(await second.next('pubrec')).toMatchObject({ messageId: 7, reasonCode: 0 })
    expect(count).toBe(1)
  })

  test('belongs to the last of two connections that came at once', async () => {
    const net = await lab(app =>
      app.use(async (context, next) => {
        if (context.method === 'CONNECT') await new Promise<void>(resolve => void net.clock.setTimeout(resolve, 100))
        return next()
      })
    )
    const clients = [await net.dial(5), await net.dial(5)]
    for (const client of clients) client.send({ cmd: 'connect', clientId: 'c', protocolVersion: 5, clean: true, keepalive: 0 })
    await net.rest(500)
    const [first, second] = clients
    expect(first?.packets.map(packet => packet.cmd)).toEqual(['connack', 'disconnect'])
    expect(second?.packets).toMatchObject([{ cmd: 'connack', sessionPresent: false }])
  })

  test('is refused when there are too many', async () => {
    const net = await lab(undefined, { maxSessions: 2 })
    await net.client()
    await net.client()
    expect((await net.connect()).connack.reasonCode).toBe(0x88)
    expect((await net.connect({ version: 4 })).connack.returnCode).toBe(3)
  })
})
