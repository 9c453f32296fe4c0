// pnpm oscore-crash [times]: kills a sender of OSCORE, cuts the power under another one, and restores old copies of a store, as often, and looks for
// Partial IVs that were used twice; npm test runs a short form of it.
import { run } from './pnpm.js'

const [times = '1000'] = process.argv.slice(2)
process.exit(
  await run('npx', ['vitest', 'run', 'packages/oscore/test/kill.test.ts', 'packages/oscore/test/number-store.test.ts'], { OSCORE_KILLS: times })
)
