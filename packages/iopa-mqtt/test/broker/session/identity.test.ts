import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { App } from '@iopa/appbuilder'
import { afterEach, describe, expect, test } from 'vitest'
import type { Store, StoreRecord } from '../../../src/store.ts'
import { disk } from '../../../src/stores/disk.ts'
import { memoryStore } from '../../../src/stores/memory.ts'
import { HeldStore, restarted } from '../held-store.ts'
import { type ConnectForm, closeLabs, type Lab, lab } from '../lab.ts'

const cleaning: (() => unknown)[] = []

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
  for (const clean of cleaning.splice(0)) await clean()
})

/** The user name is the user's id; without one a client is anonymous. */
const withUsers = (app: App): App =>
  app.use((context, next) => {
    const name = context['mqtt.UserName']
    if (context.method === 'CONNECT' && name !== undefined) context.user = { id: name }
    return next()
  })

const as = (user: string | null, clientId = 'sensor', more: ConnectForm = {}): ConnectForm => ({
  clientId,
  clean: false,
  ...(user === null ? {} : { username: user }),
  properties: { sessionExpiryInterval: 1000 },
  ...more
})

/** Subscribes a client of a user, lets it go, and queues one message for it. */
const queueFor = async (net: Lab, user: string | null, clientId = 'sensor'): Promise<void> => {
  const client = await net.client(as(user, clientId))
  await client.subscribe('queue', { qos: 1 })
  await client.vanish()
  const publisher = await net.client({ clientId: 'publisher' })
  await publisher.put('queue', `for ${user ?? 'all'}`)
  await publisher.leave()
}

const folder = async (): Promise<string> => {
  const path = await mkdtemp(join(tmpdir(), 'iopa-mqtt-'))
  cleaning.push(() => rm(path, { recursive: true, force: true }))
  return path
}

/** What a broker leaves is on disk; while it runs it writes to memory, for the virtual clock does not wait for a disk. */
class DiskBetweenRuns implements Store {
  readonly #path: string
  #memory = memoryStore()
  #written: Promise<void> = Promise.resolve()

  constructor(path: string) {
    this.#path = path
  }

