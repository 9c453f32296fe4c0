import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { storageContract } from '@iopa/testing'
import { afterAll, describe, expect, test } from 'vitest'
import { disk } from '../../src/disk.ts'
import { memory } from '../../src/index.ts'
import { lightsApp } from '../support.ts'

const folders: string[] = []
const folder = async (): Promise<string> => {
  const made = await mkdtemp(join(tmpdir(), 'iopa-storage-'))
  folders.push(made)
  return made
}
afterAll(() => Promise.all(folders.map(path => rm(path, { recursive: true }))))

describe('memory()', () => {
  for (const { name, run } of storageContract({ create: memory })) test(name, run)
})

describe('disk()', () => {
  for (const { name, run } of storageContract({ create: async () => disk(await folder()) })) test(name, run)

  test('keeps what it was given for the next start', async () => {
    const path = await folder()
    const first = disk(path)
    await first.put('a', Uint8Array.of(1, 2))
    await first.close()
    const second = disk(join(path, '.'))
    expect(new Uint8Array((await second.get('a')) ?? [])).toEqual(Uint8Array.of(1, 2))
    await second.close()
  })

  test('names a folder that another one uses, and works when that has closed', async () => {
    const path = await folder()
    const first = disk(path)
    await first.put('a', Uint8Array.of(1))
    const second = disk(path)
    await expect(second.put('a', Uint8Array.of(2))).rejects.toMatchObject({ status: 503, code: 'store-locked' })
    await first.close()
    await second.put('a', Uint8Array.of(2))
    expect(new Uint8Array((await second.get('a')) ?? [])).toEqual(Uint8Array.of(2))
    await second.close()
  })

  test('names a folder that cannot be made', async () => {
    await expect(disk('/dev/null/data').get('a')).rejects.toMatchObject({ status: 500, code: 'store-unavailable' })
    // The path is for the log.
    const { app, ask } = lightsApp({ storage: disk('/dev/null/data') })
    const answer = await ask('GET', '/lights/hall')
    expect(answer.status).toBe(500)
    expect(JSON.stringify(answer.body)).not.toMatch(/dev|folder/)
    await app.close()
  })
})
