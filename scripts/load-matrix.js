// pnpm load-matrix [milliseconds]: publishers at their receive maximum, for so long in each cell; npm test runs a short form of it.
import { run } from './pnpm.js'

const [milliseconds = '10000'] = process.argv.slice(2)
process.exit(await run('npx', ['vitest', 'run', 'test/load-matrix.test.ts'], { LOAD_MATRIX: milliseconds }))
