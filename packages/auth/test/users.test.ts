import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { userOf } from '../src/scheme.ts'

setFlagsFromString('--allow-natives-syntax')
const haveSameClass = runInNewContext('(a, b) => %HaveSameMap(a, b)') as (a: object, b: object) => boolean

test.each([
  ['a literal', () => ({ id: 'ann', roles: ['admin'] })],
  ['a parsed text', () => JSON.parse('{"id":"ann","roles":["admin"]}')],
  ['a shared object', () => ANN]
])('users of one scheme share a hidden class: what %s became', (_, make) => {
  const users = Array.from({ length: 10 }, () => userOf(make(), 'bearer', 'app'))
  expect(users[0]).toEqual({ id: 'ann', roles: ['admin'], by: 'bearer', realm: 'app' })
  for (const user of users) expect(haveSameClass(user as object, users[0] as object)).toBe(true)
})

const ANN = { id: 'ann', roles: ['admin'] }
