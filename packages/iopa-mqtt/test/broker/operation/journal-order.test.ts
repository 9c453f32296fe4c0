import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { HeldStore, restarted } from '../held-store.ts'
import { closeLabs, type Lab, lab, type TestClient } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

const form = { clientId: 'c', clean: false, properties: { sessionExpiryInterval: 100 } }

const narrow = (receiveMaximum: number): typeof form => ({ ...form, properties: { ...form.properties, receiveMaximum } as typeof form.properties })

const published = async (net: Lab, client: TestClient): Promise<string[]> => {
  await net.rest()
  return client.packets.filter(({ cmd }) => cmd === 'publish').map(packet => `${packet['payload']}${packet['dup'] ? ' dup' : ''}`)
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index))

describe('a resumed session', () => {
  test.each([1, 2] as const)('gets no more messages of QoS %i at once than its receive maximum after a restart', async qos => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const first = await net.client(form)
    await first.subscribe('a', { qos })
    await first.vanish()
    for (const payload of numbers(30)) await net.transport.publish('a', payload, { qos: 2 })
    await net.rest()
    const next = await restarted(net, store)
    const second = await next.client({ ...narrow(5), acknowledges: false })
    expect(await published(next, second)).toEqual(numbers(5))
  })

  test('gets no more unacknowledged messages at once than its receive maximum when it reconnects', async () => {
    const net = await lab()
    const first = await net.client({ ...form, acknowledges: false })
    await first.subscribe('a', { qos: 1 })
    const publisher = await net.client()
    for (const payload of numbers(30)) await publisher.put('a', payload)
    expect(await published(net, first)).toHaveLength(30)
    await first.vanish()
    const second = await net.client({ ...narrow(5), acknowledges: false })
    await publisher.put('a', 'new')
    expect(await published(net, second)).toEqual(numbers(5).map(number => `${number} dup`))
    const messageId = second.packets.find(({ cmd }) => cmd === 'publish')?.messageId as number
    second.send({ cmd: 'puback', messageId })
    expect(await published(net, second)).toHaveLength(6)
  })

  test('gets messages in flight first, with DUP and their identifiers, then those never sent without DUP', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const first = await net.client({ ...narrow(2), acknowledges: false })
    await first.subscribe('a', { qos: 2 })
    const publisher = await net.client()
    // Messages of both qualities, in one order.
    for (const [index, qos] of ([1, 2, 2, 1, 2] as const).entries()) {
      publisher.publish('a', String(index), { qos, messageId: index + 1 })
      await publisher.next(qos === 1 ? 'puback' : 'pubrec')
    }
    await net.rest()
    const before = first.packets.filter(({ cmd }) => cmd === 'publish').map(({ messageId }) => messageId)
    const next = await restarted(net, store)
    const second = await next.client({ ...form, acknowledges: false })
    expect(await published(next, second)).toEqual(['0 dup', '1 dup', '2', '3', '4'])
    const after = second.packets.filter(({ cmd }) => cmd === 'publish').map(({ messageId }) => messageId)
    expect(after.slice(0, 2)).toEqual(before)
    expect(new Set(after).size).toBe(5)
  })
})

