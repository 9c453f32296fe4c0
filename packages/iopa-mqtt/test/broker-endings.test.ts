import { IopaError } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import type { ByteChannel } from '@iopa/transport'
import { generate } from 'mqtt-packet'
import { afterEach, describe, expect, it } from 'vitest'
import { closeLabs, lab } from './broker/lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

const persistent = (sessionExpiryInterval = 100) => ({ clientId: 'c', clean: false, properties: { sessionExpiryInterval } })

describe('the end of a session', () => {
  it('comes no later than the broker allows, whatever the client says when it leaves', async () => {
    const net = await lab(undefined, { maxSessionExpiry: 10 })
    const client = await net.client(persistent(5))
    await client.leave({ sessionExpiryInterval: 1000 })
    await net.rest(11_000)
    expect((await net.connect(persistent())).connack.sessionPresent).toBe(false)
  })

  it('takes its subscriptions with it', async () => {
    const net = await lab(undefined, { maxSubscriptions: 1 })
    const first = await net.client()
    expect(await first.subscribe('a')).toEqual([0])
    const second = await net.client()
    expect(await second.subscribe('a')).toEqual([0x97])
    await first.leave()
    expect(await second.subscribe('a')).toEqual([0])
  })

  it('makes room for the messages of others', async () => {
    const net = await lab(undefined, { maxQueuedBytes: 5000 })
    const away = await net.client(persistent())
    await away.subscribe('a', { qos: 1 })
    await away.vanish()
    const publisher = await net.client()
    for (let index = 0; index < 10; index++) await publisher.put('a', 'x'.repeat(500))
    const other = { ...persistent(), clientId: 'other' }
    const waiting = await net.client(other)
    await waiting.subscribe('b', { qos: 1 })
    await waiting.vanish()
    await publisher.put('b', 'no room'.padEnd(500))
    await net.client({ clientId: 'c', clean: true })
    await publisher.put('b', 'room again'.padEnd(500))
    expect((await (await net.client(other)).messages()).map(message => message.trim())).toEqual(['b room again'])
  })
})

describe('a session whose client comes back', () => {
  it('is asked anew where its answers may go', async () => {
    let allowed = true
    const net = await lab(app => {
      app.use((context, next) => {
        if (context.method === 'PUBLISH' && !allowed) throw new IopaError(403, 'forbidden')
        return next()
      })
      app.use(router()).put('/work', () => undefined)
    })
    const ask = { properties: { responseTopic: 'answers' } }
    const first = await net.client(persistent())
    expect(await first.put('work', 'x', ask)).toMatchObject({ reasonCode: 0 })
    allowed = false
    expect(await first.put('work', 'x', ask)).toMatchObject({ reasonCode: 0 })
    await first.vanish()
    const second = await net.client(persistent())
    expect(await second.put('work', 'x', ask)).toMatchObject({ reasonCode: 0x87 })
  })

  it('observes on what it had subscribed to, with the claims that its user has now', async () => {
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
    const first = await net.client({ ...persistent(), keepalive: 10 })
    await first.subscribe('state', { qos: 1 })
    await first.vanish()
    const second = await net.client({ ...persistent(), keepalive: 20 })
    await second.messages()
    readers.length = 0
    state = '2'
    net.app.notify('/state')
    expect(await second.messages()).toEqual(['state 2'])
    expect(readers).toEqual(['20'])
  })
})

describe('a connection', () => {
  it('takes packets above the bound of CONNECT once it is open', async () => {
    const net = await lab()
    const client = await net.client()
    expect(await client.put('a', 'x'.repeat(20_000))).toMatchObject({ reasonCode: 0x10 })
  })

  it('that is not read from does not count as silent, nor at once when it is read from again', async () => {
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

  it('whose peer takes no answers is read no further, so that they do not pile up', async () => {
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

  it('that was told goodbye and does not go is cut off, and makes room for another', async () => {
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

  it('is heard to end when its last handler has, though its client left before', async () => {
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

  it('that wants no reasons is told none when it is ended', async () => {
    const net = await lab()
    const client = await net.client({ properties: { requestProblemInformation: false } })
    client.publish('', 'x', { properties: { topicAlias: 9 } })
    expect((await client.next('disconnect')).properties?.['reasonString']).toBeUndefined()
  })

  it('of MQTT 3 ends when it publishes to what is no topic, for it cannot be told', async () => {
    const net = await lab()
    const client = await net.client({ version: 4 })
    client.publish('a/+', 'x', { qos: 1, messageId: 1 })
    await net.rest()
    expect(client.packets).toEqual([])
    expect(client.closed).toBe(true)
  })
})

describe('a topic alias', () => {
  it('that was set to what is no topic stands for nothing', async () => {
    const net = await lab()
    const client = await net.client()
    expect(await client.put('a', 'x', { properties: { topicAlias: 1 } })).toMatchObject({ reasonCode: 0x10 })
    expect(await client.put('a/+', 'x', { properties: { topicAlias: 1 } })).toMatchObject({ reasonCode: 0x90 })
    client.publish('', 'x', { properties: { topicAlias: 1 } })
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x82 })
  })

  it('that was never set stands for nothing, not for the topic before', async () => {
    const net = await lab()
    const client = await net.client()
    client.publish('a', 'x')
    client.publish('', 'x', { properties: { topicAlias: 3 } })
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x82 })
  })

  it('of the broker is one of those that the broker gives itself, however many the client takes', async () => {
    const net = await lab(undefined, { topicAliasMaximum: 1 })
    const client = await net.client({ properties: { topicAliasMaximum: 5 } })
    await client.subscribe('a/#')
    const publisher = await net.client()
    for (const topic of ['a/1', 'a/2', 'a/1']) publisher.publish(topic, 'x')
    await net.rest()
    expect(client.packets.map(packet => [packet['topic'], packet.properties?.['topicAlias']])).toEqual([
      ['a/1', 1],
      ['a/2', undefined],
      ['', 1]
    ])
  })
})

describe('many messages to one topic', () => {
  it('wait behind a slow one and then go without nesting, in order', async () => {
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

describe('a message for a client', () => {
  it('waits while as many are under way as the broker sends at once', async () => {
    const net = await lab(undefined, { sendWindow: 2 })
    const client = await net.client({ acknowledges: false })
    await client.subscribe('a', { qos: 1 })
    const publisher = await net.client()
    for (let index = 0; index < 5; index++) await publisher.put('a', String(index))
    expect(await client.messages()).toEqual(['a 0', 'a 1'])
  })

  it('names its topic when the one before that was to set the alias was too large', async () => {
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

  it('is left out when it is too large in the form of its version', async () => {
    const net = await lab()
    const client = await net.client({ properties: { maximumPacketSize: 100 } })
    await client.subscribe('a')
    const publisher = await net.client({ version: 4 })
    for (const payload of ['x'.repeat(200), 'y']) publisher.publish('a', payload)
    expect(await client.messages()).toEqual(['a y'])
  })

  it('that is its own will is left out where it wants nothing of its own', async () => {
    const net = await lab()
    const will = { topic: 'will', payload: Buffer.from('gone'), qos: 1 as const, retain: false }
    const client = await net.client({ ...persistent(), will })
    await client.subscribe('will', { qos: 1, nl: true })
    const other = await net.client()
    await other.subscribe('will')
    await client.vanish()
    expect(await other.messages()).toEqual(['will gone'])
    expect(await (await net.client(persistent())).messages()).toEqual([])
  })
})

describe('a packet that breaks the protocol', () => {
  it.each([
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
