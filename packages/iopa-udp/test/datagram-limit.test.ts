import { virtualClock } from '@iopa/testing'
import { expect, test } from 'vitest'
import { FaultBudget } from '../src/datagram-limit.ts'

test('the limit of error answers is renewed each second', async () => {
  const clock = virtualClock({ start: 1_000_000 })
  const budget = new FaultBudget(clock)
  const taken = (): number => Array.from({ length: 200 }, () => budget.take()).filter(Boolean).length
  expect([taken(), taken()]).toEqual([100, 0])
  await clock.advance(1000)
  expect(taken()).toBe(100)
})
