// Packs each package as it would be published, and lets publint and arethetypeswrong look at the tarball.
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

const run = (command, args, cwd) =>
  new Promise(resolve => {
    const child = spawn(command, args, { cwd, shell: process.platform === 'win32' })
    let output = ''
    child.stdout.on('data', data => (output += data))
    child.stderr.on('data', data => (output += data))
    child.on('error', error => resolve({ code: 1, output: String(error) }))
    child.on('exit', code => resolve({ code, output }))
  })

const check = async folder => {
  const target = mkdtempSync(join(tmpdir(), `iopa-${basename(folder)}-`))
  try {
    const pack = await run('pnpm', ['pack', '--pack-destination', target], folder)
    if (pack.code !== 0) return { folder, ...pack }
    const tarball = join(
      target,
      readdirSync(target).find(name => name.endsWith('.tgz'))
    )
    const lint = await run('publint', ['--strict', tarball], folder)
    if (lint.code !== 0) return { folder, ...lint }
    return { folder, ...(await run('attw', [tarball, '--profile', 'esm-only', '--format', 'ascii'], folder)) }
  } finally {
    rmSync(target, { recursive: true, force: true })
  }
}

const queue = process.argv.slice(2)
let failed = 0
const worker = async () => {
  for (let folder = queue.shift(); folder !== undefined; folder = queue.shift()) {
    const { code, output } = await check(folder)
    console.log(`${code === 0 ? 'ok  ' : 'FAIL'} ${folder}`)
    if (code !== 0) {
      failed++
      console.log(output)
    }
  }
}
await Promise.all([worker(), worker()])
process.exit(failed === 0 ? 0 : 1)
