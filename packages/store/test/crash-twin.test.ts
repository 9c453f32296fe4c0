// As `crash.test.ts`, for a twin and for the history of a store: `pnpm store-crash` runs the long form.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { App } from '@iopa/appbuilder'
import { resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { seededRandom } from '@iopa/testing'
import { build } from 'esbuild'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { disk } from '../src/disk.ts'
import { store, twins } from '../src/index.ts'
import { device, HISTORY, measurement } from './fixtures/measurement.ts'

const times = Number(process.env['STORE_CRASHES'] ?? 3)
const random = seededRandom(Number(process.env['STORE_CRASH_SEED'] ?? 20_261_130))
const LONGEST = times > 10 ? 400 : 150

let root = ''
let writer = ''

beforeAll(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'iopa-crash-twin-')))
  writer = join(root, 'writer.mjs')
  const level = fileURLToPath(import.meta.resolve('classic-level'))
  await build({
    entryPoints: [fileURLToPath(new URL('./fixtures/twin-writer.ts', import.meta.url))],
    outfile: writer,
    bundle: true,
    platform: 'node',
    format: 'esm',
    conditions: ['@iopa/source'],
    alias: { 'classic-level': level },
    external: [level]
  })
})
afterAll(() => rm(root, { recursive: true }))

/** The last acknowledged level by the letter of its kind, and the version of the last report. */
interface Acknowledged {
  w: number
  r: number
  m: number
  version: number
}

/** Runs the writer until it has said something and some time more, then kills it. */
const killed = async (path: string, acknowledged: Acknowledged): Promise<void> => {
  const child = spawn(process.execPath, [writer, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  child.stdout.setEncoding('utf8')
  const working = new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk: string) => {
      text += chunk
      if (text.includes('\nw') && text.includes('\nm')) resolve()
    })
    child.once('exit', code => reject(new Error(`the writer ended with ${code}`)))
  })
  const closed = once(child, 'close')
  await working
  await new Promise(resolve => setTimeout(resolve, random() * LONGEST))
  child.kill('SIGKILL')
  await closed
  for (const line of text.split('\n').slice(1, -1)) {
    const [level = '', version] = line.slice(1).split(' ')
    acknowledged[line[0] as 'w' | 'r' | 'm'] = Number(level)
    if (version !== undefined) acknowledged.version = Number(version)
  }
}

test(`a twin and a history lose nothing acknowledged, and have nothing half done, after ${times} kills`, async () => {
  const path = join(root, 'data')
  const acknowledged: Acknowledged = { w: 0, r: 0, m: 0, version: 0 }
  for (let time = 0; time < times; time++) {
    await killed(path, acknowledged)
    const storage = disk(path)
    const devices = twins(device, { storage })
    const measurements = store(measurement, { storage, history: HISTORY })
    const app = new App({ logger: false }).use(router()).use(resources())
    app.serve(device, devices).serve(measurement, measurements)
    const twin = await devices.get('d1')
    const { w, r, m, version } = acknowledged
    const [desired = 0, reported = 0] = [twin?.desired.level, twin?.reported.level]
    expect([w, w + 1], `desired after kill ${time}`).toContain(desired)
    expect([r, r + 1], `reported after kill ${time}`).toContain(reported)
    // Parts and versions are of one moment.
    expect(twin?.delta).toEqual(desired === reported ? {} : { level: desired })
    expect(twin?.version).toBe(version + (desired - w) + (reported - r) + (w > r ? 1 : 0))
    const level = (await measurements.get('m1'))?.state.level ?? 0
    expect([m, m + 1], `measured after kill ${time}`).toContain(level)
    const answer = await app.invoke({ 'iopa.Path': '/measurements/m1/history', 'iopa.QueryString': 'limit=1000' })
    const { items } = (await answer.json()) as { items: { state: { level: number } }[] }
    // The newest is the state of now, and none is missing before it.
    const levels = items.map(({ state }) => state.level)
    expect(levels).toEqual(Array.from(levels, (_, at) => level - levels.length + 1 + at))
    expect(levels.length).toBeGreaterThanOrEqual(Math.min(level, HISTORY.keep))
    acknowledged.w = desired
    acknowledged.r = reported
    acknowledged.m = level
    acknowledged.version = twin?.version ?? 0
    await app.close()
  }
  if (times > 10) console.log(`${times} kills: desired ${acknowledged.w}, measured ${acknowledged.m}, nothing lost`)
}, 600_000)
