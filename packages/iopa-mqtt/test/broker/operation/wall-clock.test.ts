import { afterEach, describe, expect, test } from 'vitest'
import { HeldStore, restarted } from '../held-store.ts'
import { closeLabs, lab } from '../lab.ts'

const HOUR = 3_600_000

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

describe.each([
  ['forwards', HOUR],
  ['back', -HOUR]
])('a broker whose wall clock jumps an hour %s', (_, jump) => {
  test('keeps a client that sends, and ends one that is silent, whose will is published', async () => {
    const net = await lab()
    const watcher = await net.client()
    await watcher.subscribe('gone/#')
    const will = (name: string): object => ({
      clientId: name,
      keepalive: 20,
      will: { topic: `gone/${name}`, payload: Buffer.from('x'), qos: 0, retain: false }
    })
    const [sends, silent] = [await net.client(will('sends')), await net.client(will('silent'))]
    await net.rest(10_000)
    net.clock.shift(jump)
    await net.rest(8000)
    expect([sends.closed, silent.closed]).toEqual([false, false])
    sends.send({ cmd: 'pingreq' })
    await net.rest(15_000)
    expect([sends.closed, silent.closed]).toEqual([false, true])
    expect(await watcher.messages()).toEqual(['gone/silent x'])
  })

  test('ends a connection without a CONNECT, and a packet that never ends, in their times', async () => {
    const net = await lab()
    const unfinished = await net.client({ keepalive: 0 })
    unfinished.sendBytes(Buffer.of(0x30, 0x10, 0x00))
    const mute = await net.dial()
    await net.rest(5000)
    net.clock.shift(jump)
    await net.rest(3000)
    expect([mute.closed, unfinished.closed]).toEqual([false, false])
    await net.rest(4000)
    expect([mute.closed, unfinished.closed]).toEqual([true, false])
    await net.rest(20_000)
    expect(unfinished.closed).toBe(true)
  })

  test('publishes a delayed will, and ends a session, in its time', async () => {
    const net = await lab()
    const watcher = await net.client()
    await watcher.subscribe('gone')
    const will = { topic: 'gone', payload: Buffer.from('x'), qos: 0 as const, retain: false, properties: { willDelayInterval: 60 } }
    const lasting = { clientId: 'lasting', clean: false, properties: { sessionExpiryInterval: 90 } }
    await (await net.client({ ...lasting, will })).vanish()
    await net.rest(10_000)
    net.clock.shift(jump)
    await net.rest(45_000)
    expect(await watcher.messages()).toEqual([])
    await net.rest(6000)
    expect(await watcher.messages()).toEqual(['gone x'])
    const back = await net.connect(lasting)
    expect(back.connack.sessionPresent).toBe(true)
    await back.client.vanish()
    net.clock.shift(jump)
    await net.rest(92_000)
    expect((await net.connect(lasting)).connack.sessionPresent).toBe(false)
  })

  test('drops retained and queued messages that have expired, and no others', async () => {
    const net = await lab()
    const lasting = { clientId: 'lasting', clean: false, properties: { sessionExpiryInterval: 9000 } }
    const sleeper = await net.client(lasting)
    await sleeper.subscribe('queued', { qos: 1 })
    await sleeper.vanish()
    const publisher = await net.client()
    const expiring = (messageExpiryInterval: number): object => ({ properties: { messageExpiryInterval } })
    await publisher.put('kept', 'short', { retain: true, ...expiring(60) })
    await publisher.put('queued', 'short', expiring(60))
    await publisher.put('queued', 'long', expiring(3000))
    await net.rest(10_000)
    net.clock.shift(jump)
    await net.rest(40_000)
    const early = await net.client()
    await early.subscribe('kept')
    const [read] = (await net.rest(), early.packets.filter(({ cmd }) => cmd === 'publish'))
    expect(read?.properties).toMatchObject({ messageExpiryInterval: 10 })
    await net.rest(11_000)
    await early.subscribe('kept')
    early.packets.length = 0
    await early.subscribe('kept')
    expect(await early.messages()).toEqual([])
    expect(await (await net.client(lasting)).messages()).toEqual(['queued long'])
  })
})

test('a broker stores times of the wall clock, and counts on from them after a restart', async () => {
  const store = new HeldStore()
  const net = await lab(undefined, { store })
  // As on a board without a battery, which learns the time after the broker has started.
  net.clock.shift(20 * 365 * 24 * HOUR)
  const lasting = { clientId: 'lasting', clean: false, properties: { sessionExpiryInterval: 100 } }
  const sleeper = await net.client(lasting)
  await sleeper.subscribe('queued', { qos: 1 })
  await sleeper.leave()
  const publisher = await net.client()
  await publisher.put('kept', 'x', { retain: true, properties: { messageExpiryInterval: 100 } })
  await publisher.put('queued', 'x', { properties: { messageExpiryInterval: 100 } })
  const next = await restarted(net, store)
  await next.rest(50_000)
  const later = await next.client()
  await later.subscribe('kept')
  await next.rest()
  const [read] = later.packets.filter(({ cmd }) => cmd === 'publish')
  expect(read?.properties?.['messageExpiryInterval']).toBeGreaterThanOrEqual(48)
  expect(read?.properties?.['messageExpiryInterval']).toBeLessThanOrEqual(50)
  await next.rest(51_000)
  expect((await next.connect(lasting)).connack.sessionPresent).toBe(false)
})
