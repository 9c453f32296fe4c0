// npm test: everything that a change must pass. Prints the totals last.
// Tests wait more than they compute: steps that only compute run beside them, one at a time, with what the tests leave of the processor.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants, setPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pnpm } from './pnpm.js'

const TSC = 'node_modules/typescript/bin/tsc'

const root = fileURLToPath(new URL('..', import.meta.url))
const results = mkdtempSync(join(tmpdir(), 'iopa-test-'))
const totals = { passed: 0, failed: 0, skipped: 0 }
let failedSteps = 0

const step = async (name, work) => {
  const began = Date.now()
  const code = await work()
  console.log(`\n${code === 0 ? 'ok  ' : 'FAIL'} ${name} (${((Date.now() - began) / 1000).toFixed(0)} s)\n`)
  if (code !== 0) failedSteps++
  return code
}

/** Runs a program of node, without pnpm between, whose start takes a second. */
const program = (name, args, env = {}) =>
  step(
    name,
    () =>
      new Promise((resolve, reject) => {
        const child = spawn(process.execPath, args, { stdio: 'inherit', cwd: root, env: { ...process.env, ...env } })
        child.on('error', reject)
        child.on('exit', code => resolve(code ?? 1))
      })
  )

/** The same below the priority of tests; what it prints comes at its end, in one piece. */
const beside = (name, args) =>
  step(
    name,
    () =>
      new Promise((resolve, reject) => {
        const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: root })
        if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL)
        const printed = []
        for (const stream of [child.stdout, child.stderr]) stream.on('data', data => printed.push(data))
        child.on('error', reject)
        child.on('close', code => {
          process.stdout.write(Buffer.concat(printed))
          resolve(code ?? 1)
        })
      })
  )

const tests = async (name, filters, env) => {
  const file = join(results, `${name.replace(/\W+/g, '-')}.json`)
  const args = ['node_modules/vitest/vitest.mjs', 'run', '--reporter=dot', '--reporter=json', `--outputFile.json=${file}`, ...filters]
  const code = await program(name, args, env)
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

const onTests = async () => {
  await tests('tests on sources', [], { IOPA_BUILT: '1' })
  await tests('contract and home on the built output', ['contract', 'conformance', 'examples/home/test/home.test'], { TEST_DIST: '1' })
}

const besideTests = async () => {
  // One checker: several repeat work for each other, which costs more than it saves where tests need the processor.
  await beside('types', [TSC, '-p', '.', '--checkers', '1'])
  // As an app has them: from what was built.
  await beside('types of the examples', [TSC, '-p', 'examples', '--customConditions', 'null', '--checkers', '1'])
  await beside('unused files, exports and dependencies', ['node_modules/knip/bin/knip.js', '--no-config-hints'])
  await beside('public types', ['scripts/api.js', '--check'])
  await beside('packages', ['scripts/check-packages.js'])
}

const INSTALL = ['install', '--frozen-lockfile', '--prefer-offline', '--reporter=append-only']
if ((await step('install', () => pnpm(INSTALL))) !== 0) finish()
const [, build] = await Promise.all([
  program('lint', ['node_modules/@biomejs/biome/bin/biome', 'check', '.']),
  program('build', ['scripts/build.js'])
])
if (build !== 0) finish()
await Promise.all([onTests(), besideTests()])
finish()
