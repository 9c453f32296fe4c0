import { describe, expect, test } from 'vitest'
import { EXTENSION } from '../src/handshake/extensions.ts'
import type { ClientHello } from '../src/handshake/hello.ts'
import type { ResumableSession } from '../src/handshake/resumption.ts'
import { clientSessions } from '../src/sessions/client-sessions.ts'
import { serverSessions } from '../src/sessions/server-sessions.ts'
import { SESSION_BOUNDS, SessionStore } from '../src/sessions/session-store.ts'
import { CIPHER_SUITES } from '../src/suites/cipher-suites.ts'
import { NOW } from './certificate-authority.ts'

const clockAt = (elapsed = 0, now = NOW) => {
  const time = { at: elapsed, wall: now }
  return { time, clock: { now: () => time.wall, elapsed: () => time.at } }
}

const session = (name: string, more: Partial<ResumableSession> = {}): ResumableSession => ({
  id: Buffer.from(name),
  suite: CIPHER_SUITES[0]!,
  masterSecret: Buffer.alloc(48, 7),
  extendedMasterSecret: true,
  identity: { user: { id: name, by: 'psk' } },
  ...more
})

const { signal } = new AbortController()

describe('The store of sessions', () => {
  test('ends a session after its lifetime', () => {
    const { time, clock } = clockAt()
    const store = new SessionStore(clock)
    store.add('a', session('a'))
    time.at = SESSION_BOUNDS.lifetime - 1
    expect(store.get('a')?.identity.user?.id).toBe('a')
    time.at++
    expect(store.get('a')).toBeUndefined()
    expect(store.size).toBe(0)
  })

  test('ends a session with the certificate', () => {
    const { time, clock } = clockAt()
    const store = new SessionStore(clock)
    store.add('a', session('a', { identity: { user: undefined, until: NOW + 60_000 } }))
    expect(store.has('a')).toBe(true)
    time.wall += 61_000
    expect(store.has('a')).toBe(false)
  })

  test('forgets the sessions of revoked users, and no others', () => {
    const store = new SessionStore(clockAt().clock)
    for (const name of ['a', 'b', 'c']) store.add(name, session(name))
    store.revoke(({ user }) => user?.id !== 'b')
    expect([store.has('a'), store.has('b'), store.has('c')]).toEqual([false, true, false])
  })

  test('gives a secret that outlives the session: an association never uses an overwritten one', () => {
    const store = new SessionStore(clockAt().clock)
    const given = session('a')
    store.add('a', given)
    const taken = store.get('a')
    store.clear()
    expect(taken?.masterSecret).toEqual(Buffer.alloc(48, 7))
    // The one that was kept is overwritten.
    expect(given.masterSecret).toEqual(Buffer.alloc(48))
    expect(store.has('a')).toBe(false)
  })

  test('gives an owner a share, and is bounded', () => {
    const store = new SessionStore(clockAt().clock, { sessions: 4, perOwner: 2, withoutOwner: 3, lifetime: 1000 })
    store.add('other', session('other'))
    for (let index = 0; index < 100; index++) store.add(`a${index}`, session('a'))
    expect(store.size).toBe(3)
    expect(store.has('other')).toBe(true)
    expect([store.has('a97'), store.has('a98'), store.has('a99')]).toEqual([false, true, true])
    for (let index = 0; index < 100; index++) store.add(`o${index}`, session(`o${index}`))
    expect(store.size).toBe(4)
    store.clear()
    const nobody = (index: number) => session(`${index}`, { identity: { user: undefined } })
    for (let index = 0; index < 10; index++) store.add(`n${index}`, nobody(index))
    expect(store.size).toBe(3)
    store.clear()
    const certified = (index: number) => session(`${index}`, { identity: { user: undefined, fingerprint: 'AB:CD' } })
    for (let index = 0; index < 10; index++) store.add(`c${index}`, certified(index))
    expect(store.size).toBe(2)
  })

  test('replaces a session of the same name', () => {
    const store = new SessionStore(clockAt().clock)
    store.add('target', session('a'))
    store.add('target', session('b'))
    expect(store.size).toBe(1)
    expect(store.get('target')?.identity.user?.id).toBe('b')
  })
})

