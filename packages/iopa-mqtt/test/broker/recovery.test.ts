import { IopaError } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { HeldStore, restarted } from './held-store.ts'
import { closeLabs, lab } from './lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

const form = { clientId: 'c', clean: false, properties: { sessionExpiryInterval: 100 } }

describe('the stored records of a message', () => {
  test('that the app published is enough to send it again', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const first = await net.client({ ...form, acknowledges: false })
    await first.subscribe('a', { qos: 1 })
    await net.transport.publish('a', 'x', { qos: 1 })
    await first.next('publish')
    const next = await restarted(net, store)
    const second = await next.client(form)
    expect(await second.messages()).toEqual(['a x'])
  })

  test('is not written over by what comes after a restart', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const first = await net.client(form)
    await first.subscribe('a', { qos: 1 })
    await first.vanish()
    const publisher = await net.client()
    for (const payload of ['1', '2']) await publisher.put('a', payload)
    const second = await restarted(net, store)
    await (await second.client()).put('a', '3')
    const third = await restarted(second, second.store)
    expect(await (await third.client(form)).messages()).toEqual(['a 1', 'a 2', 'a 3'])
  })

  test('of QoS 2 goes with its release, which is acknowledged after that', async () => {
    let count = 0
    const build: Parameters<typeof lab>[0] = app => void app.use(router()).put('/count', () => void count++)
    const store = new HeldStore()
    const net = await lab(build, { store })
    const first = await net.client(form)
    first.publish('count', 'x', { qos: 2, messageId: 7 })
    await first.next('pubrec')
    store.hold = true
    first.send({ cmd: 'pubrel', messageId: 7 })
    await net.rest()
    expect(first.packets).toEqual([])
    store.release()
    await first.next('pubcomp')
    const next = await restarted(net, store, build)
    const second = await next.client(form)
    second.publish('count', 'y', { qos: 2, messageId: 7 })
    await second.next('pubrec')
    expect(count).toBe(2)
  })

  test('reaches a client whose CONNECT is being kept, though its session is to end with the connection', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const first = await net.client(form)
    await first.subscribe('a', { qos: 1 })
    await first.vanish()
    store.hold = true
    const second = await net.dial(5)
    second.send({ cmd: 'connect', clientId: 'c', clean: false, protocolVersion: 5, keepalive: 0 })
    await net.rest()
    const published = net.transport.publish('a', 'x', { qos: 1 })
    store.release()
    await net.clock.runUntil(published)
    expect(await second.messages()).toEqual(['a x'])
  })
})

describe('a message that was refused', () => {
  test('is not kept as one that was handled', async () => {
    let count = 0
    const build: Parameters<typeof lab>[0] = app =>
      void app.use(router()).put('/count', context => void (context.response.status = ++count === 1 ? 409 : 204))
    const store = new HeldStore()
    const net = await lab(build, { store })
    const first = await net.client(form)
    first.publish('count', 'x', { qos: 2, messageId: 7 })
    expect(await first.next('pubrec')).toMatchObject({ reasonCode: 0x83 })
    const next = await restarted(net, store, build)
    const second = await next.client(form)
    second.publish('count', 'x', { qos: 2, messageId: 7 })
    expect(await second.next('pubrec')).toMatchObject({ reasonCode: 0 })
    expect(count).toBe(2)
  })
})

describe('a change of state', () => {
  test('is acknowledged when those that a store keeps have been told, and told to each once', async () => {
    let light = 'off'
    let reading = 0
    const net = await lab(
      app => {
        const routed = app.use(router())
        routed.get('/light', async () => {
          reading++
          await new Promise<void>(resolve => void net.clock.setTimeout(resolve, 1000))
          reading--
          return light
        })
        routed.put('/light', async context => {
          light = await context.text()
        })
      },
      { store: new HeldStore() }
    )
    const client = await net.client(form)
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'light', qos: 1, rh: 2 }] })
    await client.next('suback')
    await (await net.client()).put('light', 'on')
    expect(reading).toBe(0)
    await net.rest(5000)
    expect(await client.messages()).toEqual(['light on'])
  })
})

