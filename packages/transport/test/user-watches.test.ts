import { App } from '@iopa/appbuilder'
import type { Validity } from '@iopa/constants'
import type { SealedAnswer } from '@iopa/context'
import { virtualClock } from '@iopa/testing'
import { type Host, usersOf } from '@iopa/transport'
import { afterEach, describe, expect, test } from 'vitest'

let app: App
let clock = virtualClock({ start: 1_700_000_000_000 })
let logged: string[] = []
afterEach(async () => {
  const closing = app.close({ timeout: 0 })
  await clock.runUntil(closing)
  expect(app.live).toBe(0)
})

const served = (body: () => unknown = () => 'state'): Host => {
  clock = virtualClock({ start: 1_700_000_000_000 })
  logged = []
  const note = (...data: unknown[]): unknown => logged.push(data.join(' '))
  app = new App({ clock, logger: { error: note, warn: note, info: note, debug: () => undefined } }).use(body)
  const host = app.host()
  usersOf(host)
  return host
}

interface Watching {
  readonly told: number[]
  release(): void
}

/** An observer of a user; `slow` holds each delivery until it is released. */
const observe = async (host: Host, id: string, valid?: Validity, slow = false, accept = ''): Promise<Watching> => {
  const source = { headers: () => (accept === '' ? [] : ['accept', accept]) }
  const endpoint = {
    scheme: 'x',
    protocol: 'x',
    remoteAddress: '',
    remotePort: 0,
    localAddress: '',
    localPort: 0,
    tls: false,
    sessionId: '',
    rawTransport: null,
    bodyLimit: 1e6
  }
  const context = host.create({ method: 'GET', path: '/x', query: '', rawPath: '/x', endpoint, source })
  context['server.User'] = valid === undefined ? { id } : { id, valid }
  const told: number[] = []
  let release: () => void = () => undefined
  const deliver = (answer: SealedAnswer): Promise<void> | void => {
    told.push(answer.status)
    if (!answer.ok) void context.end()
    if (slow) return new Promise(resolve => (release = resolve))
  }
  const begun = host.observe(context, deliver, { passes: ({ type }) => type === 'text/event-stream' })
  if (!slow) await begun
  else await clock.settle()
  return { told, release: () => release() }
}

