import { scryptSync } from 'node:crypto'
import { hashPassword, verifyPassword } from '@iopa/auth'
import { expect, test } from 'vitest'

const CHEAP = { cost: 1024 }

test('recognises the password of a hash alone, whichever code points it is written in', async () => {
  const stored = await hashPassword('caf\u00e9 au lait', CHEAP)
  expect(stored).toMatch(/^\$scrypt\$ln=10,r=8,p=5\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
  expect(
    await Promise.all(['caf\u00e9 au lait', 'cafe\u0301 au lait', 'cafe au lait', ''].map(password => verifyPassword(password, stored)))
  ).toEqual([true, true, false, false])
})

test('salts each hash', async () => {
  expect(await hashPassword('same', CHEAP)).not.toBe(await hashPassword('same', CHEAP))
})

test('verifies a hash of another cost', async () => {
  const salt = Buffer.from('of another program')
  const hash = scryptSync('secret', salt, 16, { N: 1024, r: 4, p: 1 })
  const stored = `$scrypt$ln=10,r=4,p=1$${salt.toString('base64').replaceAll('=', '')}$${hash.toString('base64').replaceAll('=', '')}`
  expect([await verifyPassword('secret', stored), await verifyPassword('Secret', stored)]).toEqual([true, false])
})

test('refuses every password of a name without an account, and takes its time', async () => {
  const begun = performance.now()
  expect(await verifyPassword('', undefined, CHEAP)).toBe(false)
  // Without a hash it would take microseconds.
  expect(performance.now() - begun).toBeGreaterThan(2)
})

test('rejects a text that is no hash', async () => {
  for (const stored of ['', 'secret', '$scrypt$ln=14,r=8$c2FsdA$aGFzaA', '$2b$10$abc'])
    await expect(verifyPassword('secret', stored), stored).rejects.toThrow('hashPassword()')
})

test('refuses a cost that scrypt does not take, and options that it does not know', async () => {
  for (const cost of [0, 512, 1000, 2 ** 21, Number.NaN])
    await expect(hashPassword('secret', { cost }), String(cost)).rejects.toMatchObject({ code: 'bad-option' })
  await expect(verifyPassword('secret', undefined, { rounds: 3 } as never)).rejects.toThrow('rounds')
})
