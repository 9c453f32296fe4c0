import { type App, IopaError, type User } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { afterEach, describe, expect, test } from 'vitest'
import { HeldStore, restarted } from '../held-store.ts'
import { type ConnectForm, closeLabs, type Lab, lab, type TestClient } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

const MINUTE = 60_000

/** The user name is the user's id; with AUTH it is the data. Everybody is valid for a minute. */
const forAMinute = (app: App): App =>
  app.use((context, next) => {
    if (context.method !== 'CONNECT') return next()
    const method = context['mqtt.AuthenticationMethod']
    const id = method === undefined ? context['mqtt.UserName'] : String(context['mqtt.AuthenticationData'])
    if (id === 'nobody') throw new IopaError(401, 'who', 'Say who you are.')
    if (id !== undefined) context.user = { id, valid: { until: context.environment.now() + MINUTE } } satisfies User
    return next()
  })

const WILL = { topic: 'gone', payload: Buffer.from('will'), qos: 0 as const, retain: false }

const ann = (more: ConnectForm = {}): ConnectForm => ({ clientId: 'c', username: 'ann', will: WILL, ...more })

const lasting = (more: ConnectForm = {}): ConnectForm => ann({ clean: false, properties: { sessionExpiryInterval: 1000 }, ...more })

/** Hears wills; it has no user, so it stays. */
const witness = async (net: Lab): Promise<TestClient> => {
  const client = await net.client({ clientId: 'witness' })
  await client.subscribe('gone')
  return client
}

describe('a connection whose user expires', () => {
  test.each([
    [5, 0x87],
    [4, null]
  ] as const)('ends in version %i, with reason %s', async (version, reason) => {
    const net = await lab(forAMinute)
    const client = await net.client(ann({ version }))
    await net.rest(MINUTE - 1000)
    expect(client.closed).toBe(false)
    await net.rest(2000)
    expect(client.closed).toBe(true)
    const goodbye = client.packets.find(({ cmd }) => cmd === 'disconnect')
    expect(goodbye === undefined ? null : goodbye['reasonCode']).toBe(reason)
  })

  describe.each([
    ['without a session that lasts', ann],
    ['with a session that lasts', lasting]
  ] as const)('%s', (_, form) => {
    test('publishes no will when the client is back within 30 s', async () => {
      const net = await lab(forAMinute)
      const other = await witness(net)
      const client = await net.client(form())
      await net.rest(MINUTE + 100)
      expect(client.closed).toBe(true)
      await net.rest(25_000)
      await net.client(form())
      await net.rest(34_000)
      expect(await other.messages()).toEqual([])
    })

    test('publishes no will when the client is back with a clean start', async () => {
      const net = await lab(forAMinute)
      const other = await witness(net)
      await net.client(form())
      await net.rest(MINUTE + 100)
      await net.client({ ...form(), clean: true })
      await net.rest(50_000)
      expect(await other.messages()).toEqual([])
    })

    test('publishes the will, once, when the client stays away', async () => {
      const net = await lab(forAMinute)
      const other = await witness(net)
      await net.client(form())
      await net.rest(MINUTE + 100)
      await net.rest(29_000)
      expect(await other.messages()).toEqual([])
      await net.rest(2000)
      expect(await other.messages()).toEqual(['gone will'])
      await net.client({ ...form(), will: undefined as never })
      await net.rest(1000)
      expect(await other.messages()).toEqual([])
    })
  })

  test('leaves a session that the store gives back with its will after a crash', async () => {
    const store = new HeldStore()
    const net = await lab(forAMinute, { store })
    await net.client(lasting())
    await net.rest(MINUTE + 100)
    const next = await restarted(net, store, forAMinute)
    const other = await witness(next)
    await next.rest(60_000)
    expect(await other.messages()).toEqual(['gone will'])
  })

  test('stays when it authenticates again, for as long as the new user is valid', async () => {
    const net = await lab(forAMinute)
    const properties = { authenticationMethod: 'NAME', authenticationData: Buffer.from('ann') }
    const client = await net.client({ clientId: 'c', properties })
    await net.rest(40_000)
    client.send({ cmd: 'auth', reasonCode: 0x19, properties } as never)
    await client.next('auth')
    await net.rest(50_000)
    expect(client.closed).toBe(false)
    await net.rest(11_000)
    expect(client.closed).toBe(true)
  })

  test('has until the end of an authentication that it has begun before', async () => {
    let answer: () => void = () => undefined
    let slow = false
    const net = await lab(app => {
      app.use(async (context, next) => {
        if (slow && context.method === 'CONNECT') await new Promise<void>(resolve => (answer = resolve))
        return next()
      })
      return forAMinute(app)
    })
    const properties = { authenticationMethod: 'NAME', authenticationData: Buffer.from('ann') }
    const client = await net.client({ clientId: 'c', properties })
    slow = true
    await net.rest(58_000)
    client.send({ cmd: 'auth', reasonCode: 0x19, properties } as never)
    await net.rest(4000)
    expect(client.closed).toBe(false)
    answer()
    await client.next('auth')
    await net.rest(50_000)
    expect(client.closed).toBe(false)
    // One that does not end it has no longer than any handshake.
    client.send({ cmd: 'auth', reasonCode: 0x19, properties } as never)
    await net.rest(25_000)
    expect(client.closed).toBe(true)
  })
})

