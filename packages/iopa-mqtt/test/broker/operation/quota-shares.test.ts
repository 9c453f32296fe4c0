import type { App } from '@iopa/appbuilder'
import { afterEach, describe, expect, test } from 'vitest'
import { Quota } from '../../../src/broker/operation/quota.ts'
import { accountOf } from '../../../src/broker/session/identity.ts'
import type { StoreRecord } from '../../../src/store.ts'
import { HeldStore, restarted } from '../held-store.ts'
import { type ConnectForm, closeLabs, type Lab, lab, type TestClient } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

/** The user name is the user's id; without one a client is anonymous. */
const withUsers = (app: App): App =>
  app.use((context, next) => {
    const name = context['mqtt.UserName']
    if (context.method === 'CONNECT' && name !== undefined) context.user = { id: name }
    return next()
  })

const as = (user: string | null, clientId: string, more: ConnectForm = {}): ConnectForm => ({
  clientId,
  clean: false,
  ...(user === null ? {} : { username: user }),
  properties: { sessionExpiryInterval: 1000 },
  ...more
})

/** Sessions of a user whose clients are away. */
const idle = async (net: Lab, user: string | null, count: number, from = 0, more: ConnectForm = {}): Promise<void> => {
  for (let index = from; index < from + count; index++) await (await net.client(as(user, `${user}-${index}`, more))).vanish()
}

const present = async (net: Lab, form: ConnectForm): Promise<boolean> => {
  const { client, connack } = await net.connect(form)
  await client.vanish()
  return connack.sessionPresent
}

const stored = async (store: HeldStore): Promise<{ address?: string }[]> => {
  const sessions: { address?: string }[] = []
  for await (const record of store.load()) if (record.kind === 'session' && record.value) sessions.push(record.value as { address?: string })
  return sessions
}

describe('a quota', () => {
  test('binds an account above half, and always leaves room for others', () => {
    const quota = new Quota(1000)
    const fill = (account: string): number => {
      let taken = 0
      while (quota.allows(account, 1)) {
        quota.add(account, 1)
        taken++
      }
      return taken
    }
    expect(fill('mallory')).toBeGreaterThan(500)
    expect(fill('ann')).toBeGreaterThan(50)
    expect(fill('bob')).toBeGreaterThan(5)
    expect(quota.used).toBeLessThanOrEqual(1000)
  })

  test('counts back to nothing', () => {
    const quota = new Quota(10)
    quota.add('a', 3)
    quota.add('a', -3)
    expect([quota.used, quota.accounts, quota.held('a')]).toEqual([0, 0, 0])
  })

  test('counts an anonymous client by its network, and any other by its user', () => {
    expect(accountOf('', '2001:db8:1:2:3:4:5:6')).toBe('@2001:db8:1:2::/64')
    expect(accountOf('"ann"', '2001:db8:1:2:3:4:5:6')).toBe('"ann"')
  })
})

describe('the number of sessions', () => {
  test('is not used up by one user: the oldest idle ones of that user end first', async () => {
    const net = await lab(withUsers, { maxSessions: 10 })
    await idle(net, 'mallory', 30)
    for (const user of ['ann', 'bob', 'cid']) {
      const { connack } = await net.connect(as(user, 'lamp'))
      expect(connack.reasonCode).toBe(0)
    }
    expect(await present(net, as('mallory', 'mallory-29'))).toBe(true)
    expect(await present(net, as('ann', 'lamp'))).toBe(true)
    expect(net.errors.flat().join()).toMatch(/an idle session ends to make room for other users: "mallory-0" of user "mallory"/)
  })

  test('never ends a connected session', async () => {
    const net = await lab(withUsers, { maxSessions: 4 })
    const connected: TestClient[] = []
    for (let index = 0; index < 4; index++) connected.push(await net.client(as('mallory', String(index))))
    expect((await net.connect(as('ann', 'lamp'))).connack.reasonCode).toBe(0x88)
    expect(connected.map(({ closed }) => closed)).toEqual([false, false, false, false])
    await connected[2]?.vanish()
    expect((await net.connect(as('ann', 'lamp'))).connack.reasonCode).toBe(0)
    await net.rest()
    expect(connected.map(({ closed }) => closed)).toEqual([false, false, true, false])
  })

  test('does not end the sessions of a user for one who has as many', async () => {
    const net = await lab(withUsers, { maxSessions: 4 })
    await idle(net, 'ann', 2)
    await idle(net, 'bob', 2)
    await idle(net, 'bob', 1, 2)
    for (const index of [0, 1]) expect(await present(net, as('ann', `ann-${index}`))).toBe(true)
  })

  test('counts anonymous clients by address', async () => {
    const net = await lab(withUsers, { maxSessions: 10, host: '10.0.0.1', allowUnauthenticated: true })
    for (const index of [1, 2]) await idle(net, `ann-${index}`, 1)
    await idle(net, null, 12, 0, { from: '192.0.2.66' })
    await net.client(as(null, 'lamp', { from: '192.0.2.1' }))
    await idle(net, null, 12, 12, { from: '192.0.2.66' })
    for (const index of [1, 2]) expect(await present(net, as(`ann-${index}`, `ann-${index}-0`))).toBe(true)
    expect(await present(net, as(null, 'lamp', { from: '192.0.2.1' }))).toBe(true)
  })

  test('counts in $SYS what ended for it', async () => {
    const net = await lab(withUsers, { maxSessions: 3, statistics: 1 })
    const watcher = await net.client({ clientId: 'watcher', username: 'root' })
    await idle(net, 'mallory', 3)
    await net.rest(2000)
    await watcher.subscribe('$SYS/broker/clients/evicted')
    expect(await watcher.messages()).toEqual(['$SYS/broker/clients/evicted 1'])
  })

  test('counts over a restart, anonymous clients too', async () => {
    const store = new HeldStore()
    const net = await lab(withUsers, { store, maxSessions: 10, host: '10.0.0.1', allowUnauthenticated: true })
    await idle(net, null, 9, 0, { from: '192.0.2.66' })
    const next = await restarted(net, store, withUsers)
    expect([...new Set((await stored(next.store)).map(({ address }) => address))]).toEqual(['192.0.2.66'])
  })
})