  async *load(): AsyncGenerator<StoreRecord> {
    await this.#written
    const store = disk(this.#path, { sync: false })
    const records: StoreRecord[] = []
    for await (const record of store.load()) records.push(record)
    await store.close()
    this.#memory = memoryStore()
    await this.#memory.write(records)
    yield* records
  }

  write(batch: readonly StoreRecord[]): Promise<void> {
    return this.#memory.write(batch)
  }

  close(): Promise<void> {
    return (this.#written = this.#written.then(() => this.#save()))
  }

  async #save(): Promise<void> {
    await rm(this.#path, { recursive: true, force: true })
    const store = disk(this.#path, { sync: false })
    const records: StoreRecord[] = []
    for await (const record of this.#memory.load()) records.push(record)
    await store.write(records)
    await store.close()
  }
}

describe('a session', () => {
  test.each([
    ['another user', 'ann', 'bob'],
    ['an anonymous client', 'ann', null],
    ['a user, where its owner is anonymous', null, 'bob'],
    ['a user with an empty id, where its owner is anonymous', null, '']
  ])('is not given to %s with the same client identifier', async (_who, owner, thief) => {
    const net = await lab(withUsers)
    await queueFor(net, owner)
    const { client, connack } = await net.connect(as(thief))
    expect(connack.sessionPresent).toBe(false)
    expect(await client.messages()).toEqual([])
    const publisher = await net.client()
    await publisher.put('queue', 'second')
    expect(await client.messages()).toEqual([])
    const back = await net.connect(as(owner))
    expect(back.connack.sessionPresent).toBe(true)
    expect(await back.client.messages()).toEqual([`queue for ${owner ?? 'all'}`, 'queue second'])
    expect(client.closed).toBe(false)
  })

  test('of another user is not ended by clean start', async () => {
    const net = await lab(withUsers)
    await queueFor(net, 'ann')
    await net.client(as('bob', 'sensor', { clean: true }))
    const { client, connack } = await net.connect(as('ann'))
    expect(connack.sessionPresent).toBe(true)
    expect(await client.messages()).toEqual(['queue for ann'])
  })

  test('keeps its will when another user connects with the same client identifier', async () => {
    const net = await lab(withUsers)
    const watcher = await net.client()
    await watcher.subscribe('wills')
    const will = { topic: 'wills', payload: Buffer.from('ann'), qos: 0 as const, retain: false, properties: { willDelayInterval: 5 } }
    const ann = await net.client(as('ann', 'sensor', { will }))
    await net.client(as('bob'))
    expect(ann.closed).toBe(false)
    await ann.vanish()
    await net.client(as('bob', 'sensor', { clean: true }))
    expect(await watcher.messages()).toEqual([])
    await net.rest(6000)
    expect(await watcher.messages()).toEqual(['wills ann'])
  })

  test('is taken over by its own user', async () => {
    const net = await lab(withUsers)
    const first = await net.client(as('ann'))
    await net.client(as('ann'))
    expect(await first.next('disconnect')).toMatchObject({ reasonCode: 0x8e })
  })

  test('counts for each user in $SYS', async () => {
    const net = await lab(withUsers, { statistics: 1 })
    await net.client(as('ann'))
    await net.client(as('bob'))
    const watcher = await net.client({ clientId: 'watcher' })
    await net.rest(2000)
    await watcher.subscribe('$SYS/broker/clients/total')
    expect(await watcher.messages()).toEqual(['$SYS/broker/clients/total 3'])
  })

  test('has its user in the log', async () => {
    const net = await lab(withUsers, { limits: { queueMessages: 1 } })
    await queueFor(net, 'ann')
    const publisher = await net.client()
    await publisher.put('queue', 'too much')
    await net.rest()
    expect(net.errors.flat().join()).toContain(`"sensor" of user "ann"`)
  })
})

describe.each([
  ['in memory', async () => memoryStore()],
  ['on disk', async () => new DiskBetweenRuns(await folder())]
])('a store %s', (_name, open: () => Promise<Store>) => {
  // Each name reads like the other's key where parts are joined without care.
  const users = [null, '', 'a', 'a/b', 'a\u0001', 'null', '"', 'undefined', '\\', 'sensor']

  test('keeps the sessions of users apart over a restart', async () => {
    const store = await open()
    const net = await lab(withUsers, { store })
    for (const user of users) {
      const client = await net.client(as(user))
      await client.subscribe(`queue/${users.indexOf(user)}`, { qos: 1 })
      await client.leave({ sessionExpiryInterval: 1000 })
    }
    const publisher = await net.client({ clientId: 'publisher' })
    for (const at of users.keys()) await publisher.put(`queue/${at}`, 'x')
    await net.close()
    const next = await lab(withUsers, { store })
    expect((await next.connect(as('stranger'))).connack.sessionPresent).toBe(false)
    for (const [at, user] of users.entries()) {
      const { client, connack } = await next.connect(as(user))
      expect(connack.sessionPresent).toBe(true)
      expect(await client.messages()).toEqual([`queue/${at} x`])
    }
  })

  test('that was written before sessions had users is taken over once', async () => {
    const store = await open()
    for await (const _ of store.load()) expect.unreachable()
    const subscription = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0, identifier: 0 }
    const message = { topic: 'queue', payload: Buffer.from('old'), qos: 1, properties: Buffer.alloc(0), expiresAt: 0 }
    const delivery = { message, qos: 1, retain: false, subscriptionIdentifiers: [], packetId: 0, released: false }
    const before = (clientId: string, user: unknown): StoreRecord[] => [
      { kind: 'session', clientId, value: { protocolVersion: 5, expiryInterval: 0xffff_ffff, expiresAt: null, will: null, user } },
      { kind: 'subscription', clientId, filter: 'queue', value: subscription },
      { kind: 'message', clientId, sequence: 3, value: delivery },
      { kind: 'received', clientId, packetId: 4, value: { reasonCode: 0 } }
    ]
    await store.write([...before('sensor', { id: 'ann' }), ...before('lamp', null)])
    await store.close()
    const first = await lab(withUsers, { store })
    await first.close()
    const net = await lab(withUsers, { store })
    expect((await net.connect(as('bob'))).connack.sessionPresent).toBe(false)
    expect((await net.connect(as(null))).connack.sessionPresent).toBe(false)
    expect((await net.connect(as('ann', 'lamp'))).connack.sessionPresent).toBe(false)
    for (const form of [as('ann'), as(null, 'lamp')]) {
      const { client, connack } = await net.connect(form)
      expect(connack.sessionPresent).toBe(true)
      expect(await client.messages()).toEqual(['queue old'])
      client.publish('other', '', { qos: 2, messageId: 4 })
      await client.next('pubrec')
    }
    await net.close()
    const left: StoreRecord[] = []
    for await (const record of store.load()) left.push(record)
    await store.close()
    expect(left.filter(record => record.kind !== 'retained' && ['sensor', 'lamp'].includes(record.clientId))).toEqual([])
  })
})

describe('a user that is not plain JSON', () => {
  test('is still the owner of its session after a restart', async () => {
    const store = new HeldStore()
    const build = (app: App): void =>
      void app.use((context, next) => {
        const name = context['mqtt.UserName']
        if (context.method === 'CONNECT' && name !== undefined) context.user = { id: name, serial: 1n }
        return next()
      })
    const net = await lab(build, { store })
    await queueFor(net, 'ann')
    const next = await restarted(net, store, build)
    const { client, connack } = await next.connect(as(null))
    expect(connack.sessionPresent).toBe(false)
    expect(await client.messages()).toEqual([])
    expect((await next.connect(as('ann'))).connack.sessionPresent).toBe(true)
  })
})

describe("clientIds: 'exclusive'", () => {
  test.each([
    [5, 0x87],
    [4, 5],
    [3, 5]
  ] as const)('refuses a client of MQTT %s with the identifier of a connected client of another user', async (version, code) => {
    const net = await lab(withUsers, { clientIds: 'exclusive' })
    const ann = await net.client(as('ann'))
    const { client, connack } = await net.connect(as('bob', 'sensor', { version, ...(version === 5 ? {} : { properties: {} }) }))
    expect(version === 5 ? connack.reasonCode : connack.returnCode).toBe(code)
    await net.rest()
    expect([ann.closed, client.closed]).toEqual([false, true])
    expect((await net.connect(as('ann'))).connack.sessionPresent).toBe(true)
    expect((await net.connect(as('bob', 'sensor'))).connack.reasonCode).toBe(0x87)
  })

  test('lets another user have a session of its own while the first is away, and then refuses the first', async () => {
    const net = await lab(withUsers, { clientIds: 'exclusive' })
    await queueFor(net, 'ann')
    const { client: bob, connack } = await net.connect(as('bob'))
    expect(connack).toMatchObject({ reasonCode: 0, sessionPresent: false })
    expect((await net.connect(as('ann'))).connack.reasonCode).toBe(0x87)
    await bob.leave()
    const { client, connack: again } = await net.connect(as('ann'))
    expect(again.sessionPresent).toBe(true)
    expect(await client.messages()).toEqual(['queue for ann'])
  })
})

describe('re-authentication', () => {
  /** The authentication data is the user's id; empty data is no user. */
  const withMethod = (app: App): App =>
    app.use((context, next) => {
      if (context.method === 'CONNECT' && context['mqtt.AuthenticationMethod'] === 'NAME') {
        const id = Buffer.from(context['mqtt.AuthenticationData'] ?? []).toString()
        context['server.User'] = id === '' ? undefined : { id, at: Math.random() }
      }
      return next()
    })
  const form = (id: string): ConnectForm => ({
    clientId: 'sensor',
    clean: false,
    properties: { sessionExpiryInterval: 1000, authenticationMethod: 'NAME', authenticationData: Buffer.from(id) },
    will: { topic: 'wills', payload: Buffer.from('gone'), qos: 0, retain: false }
  })

  test.each(['bob', ''])('that yields another user (%j) ends the connection with 0x87', async id => {
    const seen: unknown[] = []
    const net = await lab(app =>
      withMethod(app).use((context, next) => {
        if (context.path === '/wills' && context.method === 'PUT') seen.push(context.user?.id)
        return next()
      })
    )
    const { client } = await net.connect(form('ann'))
    await client.subscribe('queue', { qos: 1 })
    client.send({ cmd: 'auth', reasonCode: 0x19, properties: { authenticationMethod: 'NAME', authenticationData: Buffer.from(id) } } as never)
    expect(await client.next('disconnect')).toMatchObject({ reasonCode: 0x87 })
    await net.rest()
    expect(seen).toEqual(['ann'])
    expect((await net.connect(form(id))).connack.sessionPresent).toBe(false)
    expect((await net.connect(form('ann'))).connack.sessionPresent).toBe(true)
  })

  test('that yields the same user keeps the connection', async () => {
    const net = await lab(withMethod)
    const { client } = await net.connect(form('ann'))
    client.send({ cmd: 'auth', reasonCode: 0x19, properties: { authenticationMethod: 'NAME', authenticationData: Buffer.from('ann') } } as never)
    expect(await client.next('auth')).toMatchObject({ reasonCode: 0 })
    expect(client.closed).toBe(false)
  })
})