describe('a watched user', () => {
  test.each([3_600_000, -3_600_000])('is checked by elapsed time when the wall clock jumps by %i ms', async jump => {
    let checks = 0
    const check = (): boolean => ++checks > 0
    const host = served()
    const { now } = clock
    await observe(host, 'ann', { check, every: 10_000 })
    clock.now = () => now() + jump
    try {
      await observe(host, 'ann', { check, every: 10_000 })
      await clock.advance(8000)
      expect(checks).toBe(0)
      await clock.advance(4000)
      expect(checks).toBe(1)
    } finally {
      clock.now = now
    }
  })

  test('has one check for all observers, at the interval with jitter', async () => {
    const host = served()
    let checks = 0
    const valid = { check: () => ++checks > 0, every: 10_000 }
    for (let index = 0; index < 50; index++) await observe(host, 'ann', valid)
    await clock.advance(100_000)
    expect(checks).toBeGreaterThanOrEqual(9)
    expect(checks).toBeLessThanOrEqual(11)
  })

  test('ends observers with different expiry at their own times', async () => {
    const host = served()
    const now = clock.now()
    const first = await observe(host, 'ann', { until: now + 1000 })
    const second = await observe(host, 'ann', { until: now + 5000 })
    const other = await observe(host, 'bob')
    await clock.advance(1100)
    expect([first.told, second.told, other.told]).toEqual([[200, 401], [200], [200]])
    await clock.advance(4000)
    expect([second.told, other.told]).toEqual([[200, 401], [200]])
  })

  test('ends at once if its time was over before it began to observe', async () => {
    const host = served()
    const one = await observe(host, 'ann', { until: 1 })
    await clock.advance(1)
    expect(one.told).toEqual([200, 401])
  })

  test.each([
    [
      'throws',
      () => {
        throw new Error('down')
      }
    ],
    ['rejects', () => Promise.reject(new Error('down'))],
    ['does not settle', () => new Promise<boolean>(() => undefined)]
  ] as const)('ends at the third failure in a row of a check that %s', async (_name, check) => {
    const host = served()
    const one = await observe(host, 'ann', { check, every: 10_000 })
    await clock.advance(25_000)
    expect(one.told).toEqual([200])
    await clock.advance(200_000)
    expect(one.told).toEqual([200, 401])
    expect(logged.filter(line => line.includes('the check of a user failed'))).toHaveLength(3)
  })

  test.each([undefined, null, 0, 'yes', {}])('ends at the third answer of a check that is %s, neither true nor false', async answer => {
    const host = served()
    const one = await observe(host, 'ann', { check: () => answer as boolean, every: 10_000 })
    await clock.advance(25_000)
    expect(one.told).toEqual([200])
    await clock.advance(200_000)
    expect(one.told).toEqual([200, 401])
  })

  test.each([0, -5, Number.NaN, 'soon'])('is checked once a minute if every is %s', async every => {
    const host = served()
    let checks = 0
    await observe(host, 'ann', { check: () => ++checks > 0, every: every as number })
    await clock.advance(300_000)
    expect(checks).toBeGreaterThanOrEqual(4)
    expect(checks).toBeLessThanOrEqual(6)
  })

  test('can be revoked if its valid is null', async () => {
    const host = served()
    const one = await observe(host, 'ann', null as unknown as Validity)
    app.revoke('ann')
    await clock.settle()
    expect(one.told).toEqual([200, 401])
  })

  test('is checked at the interval when the wall clock is set back', async () => {
    const host = served()
    let checks = 0
    await observe(host, 'ann', { check: () => ++checks > 0, every: 10_000 })
    clock.shift(-3_600_000)
    await clock.advance(100_000)
    expect(checks).toBeGreaterThanOrEqual(8)
  })

  test('writes a bounded log when its check fails for many users', async () => {
    const host = served()
    const check = (): boolean => {
      throw new Error('down')
    }
    for (let index = 0; index < 300; index++) await observe(host, `user${index}`, { check, every: 100 })
    await clock.advance(900)
    expect(logged.filter(line => line.includes('the check of a user failed')).length).toBeLessThanOrEqual(60)
  })

  test('is not checked after its last observer has ended', async () => {
    const host = served()
    let checks = 0
    await observe(host, 'ann', { check: () => ++checks > 0, every: 10_000, until: clock.now() + 10_500 })
    await clock.advance(10_600)
    const before = checks
    await clock.advance(100_000)
    expect(checks).toBe(before)
  })

  test('stays valid when a check fails occasionally', async () => {
    const host = served()
    let checks = 0
    const check = (): boolean => {
      if (++checks % 3 !== 0) throw new Error('down')
      return true
    }
    const one = await observe(host, 'ann', { check, every: 1000 })
    await clock.advance(60_000)
    expect(one.told).toEqual([200])
  })

  test('gets 401 as the last answer, instead of newer states, if it reads slowly', async () => {
    const host = served()
    const slow = await observe(host, 'ann', undefined, true)
    slow.release()
    await clock.settle()
    app.notify('/x')
    await clock.settle()
    app.notify('/x')
    await clock.settle()
    app.revoke('ann')
    app.notify('/x')
    await clock.settle()
    expect(slow.told).toEqual([200, 200])
    slow.release()
    await clock.settle()
    expect(slow.told).toEqual([200, 200, 401])
    slow.release()
    await clock.settle()
  })

  test('has its event stream of a handler cut off', async () => {
    const host = served(() => new Response(new ReadableStream(), { headers: { 'content-type': 'text/event-stream' } }))
    const before = app.live
    await observe(host, 'ann', { until: clock.now() + 1000 }, false, 'text/event-stream')
    expect(app.live).toBe(before + 1)
    await clock.advance(1100)
    expect(app.live).toBe(before)
  })

  test('may observe again with a later request after it was revoked', async () => {
    const host = served()
    const one = await observe(host, 'ann')
    app.revoke('ann')
    await clock.settle()
    const two = await observe(host, 'ann')
    await clock.advance(100_000)
    expect([one.told, two.told]).toEqual([[200, 401], [200]])
  })
})

describe('the logins of a user', () => {
  test('are checked and end each by itself, and all at once when the user is revoked', async () => {
    const host = served()
    const alive = new Set(['phone', 'laptop', 'desk'])
    const login = (name: string): Validity => ({ login: name, check: () => alive.has(name), every: 1000 })
    const phone = await observe(host, 'ann', login('phone'))
    const laptop = await observe(host, 'ann', login('laptop'))
    const desk = await observe(host, 'ann', login('desk'))
    alive.delete('laptop')
    await clock.advance(3000)
    expect([phone.told, laptop.told, desk.told]).toEqual([[200], [200, 401], [200]])
    usersOf(host).endLogin('ann', 'phone')
    await clock.settle()
    expect([phone.told, desk.told]).toEqual([[200, 401], [200]])
    app.revoke('ann')
    await clock.settle()
    expect(desk.told).toEqual([200, 401])
  })
})
