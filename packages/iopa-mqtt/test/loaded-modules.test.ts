import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const script = fileURLToPath(new URL('./fixtures/loaded-modules.ts', import.meta.url))

/** Packages that a process has loaded when it served as a broker, and when it opened a disk store after that. */
const loaded = async (): Promise<{ serving: string[]; storing: string[] }> => {
  const folder = await mkdtemp(join(tmpdir(), 'iopa-mqtt-'))
  try {
    const args = ['--conditions=@iopa/source', '--import', 'tsx', script, join(folder, 'modules')]
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 14_000 })
    return JSON.parse(stdout) as { serving: string[]; storing: string[] }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

test('loads no other package to serve as a broker', async () => {
  const forTests = ['tsx', 'esbuild', 'get-tsconfig', 'resolve-pkg-maps']
  const { serving, storing } = await loaded()
  expect(serving.filter(name => !forTests.includes(name))).toEqual([])
  expect(storing, 'so the list is not empty by mistake').toContain('classic-level')
})