describe('an offline session', () => {
  test('outlives its user, and its queue is authorised again when the client returns', async () => {
    const forbidden = new Set<string>()
    const net = await lab(app =>
      forAMinute(app).use((context, next) => {
        if (context.method === 'GET' && context.user?.id === 'ann' && forbidden.has(context.path)) throw new IopaError(403, 'no', 'No.')
        return next()
      })
    )
    const client = await net.client(lasting())
    await client.subscribe(['a/#', 'b/#'], { qos: 1 })
    await client.leave({ sessionExpiryInterval: 1000 })
    const other = await net.client({ clientId: 'other' })
    await other.put('a/1', 'one')
    await net.rest(2 * MINUTE)
    await other.put('a/2', 'two')
    await other.put('b/1', 'three')
    forbidden.add('/a/1')
    const { client: back, connack } = await net.connect(lasting({ will: undefined as never }))
    expect(connack.sessionPresent).toBe(true)
    expect(await back.messages()).toEqual(['a/2 two', 'b/1 three'])
  })

  test('keeps the order of its queue where the app takes its time to authorise', async () => {
    let slow = false
    const net = await lab(app =>
      forAMinute(app).use(async (context, next) => {
        if (slow && context.path === '/a/1') await new Promise<void>(resolve => net.clock.setTimeout(resolve, 500))
        return next()
      })
    )
    const client = await net.client(lasting({ acknowledges: false, will: undefined as never }))
    await client.subscribe('a/#', { qos: 1 })
    const other = await net.client({ clientId: 'other' })
    await other.put('a/1', 'under way')
    await client.vanish()
    await other.put('a/2', 'queued')
    await other.put('a/1', 'queued too')
    slow = true
    const back = await net.client(lasting({ will: undefined as never }))
    await other.put('a/3', 'new')
    await net.rest(1000)
    expect(await back.messages()).toEqual(['a/1 under way', 'a/2 queued', 'a/1 queued too', 'a/3 new'])
  })

  test('that lost the authorization during a QoS 2 message gets PUBREL without the payload', async () => {
    let allowed = true
    const net = await lab(app =>
      forAMinute(app).use((context, next) => {
        if (context.method === 'GET' && !allowed) throw new IopaError(403, 'no', 'No.')
        return next()
      })
    )
    const client = await net.client(lasting({ acknowledges: false, will: undefined as never }))
    await client.subscribe('a', { qos: 2 })
    const other = await net.client({ clientId: 'other' })
    other.publish('a', 'secret', { qos: 2, messageId: 5 })
    const { messageId } = await client.next('publish')
    await client.vanish()
    allowed = false
    const back = await net.client(lasting({ will: undefined as never }))
    expect((await back.next('pubrel'))['messageId']).toBe(messageId)
    expect(await back.messages()).toEqual([])
  })
})

describe('app.revoke', () => {
  test('ends connected and offline sessions of one user, and drops queue and will', async () => {
    const net = await lab(app => {
      forAMinute(app)
        .use(router())
        .get('/state', () => 'state')
    })
    const other = await witness(net)
    const online = await net.client(lasting({ clientId: 'online' }))
    const delayed = { ...WILL, properties: { willDelayInterval: 20 } }
    const offline = await net.client(lasting({ clientId: 'offline', will: delayed }))
    await offline.subscribe('q', { qos: 1 })
    await offline.leave({ sessionExpiryInterval: 1000, reasonCode: 4 })
    const bob = await net.client(lasting({ clientId: 'bobs', username: 'bob' }))
    await other.put('q', 'queued')
    net.app.revoke('ann')
    await net.rest(100)
    expect(online.packets.find(({ cmd }) => cmd === 'disconnect')?.['reasonCode']).toBe(0x87)
    expect(bob.closed).toBe(false)
    await net.rest(40_000)
    expect((await other.messages()).filter(text => text.startsWith('gone'))).toEqual([])
    const back = await net.connect(lasting({ clientId: 'offline' }))
    expect(back.connack.sessionPresent).toBe(false)
    expect(await back.client.messages()).toEqual([])
  })

  test('forgets sessions in the store', async () => {
    const store = new HeldStore()
    const net = await lab(forAMinute, { store })
    await (await net.client(lasting({ will: undefined as never }))).leave({ sessionExpiryInterval: 1000 })
    net.app.revoke('ann')
    await net.rest(100)
    const next = await restarted(net, store, forAMinute)
    expect((await next.connect(lasting())).connack.sessionPresent).toBe(false)
  })

  test('ends what a CONNECT that began before it would begin', async () => {
    let answer: () => void = () => undefined
    const net = await lab(app =>
      forAMinute(app).use(async (context, next) => {
        if (context.method === 'CONNECT' && context.user) await new Promise<void>(resolve => (answer = resolve))
        return next()
      })
    )
    const begin = async (): Promise<TestClient> => {
      const client = await net.dial(5)
      client.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clean: false, keepalive: 0, clientId: 'c', username: 'ann' })
      await net.rest(100)
      return client
    }
    const client = await begin()
    net.app.revoke('ann')
    answer()
    await net.rest(100)
    expect(client.closed).toBe(true)
    const again = await begin()
    answer()
    expect((await again.next('connack'))['sessionPresent']).toBe(false)
    expect(again.closed).toBe(false)
  })
})

test('a check that passes asks again what the client may see', async () => {
  let allowed = true
  const net = await lab(app =>
    app.use((context, next) => {
      if (context.method === 'CONNECT' && context['mqtt.UserName']) context.user = { id: 'ann', valid: { check: () => true, every: 1000 } }
      if (context.method === 'GET' && !allowed) throw new IopaError(403, 'no', 'No.')
      return next()
    })
  )
  const client = await net.client(ann({ will: undefined as never }))
  await client.subscribe('a/+')
  const other = await net.client({ clientId: 'other' })
  await other.put('a/1', 'one')
  allowed = false
  await net.rest(3000)
  await other.put('a/1', 'two')
  expect(await client.messages()).toEqual(['a/1 one'])
})
