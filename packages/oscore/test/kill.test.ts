// `pnpm oscore-crash` runs the long form: 1,000 kills.
import { spawn } from 'node:child_process'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { afterAll, beforeAll, expect, test } from 'vitest'

/** Senders that are killed. Starting a process costs more than all that its senders do, so that each one has several, with a store each. */
const KILLS = Number(process.env['OSCORE_KILLS'] ?? 4)
const SENDERS = Math.min(5, KILLS)
/** Processes at once: one waits for its numbers while the other one starts. */
const LANES = KILLS > SENDERS ? 2 : 1
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

interface Sending {
  /** What it has written: the store and the Partial IV, or the code of an error. */
  readonly lines: string[]
  /** Resolves when it has written so many lines, or has ended. */
  wrote(count: number): Promise<void>
  kill(): Promise<void>
}

const send = (...paths: readonly string[]): Sending => {
  const child = spawn(process.execPath, [join(root, 'sender.mjs'), ...paths], { stdio: ['ignore', 'pipe', 'inherit'] })
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

test(`${KILLS} senders that are killed never use a Partial IV twice`, { timeout: 30_000 + KILLS * 1500 }, async () => {
  const used = new Set<string>()
  let sent = 0
  let left = Math.ceil(KILLS / SENDERS)
  const lane = async (name: string): Promise<void> => {
    const paths = Array.from({ length: SENDERS }, (_, at) => join(root, `killed-${name}-${at}`))
    while (left-- > 0) {
      const process = send(...paths)
      // From the first number of one sender, while others still open their stores, to the second and third block of each.
      await process.wrote(1 + Math.floor(Math.random() ** 2 * 300 * SENDERS))
      await process.kill()
      expect(process.lines.length, 'the process has sent something').toBeGreaterThan(0)
      for (const line of process.lines) {
        expect(line).toMatch(/ [0-9a-f]{2,10}$/)
        expect(used.has(line), line).toBe(false)
        used.add(line)
      }
      sent += process.lines.length
    }
  }
  await Promise.all(Array.from({ length: LANES }, (_, at) => lane(String(at))))
  expect(used.size).toBe(sent)
})

test('a second process on a store is refused, until the first one is gone', { timeout: 30_000 }, async () => {
  const path = join(root, 'shared')
  const first = send(path)
  await first.wrote(1)
  const second = send(path)
  await second.wrote(1)
  expect(second.lines).toEqual([`${path} store-locked`])
  await second.kill()
  await first.kill()
  const third = send(path)
  await third.wrote(5)
  await third.kill()
  expect(third.lines.filter(line => first.lines.includes(line))).toEqual([])
})