describe('the number of subscriptions', () => {
  test('is not used up by one user, connected or not', async () => {
    const net = await lab(withUsers, { maxSubscriptions: 100 })
    for (let session = 0; session < 2; session++) {
      const mallory = await net.client(as('mallory', `m-${session}`))
      const filters = Array.from({ length: 60 }, (_, index) => `m/${session}/${index}`)
      for (const filter of filters) await mallory.subscribe(filter)
    }
    for (const user of ['ann', 'bob', 'cid']) expect(await (await net.client(as(user, 'lamp'))).subscribe('lamp')).toEqual([0])
  })

  test('ends idle sessions of the user that holds most', async () => {
    const net = await lab(withUsers, { maxSubscriptions: 8 })
    for (let index = 0; index < 8; index++) {
      const client = await net.client(as('mallory', `m-${index}`))
      await client.subscribe('x')
      await client.vanish()
    }
    expect(await (await net.client(as('ann', 'lamp'))).subscribe(['a', 'b', 'c'])).toEqual([0, 0, 0])
    expect(await present(net, as('mallory', 'm-0'))).toBe(false)
    expect(await present(net, as('mallory', 'm-7'))).toBe(true)
  })

  test('is given back by UNSUBSCRIBE and at the end of a session', async () => {
    const net = await lab(withUsers, { maxSubscriptions: 2 })
    for (let turns = 0; turns < 5; turns++) {
      const client = await net.client({ clientId: 'c', username: 'ann' })
      expect(await client.subscribe(['a', 'b'])).toEqual([0, 0])
      client.send({ cmd: 'unsubscribe', messageId: 1, unsubscriptions: ['a'] })
      await client.next('unsuback')
      expect(await client.subscribe(['b', 'c'])).toEqual([0, 0])
      await client.leave()
    }
  })
})

describe('retained messages', () => {
  test.each([
    ['their number', { maxRetained: 90 }],
    ['their bytes', { maxRetainedBytes: 90 * 300 }]
  ])('are not used up by one user: %s', async (_what, options) => {
    const net = await lab(withUsers, options)
    const mallory = await net.client(as('mallory', 'm'))
    const codes = new Set<unknown>()
    for (let index = 0; index < 100; index++) codes.add((await mallory.put(`m/${index}`, 'x'.repeat(230), { retain: true }))['reasonCode'])
    expect([...codes]).toContain(0x97)
    for (const user of ['ann', 'bob']) {
      const client = await net.client(as(user, 'lamp'))
      expect(await client.put(`lamp/${user}`, 'x'.repeat(230), { retain: true })).toMatchObject({ reasonCode: 0x10 })
    }
    // What is given back may be used again.
    expect(await mallory.put('m/0', '', { retain: true })).toMatchObject({ reasonCode: 0x10 })
  })

  test('are counted for the same users after a restart', async () => {
    const store = new HeldStore()
    const net = await lab(withUsers, { store })
    const ann = await net.client(as('ann', 'lamp'))
    await ann.put('lamp', 'x', { retain: true })
    await net.transport.publish('app', 'x', { retain: true })
    const next = await restarted(net, store)
    const accounts = new Map<string, string | undefined>()
    for await (const record of next.store.load()) if (record.kind === 'retained') accounts.set(record.topic, record.value?.account)
    expect(accounts).toEqual(
      new Map([
        ['lamp', '"ann"'],
        ['app', '']
      ])
    )
  })
})

