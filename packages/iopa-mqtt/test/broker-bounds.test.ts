import { router } from '@iopa/router'
import { afterEach, describe, expect, it } from 'vitest'
import { closeLabs, lab } from './broker/lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

describe('what was subscribed to and left', () => {
  it('by the last of a group makes room for another subscription', async () => {
    const net = await lab(undefined, { maxSubscriptions: 1 })
    const client = await net.client()
    await client.subscribe('$share/g/a')
    client.send({ cmd: 'unsubscribe', messageId: 1, unsubscriptions: ['$share/g/a'] })
    await client.next('unsuback')
    expect(await client.subscribe('b')).toEqual([0])
  })

  it('is not observed any more', async () => {
    const net = await lab(app => void app.use(router()).get('/state', () => 'x'))
    const client = await net.client()
    await net.rest()
    const before = net.app.live
    await client.subscribe('state')
    expect(net.app.live).toBe(before + 1)
    client.send({ cmd: 'unsubscribe', messageId: 1, unsubscriptions: ['state'] })
    await client.next('unsuback')
    await net.rest()
    expect(net.app.live).toBe(before)
  })
})

describe('whether a session may have a topic', () => {
  it('is remembered of the newest thousand topics and asked again of others', async () => {
    const asked: string[] = []
    const net = await lab(app =>
      app.use((context, next) => {
        if (context.method === 'GET') asked.push(context.path)
        return next()
      })
    )
    const client = await net.client()
    await client.subscribe('a/+')
    const publisher = await net.client()
    for (let index = 0; index <= 1000; index++) publisher.publish(`a/${index}`, 'x')
    await net.rest()
    expect(asked.length).toBe(1001)
    // Another subscription makes the recipients be found anew.
    await publisher.subscribe('$share/g/b')
    for (const topic of ['a/1000', 'a/0']) publisher.publish(topic, 'y')
    await net.rest()
    expect(asked.slice(1001)).toEqual(['/a/0'])
    expect((await client.messages()).slice(1001).sort()).toEqual(['a/0 y', 'a/1000 y'])
  })

  it('is waited for by a bounded number of messages', async () => {
    const net = await lab(
      app =>
        app.use(async (context, next) => {
          if (context.method === 'GET') await new Promise<void>(resolve => void net.clock.setTimeout(resolve, 1000))
          return next()
        }),
      { limits: { queueMessages: 5 } }
    )
    const client = await net.client()
    await client.subscribe('a/+')
    const publisher = await net.client()
    for (let index = 0; index < 10; index++) publisher.publish('a/b', String(index))
    await net.rest(2000)
    expect(await client.messages()).toEqual(['a/b 0', 'a/b 1', 'a/b 2', 'a/b 3', 'a/b 4'])
  })
})

describe('a retained message', () => {
  it('is given with the lower of its own QoS and that of the subscription', async () => {
    const net = await lab()
    const publisher = await net.client()
    for (const qos of [0, 1, 2] as const) publisher.publish(`a/${qos}`, 'x', { qos, retain: true, messageId: qos + 1 })
    await net.rest()
    const client = await net.client()
    await client.subscribe(['a/+'], { qos: 1 })
    await client.subscribe(['a/0', 'a/1', 'a/2'], { qos: 2 })
    await net.rest()
    const seen = client.packets.filter(packet => packet.cmd === 'publish').map(packet => `${packet['topic']} ${packet['qos']}`)
    expect(seen).toEqual(['a/0 0', 'a/1 1', 'a/2 1', 'a/0 0', 'a/1 1', 'a/2 2'])
  })
})

describe('a group', () => {
  it('passes over a member that has all it takes while another one has room', async () => {
    const net = await lab()
    const busy = await net.client({ acknowledges: false, properties: { receiveMaximum: 1 } })
    const free = await net.client()
    for (const client of [busy, free]) await client.subscribe('$share/g/a', { qos: 1 })
    const publisher = await net.client()
    for (let index = 0; index < 6; index++) await publisher.put('a', String(index))
    expect((await busy.messages()).length).toBe(1)
    expect((await free.messages()).length).toBe(5)
  })

  it('whose members are all away keeps its messages for one that returns', async () => {
    const net = await lab()
    const form = { clientId: 'c', clean: false, properties: { sessionExpiryInterval: 100 } }
    const first = await net.client(form)
    await first.subscribe('$share/g/a', { qos: 1 })
    await first.vanish()
    await (await net.client()).put('a', 'x')
    expect(await (await net.client(form)).messages()).toEqual(['a x'])
  })
})
