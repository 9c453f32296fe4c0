import { expect, test } from 'vitest'
import { idOfUserKey, sameUser, userKeyOf } from '../src/index.ts'

test('a key of a user is that of its id and realm, however it was proven', () => {
  expect(userKeyOf(undefined)).toBe('')
  expect(userKeyOf({ id: 'ann', by: 'psk' })).toBe(userKeyOf({ id: 'ann', by: 'bearer' }))
  const keys = [{ id: 'ann' }, { id: 'ann', realm: 'plant' }, { id: 'plant', realm: 'ann' }, { id: '["plant","ann"]' }, { id: '"ann"' }].map(
    userKeyOf
  )
  expect(new Set(keys).size).toBe(5)
  expect(keys.map(idOfUserKey)).toEqual(['ann', 'ann', 'plant', '["plant","ann"]', '"ann"'])
})

test('users are the same by id, proof and realm', () => {
  const ann = { id: 'ann', by: 'psk', realm: 'plant' }
  expect(sameUser(ann, { ...ann })).toBe(true)
  for (const other of [{ id: 'bob' }, { by: 'bearer' }, { realm: undefined }]) expect(sameUser(ann, { ...ann, ...other })).toBe(false)
})
