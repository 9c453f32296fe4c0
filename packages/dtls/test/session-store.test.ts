import { describe, expect, test } from 'vitest'
import type { Session } from '../src/sessions/session.ts'
import { SESSION_BOUNDS, SessionStore } from '../src/sessions/session-store.ts'
import { issue, NOW } from './certificate-authority.ts'

const clockAt = (elapsed = 0, now = NOW) => {
  const time = { at: elapsed, wall: now }
  return { time, clock: { now: () => time.wall, elapsed: () => time.at } }
}

const session = (name: string, more: Partial<Session> = {}): Session => ({
  id: Buffer.from(name),
  suite: 0xc0a8,
  masterSecret: Buffer.alloc(48, 7),
  user: { id: name, by: 'psk' },
  certificate: undefined,
  ...more
})

describe('The store of sessions', () => {
  test('ends a session after its lifetime', () => {
    const { time, clock } = clockAt()
    const store = new SessionStore(clock)
    store.add('a', session('a'), 'a')
    time.at = SESSION_BOUNDS.lifetime - 1
    expect(store.get('a')?.user?.id).toBe('a')
    time.at++
    expect(store.get('a')).toBeUndefined()
    expect(store.size).toBe(0)
  })

  test('ends a session with the certificate', () => {
    const { time, clock } = clockAt()
    const store = new SessionStore(clock)
    store.add('a', session('a', { certificate: issue({ to: NOW + 60_000 }).x509 }), 'a')
    expect(store.has('a')).toBe(true)
    time.wall += 61_000
    expect(store.has('a')).toBe(false)
  })

  test('forgets the sessions of revoked users, and no others', () => {
    const store = new SessionStore(clockAt().clock)
    for (const name of ['a', 'b', 'c']) store.add(name, session(name), name)
    store.revoke(({ id }) => id !== 'b')
    expect([store.has('a'), store.has('b'), store.has('c')]).toEqual([false, true, false])
  })

  test('gives a secret that outlives the session: an association never uses an overwritten one', () => {
    const store = new SessionStore(clockAt().clock)
    const given = session('a')
    store.add('a', given, 'a')
    const taken = store.get('a')
    store.clear()
    expect(taken?.masterSecret).toEqual(Buffer.alloc(48, 7))
    expect(given.masterSecret).toEqual(Buffer.alloc(48, 7))
    expect(store.has('a')).toBe(false)
  })

  test('gives an owner a share, and is bounded', () => {
    const store = new SessionStore(clockAt().clock, { sessions: 4, perOwner: 2, lifetime: 1000 })
    store.add('other', session('other'), 'other')
    for (let index = 0; index < 100; index++) store.add(`a${index}`, session('a'), 'a')
    expect(store.size).toBe(3)
    expect(store.has('other')).toBe(true)
    expect([store.has('a97'), store.has('a98'), store.has('a99')]).toEqual([false, true, true])
    for (let index = 0; index < 100; index++) store.add(`o${index}`, session('o'), `o${index}`)
    expect(store.size).toBe(4)
  })

  test('replaces a session of the same name', () => {
    const store = new SessionStore(clockAt().clock)
    store.add('target', session('a'), 'target')
    store.add('target', session('b'), 'target')
    expect(store.size).toBe(1)
    expect(store.get('target')?.user?.id).toBe('b')
  })
})
