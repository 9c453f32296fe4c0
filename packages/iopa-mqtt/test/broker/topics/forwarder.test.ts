import { IopaError } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { HeldStore } from '../held-store.ts'
import { closeLabs, type Lab, lab, type TestClient } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

const persistent = { clean: false, properties: { sessionExpiryInterval: 1000 } }

describe('an acknowledged message', () => {
  test.each([
    ['without a store', false],
    ['with a store', true]
  ])(
    'reaches all of 300 subscribers whose middleware is asynchronous, %s',
    async (_name, stored) => {
      let net!: Lab
      let most = 0
      let asking = 0
      net = await lab(
        app =>
          app.use(async (context, next) => {
            if (context.method !== 'GET') return next()
            most = Math.max(most, ++asking)
            await new Promise<void>(resolve => void net.clock.setTimeout(resolve, 20))
            asking--
            return next()
          }),
        { limits: { inFlight: 50, connectionsPerAddress: 1000 }, ...(stored ? { store: new HeldStore() } : {}) }
      )
      const clients: TestClient[] = []
      for (let index = 0; index < 300; index++) {
        const client = await net.client(stored && index % 2 === 0 ? { ...persistent, clientId: `s${index}` } : {})
        client.sendBytes(Buffer.from([0x82, 7, 0, 1, 0, 0, 1, 43, 1]))
        clients.push(client)
      }
      await net.rest(100)
      const publisher = await net.client()
      expect(await publisher.put('a', 'x')).toMatchObject({ reasonCode: 0 })
      await net.rest(2000)
      expect(clients.filter(client => client.packets.some(({ cmd }) => cmd === 'publish')).length).toBe(300)
      expect(most).toBeLessThanOrEqual(64)
    },
    60_000
  )

  test('waits for an authorization that fails temporarily', async () => {
    let failures = 3
    const net = await lab(app =>
      app.use((context, next) => {
        if (context.method === 'GET' && failures-- > 0) throw new IopaError(503, 'busy')
        return next()
      })
    )
    const client = await net.client()
    client.sendBytes(Buffer.from([0x82, 9, 0, 1, 0, 0, 3, 97, 47, 43, 1]))
    await net.rest()
    client.packets.length = 0
    const publisher = await net.client()
    expect(await publisher.put('a/b', 'x')).toMatchObject({ reasonCode: 0 })
    await net.rest(20_000)
    expect(await client.messages()).toEqual(['a/b x'])
  })
})

describe("a subscriber's own full queue", () => {
  test.each([
    ['connected', false],
    ['absent', true]
  ])('ends the session of a client that is %s, and never touches the publisher', async (_name, absent) => {
    const net = await lab(undefined, { limits: { queueMessages: 10 }, statistics: 1 })
    const watcher = await net.client()
    await watcher.subscribe('$SYS/broker/publish/messages/dropped')
    const client = await net.client({
      ...persistent,
      clientId: 'slow',
      acknowledges: false,
      properties: { sessionExpiryInterval: 1000, receiveMaximum: 2 }
    })
    await client.subscribe('a', { qos: 1 })
    if (absent) await client.vanish()
    const publisher = await net.client()
    for (let index = 0; index < 20; index++) expect(await publisher.put('a', String(index))).toSatisfy(({ reasonCode }) => reasonCode < 0x80)
    if (!absent) {
      expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x97 })
      await net.rest(3000)
      expect(client.closed).toBe(true)
    }
    // The client sees the gap: its session is gone.
    const { connack } = await net.connect({ ...persistent, clientId: 'slow' })
    expect(connack.sessionPresent).toBe(false)
    expect(net.errors.flat().join()).toContain('slow')
    await net.rest(2000)
    expect((await watcher.messages()).some(message => message !== '$SYS/broker/publish/messages/dropped 0')).toBe(true)
  })
})

describe('the total of all queues', () => {
  test('refuses a message before any subscriber gets it', async () => {
    const net = await lab(undefined, { maxQueuedBytes: 10_000 })
    const absent = await net.client({ ...persistent, clientId: 'absent' })
    await absent.subscribe('a', { qos: 1 })
    await absent.vanish()
    const present = await net.client()
    await present.subscribe('a', { qos: 1 })
    const publisher = await net.client()
    let refused = 0
    let accepted = 0
    for (let index = 0; index < 20; index++) {
      const { reasonCode } = await publisher.put('a', 'x'.repeat(1000), { retain: true })
      if (reasonCode === 0x97) refused++
      else accepted++
    }
    expect(refused).toBeGreaterThan(5)
    expect((await present.messages()).length).toBe(accepted)
    expect((await (await net.client({ ...persistent, clientId: 'absent' })).messages()).length).toBe(accepted)
  })
})

describe('a shared subscription', () => {
  test('tells a state only to members that may receive it', async () => {
    let light = 0
    const net = await lab(app => {
      app.use((context, next) => {
        if (context.method === 'GET' && context['mqtt.ClientId'] === 'bob') throw new IopaError(403, 'forbidden')
        return next()
      })
      const routed = app.use(router())
      routed.get('/light', () => String(light))
      routed.put('/light', () => void light++)
    })
    const bob = await net.client({ clientId: 'bob' })
    const ann = await net.client({ clientId: 'ann' })
    for (const client of [bob, ann]) await client.subscribe('$share/g/light', { qos: 1 })
    const publisher = await net.client()
    for (let index = 0; index < 4; index++) {
      await publisher.put('light', 'x')
      await net.rest()
    }
    expect(await ann.messages()).toEqual(['light 1', 'light 2', 'light 3', 'light 4'])
    expect(await bob.messages()).toEqual([])
  })

  test.each([
    ['without a store', undefined],
    ['with a store', new HeldStore()]
  ])('gives messages only to members that may receive them, %s', async (_name, store) => {
    const net = await lab(
      app =>
        app.use(async (context, next) => {
          await Promise.resolve()
          if (context.method === 'GET' && String(context['mqtt.ClientId']).startsWith('bob')) throw new IopaError(403, 'forbidden')
          return next()
        }),
      store ? { store } : {}
    )
    const bobs = [await net.client({ clientId: 'bob1' }), await net.client({ clientId: 'bob2' })]
    const ann = await net.client({ clientId: 'ann' })
    for (const client of [...bobs, ann]) await client.subscribe('$share/g/a/+', { qos: 1 })
    const publisher = await net.client()
    for (let index = 0; index < 10; index++) {
      await publisher.put(`a/${index % 3}`, String(index))
      await net.rest()
    }
    expect((await ann.messages()).length).toBe(10)
    for (const bob of bobs) expect(await bob.messages()).toEqual([])
  })
})
