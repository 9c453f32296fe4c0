import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
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

  test.each([
    ['CURRENT is lost', [/^CURRENT$/], 'rm'],
    ['the manifest is lost', [/^MANIFEST/], 'rm'],
    ['both are lost', [/^CURRENT$/, /^MANIFEST/], 'rm'],
    ['the manifest is garbage', [/^MANIFEST/], 'write'],
    ['CURRENT is empty', [/^CURRENT$/], 'empty']
  ])('says how to salvage a folder where %s, and changes nothing', async (_, lost, how) => {
    const path = await folder()
    const first = disk(path)
    await first.put('a', Uint8Array.of(1, 2))
    await first.close()
    for (const name of await readdir(path)) {
      if (!lost.some(pattern => pattern.test(name))) continue
      if (how === 'rm') await rm(join(path, name))
      else await writeFile(join(path, name), how === 'empty' ? '' : 'garbage')
    }
    const before = (await readdir(path)).filter(name => !/^LO/.test(name))
    const second = disk(path)
    const error = (await second.get('a').catch((failure: unknown) => failure)) as { code: string; detail: string }
    expect([error.code, error.detail]).toEqual([
      'store-damaged',
      expect.stringMatching(/copy it and open it once with disk\(path, \{ repair: true \}\)/)
    ])
    await second.close()
    expect((await readdir(path)).filter(name => !/^LO/.test(name))).toEqual(before)
    const third = disk(path, { repair: true })
    expect(new Uint8Array((await third.get('a')) ?? [])).toEqual(Uint8Array.of(1, 2))
    await third.close()
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
