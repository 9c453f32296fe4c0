// `pnpm store-crash` runs the long form: 100 kills, and 100 power cuts.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { seededRandom } from '@iopa/testing'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { disk } from '../src/disk.ts'
import { store } from '../src/index.ts'
import { counter, DOCUMENTS, stateOf } from './fixtures/counter.ts'

const times = Number(process.env['STORE_CRASHES'] ?? 4)
const seed = Number(process.env['STORE_CRASH_SEED'] ?? 20_261_130)
/** Milliseconds of a run, at most. */
const LONGEST = times > 10 ? 400 : 120

const fixture = (name: string): string => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url))
let root = ''

beforeAll(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'iopa-crash-')))
  const level = fileURLToPath(import.meta.resolve('classic-level'))
  await build({
    entryPoints: [fixture('crash-writer.ts')],
    outfile: join(root, 'writer.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    conditions: ['@iopa/source'],
    alias: { 'classic-level': level },
    external: [level]
  })
})
afterAll(() => rm(root, { recursive: true }))

/** What is known of one document: the last change that was acknowledged, and the last one that began. */
interface Known {
  acknowledged: number
  begun: number
}

const known = (): Map<string, Known> => new Map(DOCUMENTS.map(id => [id, { acknowledged: 0, begun: 0 }]))

/**
 * Runs the writer on a folder, and kills it `ms` milliseconds after it has said `words` that often: `ready`, or what is acknowledged. Returns the number
 * of acknowledged changes.
 */
const killed = async (
  ms: number,
  args: readonly string[],
  env: Record<string, string>,
  documents: Map<string, Known>,
  words: readonly [string, number] = ['ready', 1]
): Promise<number> => {
  const child = spawn(process.execPath, [join(root, 'writer.mjs'), ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  let text = ''
  child.stdout.setEncoding('utf8')
  const ready = new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk: string) => {
      text += chunk
      if (text.split(words[0]).length > words[1]) resolve()
    })
    child.once('exit', code => reject(new Error(`the writer ended with ${code}`)))
  })
  const closed = once(child, 'close')
  await ready
  await new Promise(resolve => setTimeout(resolve, ms))
  child.kill('SIGKILL')
  await closed
  const lines = text.split('\n').slice(1, -1)
  for (const line of lines) {
    const [id = '', sequence = ''] = line.slice(1).split(' ')
    const document = documents.get(id) as Known
    if (line[0] === '+') document.begun = Number(sequence)
    else document.acknowledged = Number(sequence)
  }
  return lines.filter(line => line[0] === '=').length
}

/** What a folder lost of the acknowledged changes, and what is half in it; both empty if all is well. */
const faults = async (path: string, documents: Map<string, Known>): Promise<string[]> => {
  const counters = store(counter, { storage: disk(path) })
  const found: string[] = (await counters.setAside()).map(({ id, reason }) => `${id}: ${reason}`)
  for (const [id, document] of documents) {
    const { acknowledged, begun } = document
    const state = (await counters.get(id))?.state
    const possible: number[] = []
    for (let sequence = acknowledged; sequence <= begun; sequence++) {
      const expected = sequence === 0 ? null : stateOf(sequence)
      if (expected === null ? state === undefined : state?.sequence === sequence && state.text === expected.text) possible.push(sequence)
    }
    const [at] = possible
    if (at === undefined) found.push(`${id}: ${state?.sequence} ${state?.text.slice(0, 20)}, acknowledged ${acknowledged}, begun ${begun}`)
    // The writer goes on from what it finds.
    document.acknowledged = state?.sequence ?? 0
    document.begun = document.acknowledged
  }
  await counters.close()
  return found
}

test(`loses nothing acknowledged, and has no half document, after ${times} kills`, async () => {
  const random = seededRandom(seed)
  const path = join(root, 'killed')
  const documents = known()
  let acknowledged = 0
  for (let time = 0; time < times; time++) {
    acknowledged += await killed(random() * LONGEST, [path], {}, documents, time % 2 === 0 ? ['=', 1] : ['ready', 1])
    expect(await faults(path, documents), `kill ${time}`).toEqual([])
  }
  expect(acknowledged).toBeGreaterThanOrEqual(times / 2)
  if (times > 10) console.log(`${times} kills: ${acknowledged} changes acknowledged, none lost`)
}, 600_000)

const canCompile = process.platform === 'linux' && spawnSync('cc', ['--version']).status === 0

describe.skipIf(!canCompile)('after a power cut', () => {
  let shim = ''
  beforeAll(() => {
    shim = join(root, 'power-cut.so')
    execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', shim, fixture('power-cut.c'), '-ldl', '-lpthread'])
  })

  const cut = async (
    name: string,
    ms: number,
    sync: boolean,
    words?: readonly [string, number]
  ): Promise<{ acknowledged: number; faults: string[] }> => {
    const path = join(root, name)
    execFileSync('mkdir', [path, `${path}-shadow`])
    const documents = known()
    const acknowledged = await killed(ms, [path, String(sync)], { LD_PRELOAD: shim, CUT_FROM: path, CUT_TO: `${path}-shadow` }, documents, words)
    const outcome = { acknowledged, faults: await faults(`${path}-shadow`, documents) }
    await rm(path, { recursive: true })
    await rm(`${path}-shadow`, { recursive: true })
    return outcome
  }

  test(`everything acknowledged is there, ${times} times`, async () => {
    const random = seededRandom(seed + 1)
    let acknowledged = 0
    for (let time = 0; time < times; time++) {
      const outcome = await cut(`cut${time}`, random() * LONGEST, true, time % 2 === 0 ? ['=', 1] : ['ready', 1])
      acknowledged += outcome.acknowledged
      expect(outcome.faults, `cut ${time}`).toEqual([])
    }
    expect(acknowledged).toBeGreaterThanOrEqual(times / 2)
    if (times > 10) console.log(`${times} power cuts: ${acknowledged} changes acknowledged, none lost`)
  }, 600_000)

  test('what was written without sync is lost, so that this test can fail', async () => {
    const { acknowledged, faults } = await cut('unsynced', 0, false, ['=', 64])
    expect(acknowledged).toBeGreaterThan(32)
    expect(faults.length).toBeGreaterThan(16)
  }, 60_000)
})
