import { describe, expect, test } from 'vitest'
import { memorySessions } from '../src/index.ts'

const place = (owner?: string, expires = 2000, now = 1000) => ({ expires, ttl: expires - now, owner })

describe('sessions in memory', () => {
  test('of users stay in a flood of anonymous ones', () => {
    const store = memorySessions({ maxSessions: 10 })
    for (const user of ['ann', 'bob', 'eve']) store.set(user, 'x', place(user))
    for (let at = 0; at < 1000; at++) store.set(`anonymous${at}`, 'x', place())
    expect([store.size, store.get('ann'), store.get('bob'), store.get('anonymous999'), store.get('anonymous0')]).toEqual([
      10,
      'x',
      'x',
      'x',
      undefined
    ])
  })

  test('that fill it refuse another, and keep what is there', () => {
    const store = memorySessions({ maxSessions: 2 })
    store.set('a', 'x', place('ann'))
    store.set('b', 'x', place('bob'))
    for (const owner of [undefined, 'eve'])
      expect(() => store.set('c', 'x', place(owner))).toThrow(expect.objectContaining({ status: 503, code: 'session-store' }))
    store.set('a', 'y', place('ann'))
    expect([store.get('a'), store.get('b'), store.size]).toEqual(['y', 'x', 2])
  })

  test('that have expired make room first', () => {
    const store = memorySessions({ maxSessions: 2 })
    store.set('a', 'x', place('ann', 1500))
    store.set('b', 'x', place())
    store.set('c', 'x', place('eve', 3000, 1600))
    expect([store.get('a'), store.get('b'), store.get('c')]).toEqual([undefined, 'x', 'x'])
  })

  test('that have expired are given up within a minute, also behind others that last longer', () => {
    const store = memorySessions({ maxSessions: 10 })
    store.set('long', 'x', place('ann', 1_000_000))
    for (let at = 0; at < 8; at++) store.set(`short${at}`, 'x', place('bob', 1500))
    store.set('next', 'x', place('eve', 1_000_000, 60_000))
    expect(store.size).toBe(10)
    store.set('next', 'x', place('eve', 1_000_000, 61_000))
    expect(store.size).toBe(2)
  })

  test('are bounded by their size', () => {
    const store = memorySessions({ maxBytes: 100 })
    store.set('a', 'x'.repeat(60), place())
    store.set('b', 'x'.repeat(60), place())
    expect([store.get('a'), (store.get('b') as string).length]).toEqual([undefined, 60])
    expect(() => store.set('b', 'x'.repeat(200), place())).toThrow(expect.objectContaining({ code: 'session-store' }))
  })

  test('of one user are bounded: the one used longest ago ends', () => {
    const store = memorySessions({ maxPerUser: 2 })
    for (const key of ['a', 'b', 'a', 'c']) store.set(key, 'x', place('ann'))
    expect([store.get('a'), store.get('b'), store.get('c')]).toEqual(['x', undefined, 'x'])
    store.delete('a')
    store.set('d', 'x', place('ann'))
    expect(store.size).toBe(2)
  })

  test.each([{ maxSessions: 0 }, { maxBytes: 1.5 }, { maxPerUser: -1 }, { max: 1 }])('with %j are refused', options =>
    expect(() => memorySessions(options as never)).toThrow(expect.objectContaining({ code: 'bad-option' }))
  )
})
