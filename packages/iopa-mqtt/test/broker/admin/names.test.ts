import { describe, expect, test } from 'vitest'
import { sessionKeyOf, sessionName, topicOfPath, topicPath, userIdOf } from '../../../src/broker/admin/names.ts'
import { ANONYMOUS, sessionKey, userKeyOf } from '../../../src/broker/session/identity.ts'

const keys: readonly (readonly [string, string])[] = [
  [ANONYMOUS, 'sensor-1'],
  [ANONYMOUS, 'ann@sensor-1'],
  [ANONYMOUS, '.'],
  [ANONYMOUS, '..'],
  [ANONYMOUS, '~2e'],
  [ANONYMOUS, 'a/b+c#d e\\ü😀'],
  [userKeyOf({ id: 'ann' }), 'sensor-1'],
  [userKeyOf({ id: 'ann@home' }), 'sensor-1'],
  [userKeyOf({ id: 'ann' }), 'home@sensor-1'],
  [userKeyOf({ id: '' }), 'sensor-1'],
  [userKeyOf({ id: 5 }), 'sensor-1'],
  [userKeyOf({ id: '5' }), 'sensor-1'],
  [userKeyOf({ id: 'number 5' }), 'sensor-1'],
  [userKeyOf({ id: '.number 5' }), 'sensor-1']
]

describe('the name of a session', () => {
  test('differs for different sessions, and gives their keys back', () => {
    expect(new Set(keys.map(([user, client]) => sessionName(user, client))).size).toBe(keys.length)
    for (const [user, client] of keys) expect(sessionKeyOf(sessionName(user, client))).toBe(sessionKey(user, client))
  })

  test('is one segment of a path and one level of a topic', () => {
    for (const [user, client] of keys) {
      const name = sessionName(user, client)
      expect(name).toMatch(/^[A-Za-z0-9._~@-]+$/)
      expect(['.', '..']).not.toContain(name)
    }
    expect(sessionName(ANONYMOUS, 'sensor-1')).toBe('sensor-1')
    expect(sessionName(userKeyOf({ id: 'ann' }), 'sensor-1')).toBe('ann@sensor-1')
  })

  test('is a hash where it would not fit into an option of CoAP, or the user id is no text', () => {
    const long = sessionName(ANONYMOUS, 'x'.repeat(300))
    expect(long).toMatch(/^~~[\w-]{43}$/)
    expect(sessionName(userKeyOf({ id: '\ud800' }), 'a')).not.toBe(sessionName(userKeyOf({ id: '\ud801' }), 'a'))
    expect(sessionKeyOf(long)).toBeUndefined()
  })

  test('is refused in any other form', () => {
    for (const name of ['~', '~zz', '~61', 'a b', '~.@a', '~2', 'a@b@c']) expect(sessionKeyOf(name)).toBeNull()
  })

  test('tells the id of its user', () => {
    expect([ANONYMOUS, userKeyOf({ id: 'ann' }), userKeyOf({ id: 5 })].map(userIdOf)).toEqual([null, 'ann', '5'])
  })
})

describe('a topic in a path', () => {
  test('keeps its levels, and gives the topic back', () => {
    expect(topicPath('lights/hall')).toBe('lights/hall')
    for (const topic of ['a', '/a', 'a//b', 'a/', '/', '.', 'a/../b', '~', '~~', 'a\\b', 'ü 😀']) {
      const path = topicPath(topic)
      expect(topicOfPath(path)).toBe(topic)
      expect(path.split('/').filter(level => level === '' || level === '.' || level === '..')).toEqual([])
    }
  })

  test('is refused in any other form', () => {
    for (const path of ['~61', 'a//b', '', '~zz']) expect(topicOfPath(path)).toBeNull()
  })
})
