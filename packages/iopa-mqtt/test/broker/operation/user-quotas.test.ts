import type { App } from '@iopa/appbuilder'
import { afterEach, describe, expect, test } from 'vitest'
import { UserQuotas } from '../../../src/broker/operation/user-quotas.ts'
import { accountOf, userKeyOf } from '../../../src/broker/session/identity.ts'
import { mqtt } from '../../../src/mqtt.ts'
import type { QuotaOption } from '../../../src/options.ts'
import { type ConnectForm, closeLabs, type Lab, lab } from '../lab.ts'

afterEach(async () => {
  expect(await closeLabs()).toBe(0)
})

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

const limited = (quota: QuotaOption): Promise<Lab> => lab(withUsers, { quota, host: '10.0.0.1', allowUnauthenticated: true })

const odd = (value: unknown): QuotaOption => value as QuotaOption

describe('the quota of one user', () => {
  test('bounds sessions, and binds no other user', async () => {
    const net = await limited({ ann: { sessions: 2 } })
    expect((await net.connect(as('ann', '1'))).connack.reasonCode).toBe(0)
    expect((await net.connect(as('ann', '2'))).connack.reasonCode).toBe(0)
    expect((await net.connect(as('ann', '3'))).connack.reasonCode).toBe(0x88)
    for (const id of ['1', '2', '3']) expect((await net.connect(as('bob', id))).connack.reasonCode).toBe(0)
  })

  test('bounds subscriptions over all sessions', async () => {
    const net = await limited({ ann: { subscriptions: 3 } })
    const first = await net.client(as('ann', '1'))
    expect(await first.subscribe(['a/#', 'b/#'])).toEqual([0, 0])
    const second = await net.client(as('ann', '2'))
    expect(await second.subscribe(['a/#', 'b/#'])).toEqual([0, 0x97])
    expect(await (await net.client(as('bob', '1'))).subscribe(['a/#', 'b/#', 'c/#', 'd/#'])).toEqual([0, 0, 0, 0])
  })

  test('bounds retained messages and their bytes', async () => {
    const net = await limited({ ann: { retained: 2 }, bob: { retainedBytes: 4000 } })
    const ann = await net.client(as('ann', '1'))
    const code = async (topic: string, payload: string): Promise<unknown> => (await ann.put(topic, payload, { retain: true }))['reasonCode']
    expect([await code('a', 'x'), await code('b', 'x'), await code('c', 'x'), await code('a', 'y')]).toEqual([0x10, 0x10, 0x97, 0x10])
    const bob = await net.client(as('bob', '1'))
    expect((await bob.put('d', 'x'.repeat(5000), { retain: true }))['reasonCode']).toBe(0x97)
    expect((await bob.put('d', 'x'.repeat(3000), { retain: true }))['reasonCode']).toBe(0x10)
  })

  test('bounds what waits in queues, at the cost of that user alone', async () => {
    const net = await limited({ ann: { queuedBytes: 5000 } })
    for (const user of ['ann', 'bob']) {
      const client = await net.client(as(user, 'away'))
      await client.subscribe('q', { qos: 1 })
      await client.vanish()
    }
    const publisher = await net.client(as('carl', 'p'))
    for (let index = 0; index < 20; index++) expect((await publisher.put('q', 'x'.repeat(1000)))['reasonCode']).toBe(0)
    await net.rest()
    expect((await net.connect(as('ann', 'away'))).connack.sessionPresent).toBe(false)
    const { client, connack } = await net.connect(as('bob', 'away'))
    expect(connack.sessionPresent).toBe(true)
    expect(await client.messages()).toHaveLength(20)
  })

  test('may be a function, which is asked again, and gets the network of clients without a user', async () => {
    let most = 1
    const asked = new Set<string>()
    const net = await limited((user, network) => {
      asked.add(`${user} ${network}`)
      return user === null && network === '192.0.2.66' ? { sessions: most } : undefined
    })
    expect((await net.connect(as(null, '1', { from: '192.0.2.66' }))).connack.reasonCode).toBe(0)
    expect((await net.connect(as(null, '2', { from: '192.0.2.66' }))).connack.reasonCode).toBe(0x88)
    expect((await net.connect(as(null, '3', { from: '192.0.2.67' }))).connack.reasonCode).toBe(0)
    await net.client(as('ann', '1'))
    expect([...asked]).toEqual(['null 192.0.2.66', 'null 192.0.2.67', 'ann '])
    most = 2
    await net.rest(11_000)
    expect((await net.connect(as(null, '2', { from: '192.0.2.66' }))).connack.reasonCode).toBe(0)
  })

  test('is logged, and leaves the user his share, where the function fails', async () => {
    const net = await limited(() => {
      throw new Error('no such account')
    })
    expect((await net.connect(as('ann', '1'))).connack.reasonCode).toBe(0)
    expect(net.errors.flat().join()).toContain('quota')
  })

  test('counts IPv6 by the first 64 bits', () => {
    const quotas = new UserQuotas(
      (_user, network) => (network === '2001:db8:0:1::/64' ? { sessions: 1 } : undefined),
      () => undefined
    )
    const limitOf = (address: string): number => quotas.limit(accountOf(userKeyOf(undefined), address), 'sessions')
    expect(['2001:db8:0:1::5', '2001:db8:0:1:ffff::9', '2001:db8:0:2::5'].map(limitOf)).toEqual([1, 1, Number.POSITIVE_INFINITY])
  })

  test('is checked when it is given', () => {
    const failed: unknown[] = []
    expect(() => new UserQuotas({ ann: { session: 1 } as never }, error => failed.push(error))).toThrow(/'session'/)
    expect(() => new UserQuotas({ ann: { sessions: -1 } }, error => failed.push(error))).toThrow(/sessions/)
    expect(() => mqtt({ quota: { ann: { sessions: 1 } } })).not.toThrow()
    expect(failed).toEqual([])
  })
})

