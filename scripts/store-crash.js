// pnpm store-crash [times] [seed]: kills a writer, and cuts the power under another one, as often; npm test runs a short form of it.
import { run } from './pnpm.js'

const [times = '100', seed = '20261130'] = process.argv.slice(2)
process.exit(
  await run('npx', ['vitest', 'run', 'packages/store/test/crash.test.ts', 'packages/store/test/crash-twin.test.ts'], {
    STORE_CRASHES: times,
    STORE_CRASH_SEED: seed
  })
)
