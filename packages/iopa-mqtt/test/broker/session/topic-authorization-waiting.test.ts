import { IopaError } from '@iopa/appbuilder'
import { generate } from 'mqtt-packet'
import { afterEach, describe, expect, test } from 'vitest'
import { HeldStore, restarted } from '../held-store.ts'
import { closeLabs, type Lab, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

const persistent = { clean: false, properties: { sessionExpiryInterval: 1000 } }

/** An app that takes 20 ms for each decision about a delivery, or what `decide` says. */
const deciding = async (decide: () => number = () => 20): Promise<Lab> => {
  let net!: Lab
  net = await lab(app =>
    app.use(async (context, next) => {
      if (context.method === 'GET') {
        const milliseconds = decide()
        if (milliseconds > 0) await new Promise<void>(resolve => void net.clock.setTimeout(resolve, milliseconds))
      }
      return next()
    })
  )
  return net
}

describe('a message that waits for an authorization', () => {
  test('reaches a client that reconnects meanwhile', async () => {
    const net = await deciding()
    const before = await net.client({ clientId: 'c', ...persistent })
    await before.subscribe('a/+', { qos: 1 })
    const publisher = await net.client()
    await publisher.put('a/1', 'first')
    await net.rest(5)
    const after = await net.client({ clientId: 'c', ...persistent })
    expect(await after.messages()).toEqual([])
    await net.rest(50)
    expect(await after.messages()).toEqual(['a/1 first'])
  })

  test('reaches a member of a group that reconnects or subscribes again meanwhile', async () => {
    const net = await deciding()
    const before = await net.client({ clientId: 'c', ...persistent })
    await before.subscribe('$share/g/a/+', { qos: 1 })
    const publisher = await net.client()
    await publisher.put('a/1', 'first')
    const after = await net.client({ clientId: 'c', ...persistent })
    await net.rest(50)
    expect(await after.messages()).toEqual(['a/1 first'])
    await publisher.put('a/2', 'second')
    await after.subscribe('$share/g/a/+', { qos: 1 })
    await net.rest(50)
    expect(await after.messages()).toEqual(['a/2 second'])
  })

  test('is not passed by a later one whose decision came by a SUBSCRIBE', async () => {
    const times = [50, 10]
    const net = await deciding(() => times.shift() ?? 0)
    const client = await net.client()
    await client.subscribe('a/+', { qos: 1 })
    const publisher = await net.client()
    await publisher.put('a/1', 'first')
    await client.subscribe('a/1', { qos: 1, rh: 2 })
    await publisher.put('a/1', 'second')
    await net.rest(100)
    expect(await client.messages()).toEqual(['a/1 first', 'a/1 second'])
  })

  test('is counted when no decision can be had', async () => {
    const net = await lab(
      app =>
        app.use((context, next) => {
          if (context.method === 'GET') throw new IopaError(503, 'busy')
          return next()
        }),
      { statistics: 1 }
    )
    const client = await net.client()
    await client.subscribe('a/+', { qos: 1 })
    const publisher = await net.client()
    await publisher.put('a/1', 'lost')
    await net.rest(30_000)
    await client.subscribe('$SYS/broker/publish/messages/#')
    expect(await client.messages()).toContain('$SYS/broker/publish/messages/dropped 1')
  })
})

describe('synchronous authorizations', () => {
  test('are made a bounded number at a time, and what is published meanwhile waits', async () => {
    let inTurn = 0
    let most = 0
    const net = await lab(
      app =>
        app.use((context, next) => {
          if (context.method === 'GET') {
            most = Math.max(most, ++inTurn)
            setImmediate(() => (inTurn = 0))
          }
          return next()
        }),
      { limits: { inFlightPerConnection: 1000 } }
    )
    const subscribers = await Promise.all(
      Array.from({ length: 3 }, (_, index) => net.client({ clientId: `s${index}`, properties: { receiveMaximum: 1000 } }))
    )
    for (const client of subscribers) client.sendBytes(Buffer.from([0x82, 9, 0, 1, 0, 0, 3, 97, 47, 43, 1]))
    await net.rest()
    const publisher = await net.client()
    // In one write, so that one turn reads them all.
    const packets = Array.from({ length: 300 }, (_, index) =>
      generate(
        { cmd: 'publish', topic: `a/${index + 1}`, payload: 'x', qos: 1, dup: false, retain: false, messageId: index + 1 },
        { protocolVersion: 5 }
      )
    )
    publisher.sendBytes(Buffer.concat(packets))
    await net.rest(1000)
    expect(publisher.packets.filter(({ cmd, reasonCode }) => cmd === 'puback' && reasonCode === 0).length).toBe(300)
    for (const client of subscribers) expect(client.packets.filter(({ cmd }) => cmd === 'publish').length).toBe(300)
    expect(most).toBeLessThanOrEqual(400)
  })
})

describe('a QoS 2 message with undecided deliveries when the broker is killed', () => {
  test('is delivered once when its sender sends it again', async () => {
    let slow = false
    let clock!: Lab['clock']
    const build: Parameters<typeof lab>[0] = app =>
      app.use(async (context, next) => {
        if (context.method === 'GET' && slow && context['mqtt.ClientId'] === 'undecided')
          await new Promise<void>(resolve => void clock.setTimeout(resolve, 500))
        return next()
      })
    const store = new HeldStore()
    const before = await lab(build, { store })
    clock = before.clock
    const decided = await before.client({ clientId: 'decided', ...persistent })
    await decided.subscribe('a', { qos: 2 })
    const undecided = await before.client({ clientId: 'undecided', ...persistent })
    await undecided.subscribe('+', { qos: 2 })
    const publisher = await before.client({ clientId: 'publisher', ...persistent })
    slow = true
    publisher.publish('a', 'once', { qos: 2, messageId: 5 })
    await before.rest(50)
    const after = await restarted(before, store, build)
    slow = false
    const again = await after.client({ clientId: 'publisher', ...persistent })
    again.publish('a', 'once', { qos: 2, messageId: 5, dup: true })
    await again.next('pubrec')
    const back = await after.client({ clientId: 'decided', ...persistent })
    expect([...(await decided.messages()), ...(await back.messages())]).toEqual(['a once'])
  })
})