describe('a packet that a client draws a conclusion from', () => {
  test('PUBREL leaves after the store has kept that PUBREC came', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const client = await net.client({ ...form, acknowledges: false })
    await client.subscribe('a', { qos: 2 })
    await net.transport.publish('a', 'x', { qos: 2 })
    const { messageId } = await client.next('publish')
    store.hold = true
    client.send({ cmd: 'pubrec', messageId: messageId as number })
    await net.rest()
    expect(client.packets).toEqual([])
    store.release()
    expect((await client.next('pubrel')).messageId).toBe(messageId)
    // After a crash the message is released, not sent again.
    const next = await restarted(net, store)
    const again = await next.client({ ...form, acknowledges: false })
    expect(await published(next, again)).toEqual([])
    expect((await again.next('pubrel')).messageId).toBe(messageId)
  })

  test('PUBREL does not leave on a new connection before the store has kept that PUBREC came', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const client = await net.client({ ...form, acknowledges: false })
    await client.subscribe('a', { qos: 2 })
    await net.transport.publish('a', 'x', { qos: 2 })
    const { messageId } = await client.next('publish')
    store.failing = true
    client.send({ cmd: 'pubrec', messageId: messageId as number })
    await net.rest()
    expect(client.packets.filter(({ cmd }) => cmd === 'pubrel')).toEqual([])
    expect(client.closed).toBe(true)
    store.failing = false
    const again = await net.client({ ...form, acknowledges: false })
    expect((await again.next('pubrel')).messageId).toBe(messageId)
    const next = await restarted(net, store)
    expect(await published(next, await next.client({ ...form, acknowledges: false }))).toEqual([])
  })

  test('PUBCOMP does not leave when the store could not keep the release', async () => {
    let count = 0
    const build: Parameters<typeof lab>[0] = app => void app.use(router()).put('/count', () => void count++)
    const store = new HeldStore()
    const net = await lab(build, { store })
    const client = await net.client(form)
    client.publish('count', 'x', { qos: 2, messageId: 7 })
    await client.next('pubrec')
    store.failing = true
    client.send({ cmd: 'pubrel', messageId: 7 })
    await net.rest()
    expect(client.packets.filter(({ cmd }) => cmd === 'pubcomp')).toEqual([])
    expect(client.closed).toBe(true)
    store.failing = false
    const second = await net.client(form)
    second.send({ cmd: 'pubrel', messageId: 7 })
    expect(await second.next('pubcomp')).toMatchObject({ reasonCode: 0 })
    const next = await restarted(net, store, build)
    const third = await next.client(form)
    third.publish('count', 'y', { qos: 2, messageId: 7 })
    await third.next('pubrec')
    expect(count).toBe(2)
  })

  test('PUBCOMP answers a repeated PUBREL once the release is kept, not before', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const client = await net.client(form)
    client.publish('a', 'x', { qos: 2, messageId: 7 })
    await client.next('pubrec')
    store.hold = true
    client.send({ cmd: 'pubrel', messageId: 7 })
    client.send({ cmd: 'pubrel', messageId: 7 })
    await net.rest()
    expect(client.packets).toEqual([])
    store.release()
    expect(await client.next('pubcomp')).toMatchObject({ reasonCode: 0 })
  })

  test('UNSUBACK refuses when the store could not keep the change', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const client = await net.client(form)
    await client.subscribe('a', { qos: 1 })
    store.failing = true
    client.send({ cmd: 'unsubscribe', messageId: 3, unsubscriptions: ['a'] })
    expect((await client.next('unsuback'))['granted']).toEqual([0x80])
  })

  test('a message that waited is stored with its identifier before it is sent', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const first = await net.client(form)
    await first.subscribe('a', { qos: 1 })
    await first.vanish()
    await net.transport.publish('a', 'x', { qos: 1 })
    const second = await net.dial(5)
    second.acknowledges = false
    second.send({ cmd: 'connect', protocolVersion: 5, keepalive: 0, ...form })
    await second.next('connack')
    const message = await second.next('publish')
    const next = await restarted(net, store)
    const third = await next.client({ ...form, acknowledges: false })
    const again = await third.next('publish')
    expect(again).toMatchObject({ dup: true, messageId: message.messageId })
  })
})

describe('transport.publish', () => {
  test.each([
    ['a retained message', { retain: true }],
    ['a message of QoS 1 for an absent client', { qos: 1 }]
  ] as const)('resolves when %s is kept', async (_name, options) => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const client = await net.client(form)
    await client.subscribe('a', { qos: 1 })
    await client.vanish()
    store.hold = true
    let resolved = false
    const done = net.transport.publish('a', 'x', options).then(() => {
      resolved = true
    })
    await net.rest()
    expect(resolved).toBe(false)
    store.release()
    await net.clock.runUntil(done)
  })

  test('rejects, hands nothing out and retains nothing when the store fails', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const client = await net.client()
    await client.subscribe('a', { qos: 1 })
    await net.transport.publish('a', 'before', { qos: 1, retain: true })
    expect(await client.messages()).toEqual(['a before'])
    store.failing = true
    const failed = net.transport.publish('a', 'x', { qos: 1, retain: true })
    await expect(net.clock.runUntil(failed)).rejects.toMatchObject({ status: 503, code: 'not-kept' })
    expect(await client.messages()).toEqual([])
    store.failing = false
    const later = await net.client()
    await later.subscribe('a')
    expect(await later.messages()).toEqual(['a before'])
  })
})

describe('a refused PUBLISH', () => {
  test('does not replace the retained message when the store fails', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const client = await net.client()
    await client.put('a', 'before', { retain: true })
    store.failing = true
    expect(await client.put('a', 'x', { retain: true })).toMatchObject({ reasonCode: 0x80 })
    store.failing = false
    await client.subscribe('a')
    expect(await client.messages()).toEqual(['a before'])
  })
})
