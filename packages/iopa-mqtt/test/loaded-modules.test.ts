import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

const script = fileURLToPath(new URL('./fixtures/loaded-modules.ts', import.meta.url))

/** Packages that a process has loaded which ran the embedded broker, without those that only tests need. */
const loaded = async (...args: string[]): Promise<string[]> => {
  const folder = await mkdtemp(join(tmpdir(), 'iopa-mqtt-'))
  try {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--conditions=@iopa/source', '--import', 'tsx', script, join(folder, 'modules'), ...args],
      { timeout: 10_000 }
    )
    return stdout.split('\n').filter(name => !['tsx', 'esbuild', 'get-tsconfig', 'resolve-pkg-maps'].includes(name))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

it('loads mqtt-packet and what that needs, and nothing else, to serve as a broker', async () => {
  const packet = [
    ...['mqtt-packet', 'bl', 'debug', 'ms', 'process-nextick-args'],
    // What these need in turn; `debug` looks for the last two.
    ...[
      'readable-stream',
      'buffer',
      'base64-js',
      'ieee754',
      'inherits',
      'string_decoder',
      'safe-buffer',
      'process',
      'events',
      'abort-controller',
      'event-target-shim'
    ],
    ...['supports-color', 'has-flag']
  ]
  const packages = await loaded()
  expect(packages.filter(name => !packet.includes(name))).toEqual([])
  expect(await loaded('disk'), 'so the list is not empty by mistake').toContain('classic-level')
})
