// pnpm many-users [steps] [seed]: random users against a model of who may hear what; npm test runs a short form of it.
import { run } from './pnpm.js'

const [steps = '100000', seed = '20261130'] = process.argv.slice(2)
process.exit(await run('npx', ['vitest', 'run', 'test/many-users.test.ts'], { MANY_USERS_STEPS: steps, MANY_USERS_SEED: seed }))
