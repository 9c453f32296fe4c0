// `pnpm oscore-crash` runs the long form: 1,000 kills.
import { spawn } from 'node:child_process'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, beforeAll, expect, test } from 'vitest'

const KILLS = Number(process.env['OSCORE_KILLS'] ?? 4)
let root = ''

beforeAll(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'iopa-oscore-')))
  await build({
    entryPoints: [fileURLToPath(new URL('./fixtures/sender.ts', import.meta.url))],
    outfile: join(root, 'sender.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    conditions: ['@iopa/source'],
    logLevel: 'error'
  })
})
afterAll(() => rm(root, { recursive: true }))

interface Sender {
  readonly lines: string[]
  /** Resolves when it has written so many lines, or has ended. */
  wrote(count: number): Promise<void>
  kill(): Promise<void>
}

const sender = (path: string): Sender => {
  const child = spawn(process.execPath, [join(root, 'sender.mjs'), path], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise<void>(resolve => child.once('close', () => resolve()))
  const lines: string[] = []
  let rest = ''
  let heard = (): void => undefined
  child.stdout.setEncoding('latin1').on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop() as string
    lines.push(...parts)
    heard()
  })
  return {
    lines,
    wrote: async count => {
      const enough = new Promise<void>(resolve => {
        heard = () => {
          if (lines.length >= count) resolve()
        }
        heard()
      })
      await Promise.race([enough, ended])
    },
    kill: async () => {
      child.kill('SIGKILL')
      await ended
    }
  }
}

test(`${KILLS} processes that are killed never use a Partial IV twice`, { timeout: 30_000 + KILLS * 3000 }, async () => {
  const path = join(root, 'killed')
  const used = new Set<string>()
  let count = 0
  for (let run = 0; run < KILLS; run++) {
    const process = sender(path)
    await process.wrote(1 + Math.floor(Math.random() * 300))
    await process.kill()
    expect(process.lines.length, 'the process has sent something').toBeGreaterThan(0)
    for (const partialIv of process.lines) {
      expect(used.has(partialIv), `${partialIv} in run ${run}`).toBe(false)
      used.add(partialIv)
    }
    count += process.lines.length
  }
  expect(used.size).toBe(count)
})

test('a second process on a store is refused, until the first one is gone', { timeout: 30_000 }, async () => {
  const path = join(root, 'shared')
  const first = sender(path)
  await first.wrote(1)
  const second = sender(path)
  await second.wrote(1)
  expect(second.lines).toEqual(['store-locked'])
  await second.kill()
  await first.kill()
  const third = sender(path)
  await third.wrote(5)
  await third.kill()
  expect(third.lines.filter(line => first.lines.includes(line))).toEqual([])
})