describe('restored messages and sessions', () => {
  const counts = async (net: Lab): Promise<number[]> => {
    await net.rest()
    const root = await net.client(as('root', 'root'))
    await root.subscribe('#')
    const retained = (await root.messages()).length
    const { client } = await net.connect(as('zoe', 'queue'))
    const { client: few } = await net.connect(as('yan', 'few'))
    return [retained, (await client.messages()).length + (await few.messages()).length]
  }

  test('is all there, in whatever order it is loaded', async () => {
    const store = new HeldStore()
    const options = { store, maxRetained: 90, maxQueuedBytes: 20_000 }
    const net = await lab(withUsers, options)
    const zoe = await net.client(as('zoe', 'queue'))
    await zoe.subscribe('q/#', { qos: 1 })
    await zoe.vanish()
    const mallory = await net.client(as('mallory', 'm'))
    for (let index = 0; index < 90; index++) await mallory.put(`m/${index}`, 'x', { retain: true })
    for (let index = 0; index < 80; index++) await mallory.put('q/1', 'x'.repeat(130))
    const yan = await net.client(as('yan', 'few'))
    await yan.subscribe('few', { qos: 1 })
    await yan.vanish()
    for (let index = 0; index < 10; index++) await mallory.put('few', 'x'.repeat(130))
    await mallory.leave({ sessionExpiryInterval: 0 })
    const ann = await net.client(as('ann', 'a'))
    for (let index = 0; index < 5; index++) await ann.put(`a/${index}`, 'x', { retain: true })
    const records: StoreRecord[] = []
    for await (const record of store.load()) records.push(record)
    const retained = records.filter(({ kind }) => kind === 'retained').length
    const queued = records.filter(({ kind }) => kind === 'message').length
    expect(retained).toBeGreaterThan(80)
    expect(queued).toBe(90)
    store.dead = true
    for (const order of [records, records.toReversed()]) {
      const sorted = [...order.filter(({ kind }) => kind !== 'message'), ...records.filter(({ kind }) => kind === 'message')]
      const next = new HeldStore()
      await next.inner.write(sorted)
      expect(await counts(await lab(withUsers, { ...options, store: next }))).toEqual([retained, queued])
    }
  })
})

describe('the bytes of all queues', () => {
  test('are not used up by one user, whose sessions do not make a publisher be refused', async () => {
    const net = await lab(withUsers, { maxQueuedBytes: 100_000 })
    const ann = await net.client(as('ann', 'lamp'))
    await ann.subscribe('lamp', { qos: 1 })
    await ann.vanish()
    for (let index = 0; index < 40; index++) {
      const mallory = await net.client(as('mallory', `m-${index}`))
      await mallory.subscribe('#', { qos: 1 })
      await mallory.vanish()
    }
    const publisher = await net.client(as('bob', 'publisher'))
    for (let index = 0; index < 20; index++) {
      const { reasonCode } = await publisher.put('lamp', `${index} `.padEnd(400, '.'))
      expect(reasonCode).toBe(0)
    }
    const { client, connack } = await net.connect(as('ann', 'lamp'))
    expect(connack.sessionPresent).toBe(true)
    expect((await client.messages()).length).toBe(20)
  })

  test('leave room for a user who comes after another has filled them', async () => {
    const net = await lab(withUsers, { maxQueuedBytes: 100_000 })
    for (let index = 0; index < 40; index++) {
      const mallory = await net.client(as('mallory', `m-${index}`))
      await mallory.subscribe('m', { qos: 1 })
      await mallory.vanish()
    }
    const filler = await net.client(as('mallory', 'filler'))
    for (let index = 0; index < 20; index++) await filler.put('m', 'x'.repeat(400))
    const ann = await net.client(as('ann', 'lamp'))
    await ann.subscribe('lamp', { qos: 1 })
    await ann.vanish()
    const publisher = await net.client(as('bob', 'publisher'))
    for (let index = 0; index < 10; index++) expect((await publisher.put('lamp', 'x'.repeat(400)))['reasonCode']).toBe(0)
    expect((await (await net.client(as('ann', 'lamp'))).messages()).length).toBe(10)
  })

  test('are freed by the oldest idle session of a user at the share, for a message that has no room', async () => {
    const net = await lab(withUsers, { maxQueuedBytes: 20_000 })
    for (let index = 0; index < 3; index++) {
      const mallory = await net.client(as('mallory', `m-${index}`))
      await mallory.subscribe(`m/${index}`, { qos: 1 })
      await mallory.vanish()
    }
    const ann = await net.client(as('ann', 'lamp'))
    await ann.subscribe('lamp', { qos: 1 })
    await ann.vanish()
    const publisher = await net.client(as('bob', 'publisher'))
    for (let index = 0; index < 17; index++) expect((await publisher.put(`m/${index % 3}`, 'x'.repeat(1000)))['reasonCode']).toBe(0)
    const large = 'x'.repeat(4000)
    expect((await publisher.put('lamp', large))['reasonCode']).toBe(0x97)
    await net.rest()
    expect((await publisher.put('lamp', large))['reasonCode']).toBe(0)
    expect(await (await net.client(as('ann', 'lamp'))).messages()).toEqual([`lamp ${large}`])
    for (const index of [0, 1, 2]) expect(await present(net, as('mallory', `m-${index}`))).toBe(index > 0)
  })
})
