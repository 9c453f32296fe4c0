import { expect, test } from 'vitest'
import { Tokens } from '../src/exchanges/tokens.ts'

test('no token recurs, and tokens of two servers have nothing in common', () => {
  const tokens = new Tokens()
  const seen = new Set<string>()
  for (let at = 0; at < 10_000; at++) seen.add(Buffer.from(tokens.next()).toString('hex'))
  expect(seen.size).toBe(10_000)
  expect(tokens.next()).toHaveLength(8)
  expect(seen.has(Buffer.from(new Tokens().next()).toString('hex'))).toBe(false)
})