describe('the stored records of a session', () => {
  test('names its user, in whose name it is asked what it may have', async () => {
    const build: Parameters<typeof lab>[0] = app =>
      app.use((context, next) => {
        if (context.method === 'CONNECT') context.user = { id: String(context['mqtt.ClientId']) }
        if (context.method === 'GET' && context.user?.id !== 'c') throw new IopaError(403, 'forbidden')
        return next()
      })
    const store = new HeldStore()
    const net = await lab(build, { store })
    const first = await net.client(form)
    await first.subscribe('a/+', { qos: 1 })
    const next = await restarted(net, store, build)
    await (await next.client()).put('a/b', 'x')
    expect(await (await next.client(form)).messages()).toEqual(['a/b x'])
  })

  test('without its head is cleared away', async () => {
    const store = new HeldStore()
    const value = { qos: 1 as const, noLocal: false, retainAsPublished: false, retainHandling: 0 as const, identifier: 0 }
    await store.inner.write([{ kind: 'subscription', clientId: 'lost', filter: 'a', value }])
    const net = await lab(undefined, { store })
    await net.rest()
    const left: unknown[] = []
    for await (const record of store.load()) left.push(record)
    expect(left).toEqual([])
  })

  test('that could not be kept refuses its client', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    store.failing = true
    expect((await net.connect(form)).connack.reasonCode).toBe(0x88)
  })

  test('goes when its client takes it up and wants it no longer', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    await (await net.client(form)).vanish()
    await net.client({ clientId: 'c', clean: false })
    const next = await restarted(net, store)
    expect((await next.connect(form)).connack.sessionPresent).toBe(false)
  })

  test.each([
    ['goes on to run out for one that was away', true, 110_000, false],
    ['begins to run out at the restart for one that was connected, whatever was said of it before', false, 60_000, true]
  ] as const)('%s', async (_name, away, milliseconds, present) => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    await (await net.client(form)).vanish()
    await net.rest(60_000)
    const again = await net.client(form)
    if (away) await again.vanish()
    await net.rest(50_000)
    const next = await restarted(net, store)
    await next.rest(milliseconds - 50_000)
    expect((await next.connect(form)).connack.sessionPresent).toBe(present)
  })

  test.each([0, 5])('holds no will that was published, %i seconds after its client vanished', async willDelayInterval => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const client = await net.client({
      ...form,
      will: { topic: 'will', payload: Buffer.from('gone'), qos: 0, retain: false, properties: { willDelayInterval } }
    })
    const watcher = await net.client()
    await watcher.subscribe('will')
    await client.vanish()
    await net.rest(10_000)
    expect(await watcher.messages()).toEqual(['will gone'])
    const next = await restarted(net, store)
    const later = await next.client()
    await later.subscribe('will')
    await next.rest(99_000)
    expect(await later.messages()).toEqual([])
  })

  test('does not count a client as connected whose CONNECT was not answered', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store, statistics: 1 })
    const watcher = await net.client()
    await watcher.subscribe('$SYS/broker/clients/connected')
    store.hold = true
    const client = await net.dial(5)
    client.send({ cmd: 'connect', protocolVersion: 5, keepalive: 0, ...form })
    await net.rest()
    await client.vanish()
    store.release()
    await net.rest(5000)
    expect((await watcher.messages()).at(-1)).toBe('$SYS/broker/clients/connected 1')
  })
})

describe('a retained message', () => {
  test('that has expired leaves the store as well', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const client = await net.client()
    await client.put('a', 'x', { retain: true, properties: { messageExpiryInterval: 5 } })
    await client.put('b', 'y', { retain: true })
    await net.rest(70_000)
    const topics: string[] = []
    for await (const record of store.load()) if (record.kind === 'retained') topics.push(record.topic)
    expect(topics).toEqual(['b'])
  })

  test('of a topic that has become a state is not given out by it', async () => {
    const store = new HeldStore()
    const net = await lab(undefined, { store })
    const client = await net.client()
    await client.put('lights/hall', 'old', { retain: true })
    await client.put('lights', 'kept', { retain: true })
    const next = await restarted(net, store, app => void app.use(router()).get('/lights/:id', () => 'on'))
    const later = await next.client()
    await later.subscribe('lights/#')
    expect(await later.messages()).toEqual(['lights kept'])
  })
})
