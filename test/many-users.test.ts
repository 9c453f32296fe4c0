import { expect, test } from 'vitest'
import { runManyUsers, shorten } from './many-users/run.ts'

// `pnpm many-users` takes 100,000 steps; the seed can be given to repeat a run.
const STEPS = Number(process.env['MANY_USERS_STEPS'] ?? 1600)
const SEED = Number(process.env['MANY_USERS_SEED'] ?? 20261130)

test('the MQTT broker delivers to many users all messages that they must get and no other', { timeout: 3_600_000 }, async () => {
  const long = process.env['MANY_USERS_STEPS'] !== undefined
  const { faults, ...totals } = await runManyUsers(STEPS, SEED, text => (long ? console.log(text) : undefined))
  if (long) console.log(totals)
  const world = /^world (\d+)/.exec(faults[0] ?? '')?.[1]
  if (long && world !== undefined) {
    const short = await shorten(Number(world))
    console.log(`${short.steps.map(step => JSON.stringify(step)).join('\n')}\n${short.faults.join('\n')}`)
  }
  expect(faults).toEqual([])
  expect(totals.deliveries).toBeGreaterThan(STEPS / 10)
  expect(totals.kept).toBeGreaterThan(STEPS / 60)
})
