// pnpm isolation [requests] [seed]: random requests on five protocols at once; npm test runs a short form of it.
import { run } from './pnpm.js'

const [requests = '40000', seed = '20261130'] = process.argv.slice(2)
process.exit(await run('npx', ['vitest', 'run', 'test/isolation.test.ts'], { ISOLATION_REQUESTS: requests, ISOLATION_SEED: seed }))
