// npm test: everything that a change must pass, in the order in which it fails cheapest. Prints the totals last.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pnpm } from './pnpm.js'

const results = mkdtempSync(join(tmpdir(), 'iopa-test-'))
const totals = { passed: 0, failed: 0, skipped: 0 }
let failedSteps = 0

const step = async (name, args, env) => {
  const began = Date.now()
  const code = await pnpm(args, env)
  console.log(`\n${code === 0 ? 'ok  ' : 'FAIL'} ${name} (${((Date.now() - began) / 1000).toFixed(0)} s)\n`)
  if (code !== 0) failedSteps++
  return code
}

const tests = async (name, filters, env) => {
  const file = join(results, `${name.replace(/\W+/g, '-')}.json`)
  const code = await step(name, ['exec', 'vitest', 'run', '--reporter=dot', '--reporter=json', `--outputFile.json=${file}`, ...filters], env)
  try {
    const report = JSON.parse(readFileSync(file, 'utf8'))
    totals.passed += report.numPassedTests
    totals.failed += report.numFailedTests
    totals.skipped += report.numPendingTests + report.numTodoTests
    for (const suite of report.testResults) {
      for (const test of suite.assertionResults) if (test.status === 'pending') console.log(`skipped: ${test.fullName}`)
    }
    if (code !== 0 && report.numFailedTests === 0) totals.failed++
  } catch {
    totals.failed++
  }
}

const finish = () => {
  rmSync(results, { recursive: true, force: true })
  const failed = totals.failed === 0 && failedSteps > 0 ? failedSteps : totals.failed
  const line = `${totals.passed} passed, ${failed} failed${totals.skipped > 0 ? `, ${totals.skipped} skipped` : ''}`
  if (process.env.IOPA_TOTALS) writeFileSync(process.env.IOPA_TOTALS, `${line}\n`)
  console.log(line)
  process.exit(failedSteps === 0 && failed === 0 ? 0 : 1)
}

if ((await step('install', ['install', '--frozen-lockfile', '--prefer-offline', '--reporter=append-only'])) !== 0) finish()
await Promise.all([step('lint', ['run', 'lint']), step('types', ['run', 'check']), step('unused files, exports and dependencies', ['run', 'unused'])])
if ((await step('build', ['run', 'build'])) !== 0) finish()
await step('public types', ['run', 'api', '--check'])
await tests('tests on sources', [])
await Promise.all([
  tests('contract and home on the built output', ['contract', 'conformance', 'examples/home/test/home.test'], { TEST_DIST: '1' }),
  step('packages', ['exec', 'node', 'scripts/check-packages.js'])
])
finish()
