import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { IopaError } from '@iopa/appbuilder'
import type { Storage } from '@iopa/appbuilder/extension'
import { afterAll, describe, expect, test } from 'vitest'
import { disk } from '../src/disk.ts'
import { memory, store } from '../src/index.ts'
import { light, lightsApp } from './support.ts'

const full = (): IopaError => new IopaError(507, 'storage-full', 'There is no room.')

/** A storage whose writes fail while it is `broken`: before they have an effect, or after it. */
const failing = (inner: Storage) => {
  const state = { broken: false, applies: false, writes: 0 }
  const storage: Storage = {
    get: key => inner.get(key),
    put: (key, value) => storage.batch([{ type: 'put', key, value }]),
    delete: key => storage.batch([{ type: 'delete', key }]),
    list: range => inner.list(range),
    batch: async changes => {
      state.writes++
      if (state.broken && state.applies) await inner.batch(changes)
      if (state.broken) throw full()
      await inner.batch(changes)
    },
    close: async () => undefined
  }
  return { storage, state }
}

describe('a store on a storage without room', () => {
  test('answers 507, keeps the old state, and writes again when there is room', async () => {
    const { storage, state } = failing(memory())
    const { app, ask, lights } = lightsApp({ storage })
    await ask('PUT', '/lights/a', { on: true, level: 1 })
    state.broken = true
    const heard: number[] = []
    lights.onChange(change => heard.push(change.state?.level ?? -1))
    expect(await ask('PUT', '/lights/a', { on: true, level: 2 })).toMatchObject({ status: 507, body: { code: 'storage-full' } })
    expect(await ask('PATCH', '/lights/a', { level: 2 })).toMatchObject({ status: 507 })
    expect(await ask('DELETE', '/lights/a')).toMatchObject({ status: 507 })
    expect(await ask('PUT', '/lights/b', { on: true })).toMatchObject({ status: 507 })
    expect(await ask('POST', '/lights', { on: true })).toMatchObject({ status: 507 })
    await expect(lights.put('a', { on: false })).rejects.toMatchObject({ status: 507 })
    expect(await ask('GET', '/lights/a')).toMatchObject({ status: 200, body: { level: 1 } })
    expect(await lights.list()).toHaveLength(1)
    expect(heard).toEqual([])
    state.broken = false
    expect((await ask('PUT', '/lights/b', { on: true })).status).toBe(201)
    expect((await ask('PUT', '/lights/a', { on: true, level: 3 })).status).toBe(200)
    await app.close()
  })

  test('has after a restart what it said, where a write that failed has had an effect', async () => {
    const inner = memory()
    const { storage, state } = failing(inner)
    const first = lightsApp({ storage })
    for (const id of ['a', 'b', 'c']) await first.lights.put(id, { on: true, level: 1 })
    Object.assign(state, { broken: true, applies: true })
    await expect(first.lights.put('a', { on: true, level: 2 })).rejects.toMatchObject({ status: 507 })
    await expect(first.lights.delete('b')).rejects.toMatchObject({ status: 507 })
    await expect(first.lights.put('new', { on: true })).rejects.toMatchObject({ status: 507 })
    state.broken = false
    // It is written again with the next change of any document.
    await first.lights.put('c', { on: true, level: 3 })
    const second = lightsApp({ storage: failing(inner).storage })
    expect((await second.lights.list()).map(({ id, state: { level } }) => [id, level])).toEqual([
      ['a', 1],
      ['b', 1],
      ['c', 3]
    ])
    await first.app.close()
    await second.app.close()
  })

  test('does not write an old state over one that is on its way', async () => {
    const inner = memory()
    const { storage, state } = failing(inner)
    const { lights } = lightsApp({ storage })
    await lights.put('a', { on: true, level: 1 })
    state.broken = true
    await expect(lights.put('a', { on: true, level: 2 })).rejects.toMatchObject({ status: 507 })
    state.broken = false
    await Promise.all([lights.put('a', { on: true, level: 3 }), lights.put('b', { on: true }), lights.put('c', { on: true })])
    const second = lightsApp({ storage: failing(inner).storage })
    expect((await second.lights.get('a'))?.state.level).toBe(3)
    await lights.close()
  })

  test('does not count documents that could not be written', async () => {
    const { storage, state } = failing(memory())
    const { lights } = lightsApp({ storage, limits: { documents: 2 } })
    state.broken = true
    for (let at = 0; at < 5; at++) await expect(lights.put(`l${at}`, { on: true })).rejects.toMatchObject({ detail: 'There is no room.' })
    state.broken = false
    const puts = await Promise.allSettled(Array.from({ length: 5 }, (_, at) => lights.put(`l${at}`, { on: true })))
    expect(puts.filter(({ status }) => status === 'fulfilled')).toHaveLength(2)
    await lights.close()
  })
})

const mounts: string[] = []
afterAll(() => {
  for (const path of mounts) {
    execFileSync('umount', [path])
    rmSync(path, { recursive: true })
  }
})

const mounted = (size: string): string | null => {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return null
  const path = mkdtempSync(join(tmpdir(), 'iopa-full-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path], { stdio: 'ignore' })
  } catch {
    rmSync(path, { recursive: true })
    return null
  }
  mounts.push(path)
  return path
}

const small = mounted('3m')

test.skipIf(small === null)('a disk() without room answers 507, and writes again without a restart when there is room', async () => {
  const path = small as string
  const storage = disk(join(path, 'data'))
  const lights = store(light, { storage, limits: { documentBytes: 1e6 } })
  const kept = new Map<string, number>()
  const name = (at: number): string => String(at).padEnd(20_000, String.fromCharCode(97 + (at % 26)))
  await lights.put('first', { on: true, level: 1 })
  // Room that is given back later.
  writeFileSync(join(path, 'ballast'), new Uint8Array(1_500_000))
  let refused = 0
  for (let at = 0; refused < 10; at++) {
    try {
      await lights.put(`l${at}`, { on: true, name: name(at) })
      kept.set(`l${at}`, at)
    } catch (error) {
      expect(error).toMatchObject({ status: 507, code: 'storage-full' })
      refused++
    }
  }
  await expect(lights.put('first', { on: true, level: 2, name: name(1) })).rejects.toMatchObject({ status: 507 })
  expect((await lights.get('first'))?.state.level).toBe(1)
  rmSync(join(path, 'ballast'))
  await lights.put('first', { on: true, level: 3 })
  await lights.put('last', { on: true, name: name(7) })
  await lights.close()
  const again = store(light, { storage: disk(join(path, 'data')) })
  const found = await again.list()
  expect(found.map(({ id }) => id).sort()).toEqual([...kept.keys(), 'first', 'last'].sort())
  for (const { id, state } of found) if (kept.has(id)) expect(state.name).toBe(name(kept.get(id) as number))
  expect((await again.get('first'))?.state.level).toBe(3)
  await again.close()
})
