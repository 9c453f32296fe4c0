import { expect, test } from 'vitest'
import { runIsolation } from './isolation/run.ts'

// `pnpm isolation` sends 40,000 requests; the seed can be given to repeat a run.
const REQUESTS = Number(process.env['ISOLATION_REQUESTS'] ?? 3000)
const SEED = Number(process.env['ISOLATION_SEED'] ?? 20261130)

test('an app under load keeps requests separate and answers each once', { timeout: 600_000 }, async () => {
  const { totals, ...findings } = await runIsolation(REQUESTS, SEED)
  if (process.env['ISOLATION_REQUESTS'] !== undefined) console.log(totals)
  for (const { answers } of Object.values(totals)) expect(answers).toBeGreaterThan(REQUESTS / 30)
  expect({ ...findings, faults: findings.faults.slice(0, 20), missing: findings.missing.slice(0, 20), leaks: findings.leaks.slice(0, 20) }).toEqual({
    faults: [],
    missing: [],
    leaks: [],
    live: 0,
    warnings: []
  })
})
