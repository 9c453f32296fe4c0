import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { HeldStore, restarted } from './held-store.ts'
import { closeLabs, lab } from './lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

const form = { clientId: 'c', clean: false, properties: { sessionExpiryInterval: 1000 } }

describe('with a store, what was acknowledged is there after the broker was killed:', () => {
  test('retained messages', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const client = await net.client()
    await client.put('a', 'kept', { retain: true, properties: { contentType: 'x/y', messageExpiryInterval: 100, userProperties: { k: 'v' } } })
    await client.put('b', 'gone', { retain: true })
    await client.put('b', '', { retain: true })
    const next = await restarted(net, store)
    const later = await next.client()
    await later.subscribe('#')
    expect(await later.next('publish')).toMatchObject({
      topic: 'a',
      payload: Buffer.from('kept'),
      retain: true,
      properties: { contentType: 'x/y', userProperties: { k: 'v' } }
    })
    expect(await later.messages()).toEqual([])
  })

  test('sessions, subscriptions and the messages that wait', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const first = await net.client(form)
    await first.subscribe(['a/+', '$share/g/b', 'gone'], { qos: 2, identifier: 5 })
    first.send({ cmd: 'unsubscribe', messageId: 1, unsubscriptions: ['gone'] })
    await first.next('unsuback')
    await first.vanish()
    const publisher = await net.client()
    await publisher.put('a/1', 'one')
    publisher.publish('a/2', 'two', { qos: 2, messageId: 3 })
    await publisher.next('pubrec')
    await publisher.put('gone', 'x')
    const next = await restarted(net, store)
    const { client: second, connack } = await next.connect(form)
    expect(connack.sessionPresent).toBe(true)
    await next.rest()
    expect(second.packets.filter(packet => packet.cmd === 'publish')).toMatchObject(
      expect.arrayContaining([expect.objectContaining({ topic: 'a/1', qos: 1 }), expect.objectContaining({ topic: 'a/2', qos: 2 })])
    )
    expect(await second.messages()).toHaveLength(2)
    const other = await next.client()
    await other.put('a/3', 'three')
    await other.put('b', 'shared')
    expect(await second.messages()).toEqual(['a/3 three', 'b shared'])
  })

  test('that a message of QoS 2 was handled', async () => {
    let count = 0
    const build: Parameters<typeof lab>[0] = app => void app.use(router()).put('/count', () => void count++)
    const store = new HeldStore()
    const net = await lab(build, { store })
    const first = await net.client(form)
    first.publish('count', 'x', { qos: 2, messageId: 7 })
    await first.next('pubrec')
    const next = await restarted(net, store, build)
    const second = await next.client(form)
    second.publish('count', 'x', { qos: 2, messageId: 7, dup: true })
    expect(await second.next('pubrec')).toMatchObject({ messageId: 7 })
    expect(count).toBe(1)
    second.send({ cmd: 'pubrel', messageId: 7 })
    expect(await second.next('pubcomp')).toMatchObject({ reasonCode: 0 })
  })

  test('under which identifier a message of QoS 2 was sent, and that it was received', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const first = await net.client(form)
    first.acknowledges = false
    await first.subscribe('a', { qos: 2 })
    const publisher = await net.client()
    for (const id of [1, 2]) publisher.publish('a', String(id), { qos: 2, messageId: id })
    await net.rest()
    const [one, two] = first.packets.filter(packet => packet.cmd === 'publish')
    first.send({ cmd: 'pubrec', messageId: one?.messageId as number })
    await first.next('pubrel')
    const next = await restarted(net, store)
    const second = await next.client({ ...form, acknowledges: false })
    await next.rest()
    expect(second.packets).toMatchObject([
      { cmd: 'pubrel', messageId: one?.messageId },
      { cmd: 'publish', messageId: two?.messageId, dup: true }
    ])
  })

  test('wills, which are published when the client does not return', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    await net.client({ ...form, will: { topic: 'w', payload: Buffer.from('gone'), qos: 1, retain: true, properties: { willDelayInterval: 5 } } })
    const next = await restarted(net, store)
    const observer = await next.client()
    await observer.subscribe('w')
    await next.rest(4000)
    expect(await observer.messages()).toEqual([])
    await next.rest(3000)
    expect(await observer.messages()).toEqual(['w gone'])
  })

  test('states that changed while their subscriber was away', async () => {
    let light = 'off'
    const build: Parameters<typeof lab>[0] = app => {
      const routed = app.use(router())
      routed.get('/light', () => light)
      routed.put('/light', async context => {
        light = await context.text()
      })
    }
    const store = new HeldStore()
    const net = await lab(build, { store })
    const first = await net.client(form)
    await first.subscribe('light', { qos: 1, rh: 2 })
    await first.vanish()
    await (await net.client()).put('light', 'on')
    const next = await restarted(net, store, build)
    const second = await next.client(form)
    expect((await second.messages()).at(-1)).toBe('light on')
  })
})
