import { afterEach, describe, expect, test } from 'vitest'
import { HeldStore } from '../held-store.ts'
import { closeLabs, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

const form = { clientId: 'c', clean: false, properties: { sessionExpiryInterval: 1000 } }

describe('a store', () => {
  test('delays acknowledgements until it has written', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const subscriber = await net.client(form)
    await subscriber.subscribe('a', { qos: 1 })
    const publisher = await net.client()
    store.hold = true
    publisher.publish('a', 'x', { qos: 1, messageId: 1 })
    subscriber.send({ cmd: 'subscribe', messageId: 9, subscriptions: [{ topic: 'b', qos: 0 }] })
    await net.rest(100)
    expect(publisher.packets).toEqual([])
    expect(subscriber.packets).toEqual([])
    store.release()
    await net.rest()
    expect(publisher.packets).toMatchObject([{ cmd: 'puback', messageId: 1 }])
    expect(subscriber.packets.map(packet => packet.cmd).sort()).toEqual(['publish', 'suback'])
  })

  test('keeps a message waiting until it is written, whatever else pumps its queue', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const subscriber = await net.client({ ...form, acknowledges: false })
    await subscriber.subscribe('a', { qos: 1 })
    const publisher = await net.client()
    await publisher.put('a', 'first')
    const first = await subscriber.next('publish')
    store.hold = true
    publisher.publish('a', 'second', { qos: 1, messageId: 2 })
    await net.rest()
    subscriber.send({ cmd: 'puback', messageId: first.messageId as number })
    await net.rest()
    expect(subscriber.packets).toEqual([])
    store.release()
    expect(await subscriber.next('publish')).toMatchObject({ payload: Buffer.from('second') })
  })

  test('that fails prevents acknowledgement and delivery', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const subscriber = await net.client(form)
    await subscriber.subscribe('a', { qos: 1 })
    store.failing = true
    expect(await (await net.client()).put('a', 'x')).toMatchObject({ reasonCode: 0x80 })
    store.failing = false
    expect(await (await net.client()).put('a', 'y')).toMatchObject({ reasonCode: 0 })
    expect(await subscriber.messages()).toEqual(['a y'])
    expect(net.errors.flat().join()).toContain('store')
  })

  test('gets everything that happens during a write in the next one', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const subscriber = await net.client(form)
    await subscriber.subscribe('a', { qos: 1 })
    await subscriber.vanish()
    const publisher = await net.client({ version: 4 })
    store.writes = 0
    store.hold = true
    for (let id = 1; id <= 50; id++) publisher.publish('a', 'x', { qos: 1, messageId: id })
    await net.rest(100)
    store.release()
    await net.rest()
    expect(publisher.packets.length).toBe(50)
    expect(store.writes).toBe(2)
  })

  test('gets no records of clean sessions and QoS 0 messages', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const subscriber = await net.client()
    await subscriber.subscribe('#', { qos: 2 })
    const publisher = await net.client()
    publisher.publish('a', 'x')
    await publisher.put('a', 'y')
    expect(await subscriber.messages()).toEqual(['a x', 'a y'])
    expect(store.writes).toBe(0)
  })

  test('forgets what was delivered, and sessions that ended', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const subscriber = await net.client(form)
    await subscriber.subscribe('a', { qos: 2 })
    const publisher = await net.client()
    for (let index = 0; index < 5; index++) await publisher.put('a', String(index))
    publisher.publish('a', 'two', { qos: 2, messageId: 3 })
    await publisher.next('pubrec')
    expect((await subscriber.messages()).length).toBe(6)
    await net.rest()
    const kinds = async (): Promise<string[]> => {
      const found: string[] = []
      for await (const record of store.load()) found.push(record.kind)
      return found.sort()
    }
    expect(await kinds()).toEqual(['session', 'subscription'])
    await subscriber.leave({ sessionExpiryInterval: 0 })
    await net.rest()
    expect(await kinds()).toEqual([])
  })
})