describe('the option quota', () => {
  test.each([
    ['a number', 5],
    ['a text', 'ann'],
    ['a list', [{ sessions: 1 }]],
    ['a Map', new Map([['ann', { sessions: 1 }]])],
    ['a user without limits', { ann: null }],
    ['a number for a user', { ann: 5 }],
    ['a list for a user', { ann: [] }],
    ['a promise for a user', { ann: Promise.resolve({ sessions: 1 }) }]
  ])('is refused when it is %s', (_, value) => {
    expect(() => new UserQuotas(odd(value), () => undefined)).toThrow(expect.objectContaining({ code: 'bad-option' }))
  })

  test.each([
    ['a promise', () => Promise.resolve({ sessions: 1 })],
    ['a Map', () => new Map([['sessions', 1]])],
    ['a list', () => []],
    ['a number', () => 5],
    ['a promise that rejects', () => Promise.reject(new Error('down'))]
  ])('is reported when its function gives %s', (_, of) => {
    const failures: unknown[] = []
    const quotas = new UserQuotas(odd(of), error => failures.push(error))
    expect(quotas.limit('"ann"', 'sessions')).toBe(Number.POSITIVE_INFINITY)
    expect(failures).toEqual([expect.objectContaining({ code: 'bad-option' })])
  })

  test('keeps what its function has said while the function fails', () => {
    let down = false
    const quotas = new UserQuotas(
      () => {
        if (down) throw new Error('down')
        return { sessions: 2 }
      },
      () => undefined
    )
    expect(quotas.limit('"ann"', 'sessions')).toBe(2)
    down = true
    for (let times = 0; times < 3; times++) {
      quotas.forget()
      expect(quotas.limit('"ann"', 'sessions')).toBe(2)
    }
    expect(quotas.limit('"bob"', 'sessions')).toBe(Number.POSITIVE_INFINITY)
  })
})

test('a quota function that fails for many users writes a bounded log', async () => {
  const quota = (): never => {
    throw new Error('down')
  }
  const net = await lab(withUsers, { quota })
  for (let index = 0; index < 100; index++) await net.client(as(`user${index}`, 'c'))
  expect(net.errors.filter(data => String(data).includes('quota'))).toHaveLength(1)
})