const helloWith = (sessionId: Uint8Array, extended = true): ClientHello => ({
  version: 0xfefd,
  random: Buffer.alloc(32),
  sessionId,
  cookie: Buffer.alloc(0),
  suites: [],
  compressions: Uint8Array.of(0),
  extensions: new Map(extended ? [[EXTENSION.EXTENDED_MASTER_SECRET, Buffer.alloc(0)]] : [])
})

describe('The sessions of a server', () => {
  test('are found by an id that cannot be guessed', () => {
    const sessions = serverSessions(new SessionStore(clockAt().clock))
    const id = sessions.newId(helloWith(Buffer.alloc(0)))
    expect(id).toHaveLength(32)
    sessions.store(session('a', { id }))
    expect(sessions.find(helloWith(id), signal)).toMatchObject({ identity: { user: { id: 'a', by: 'psk' } } })
    expect(sessions.find(helloWith(Buffer.alloc(32)), signal)).toBeUndefined()
    expect(sessions.find(helloWith(Buffer.alloc(0)), signal)).toBeUndefined()
  })

  test('have an extended master secret, and are refused without it', () => {
    const store = new SessionStore(clockAt().clock)
    const sessions = serverSessions(store)
    expect(sessions.newId(helloWith(Buffer.alloc(0), false))).toHaveLength(0)
    sessions.store(session('a', { extendedMasterSecret: false }))
    sessions.store(session('a', { id: Buffer.alloc(0) }))
    expect(store.size).toBe(0)
    sessions.store(session('a'))
    expect(() => sessions.find(helloWith(Buffer.from('a'), false), signal)).toThrow('extended master secret')
  })

  test('end when their proof does not count any more', async () => {
    const store = new SessionStore(clockAt().clock)
    const sessions = serverSessions(store)
    let counts = true
    sessions.store(session('a', { identity: { user: { id: 'a' }, stillCounts: async () => counts } }))
    expect(await sessions.find(helloWith(Buffer.from('a')), signal)).toBeDefined()
    counts = false
    expect(await sessions.find(helloWith(Buffer.from('a')), signal)).toBeUndefined()
    expect(store.size).toBe(0)
  })

  test('are left as they are when the check of their proof is broken off', async () => {
    const store = new SessionStore(clockAt().clock)
    const sessions = serverSessions(store)
    const isAborted = (given: AbortSignal): Promise<boolean> => new Promise(resolve => given.addEventListener('abort', () => resolve(false)))
    sessions.store(session('a', { identity: { user: { id: 'a' }, stillCounts: isAborted } }))
    const abort = new AbortController()
    const found = sessions.find(helloWith(Buffer.from('a')), abort.signal)
    abort.abort()
    await found
    expect(store.size).toBe(1)
  })

  test('are not resumed when they are revoked while their proof is checked', async () => {
    const store = new SessionStore(clockAt().clock)
    const sessions = serverSessions(store)
    sessions.store(session('a', { identity: { user: { id: 'a' }, stillCounts: async () => true } }))
    const found = sessions.find(helloWith(Buffer.from('a')), signal)
    store.revoke(({ user }) => user?.id === 'a')
    expect(await found).toBeUndefined()
  })
})

describe('The sessions of a client', () => {
  const target = { host: 'lamp.example', address: '127.0.0.1', port: 5684 }

  test('are offered to the server that made them, under its name and address', () => {
    const sessions = clientSessions(new SessionStore(clockAt().clock))
    sessions.store(target, session('a'), undefined)
    expect(sessions.offer(target).session?.identity.user?.id).toBe('a')
    expect(sessions.offer({ ...target, host: 'door.example' })).toEqual({})
    expect(sessions.offer({ ...target, port: 5685 })).toEqual({})
    sessions.forget(target)
    expect(sessions.offer(target)).toEqual({})
  })

  test('have an id and an extended master secret', () => {
    const sessions = clientSessions(new SessionStore(clockAt().clock))
    sessions.store(target, session('a', { extendedMasterSecret: false }), undefined)
    sessions.store(target, session('a', { id: Buffer.alloc(0) }), undefined)
    expect(sessions.offer(target)).toEqual({})
  })
})
