import { describe, expect, test } from 'vitest'
import { memory } from '../src/memory.ts'

describe('memory source', () => {
  test('has files and the directories that they imply', async () => {
    const source = memory({ '/a.txt': 'ä', '/docs/deep/b.bin': new Uint8Array([1, 2, 3]) })
    expect(await source.stat('/a.txt')).toMatchObject({ kind: 'file', size: 2 })
    expect(await source.stat('/docs/deep')).toMatchObject({ kind: 'directory' })
    expect(await source.stat('/docs')).toMatchObject({ kind: 'directory' })
    expect(await source.stat('/')).toMatchObject({ kind: 'directory' })
    expect(await source.stat('/doc')).toBeUndefined()
    expect(await source.open('/docs')).toBeUndefined()
    expect(await source.list!('/', 10)).toEqual([
      { name: 'a.txt', kind: 'file' },
      { name: 'docs', kind: 'directory' }
    ])
    expect(await source.list!('/docs', 10)).toEqual([{ name: 'deep', kind: 'directory' }])
  })

  test('gives a new version to a change, even with equal content; an open file keeps the old one', async () => {
    const source = memory({ '/a': 'one' })
    const file = (await source.open('/a'))!
    const before = (await source.stat('/a'))!.version
    source.set('/a', 'one')
    expect((await source.stat('/a'))!.version).not.toBe(before)
    source.set('/a', 'two')
    expect(new TextDecoder().decode(await file.read(0, 10))).toBe('one')
  })

  test('copies content', async () => {
    const bytes = new Uint8Array([1])
    const source = memory()
    source.set('/a', bytes)
    bytes[0] = 2
    expect([...(await (await source.open('/a'))!.read(0, 1))]).toEqual([1])
  })

  test('removes a directory with its last file', async () => {
    const source = memory({ '/d/e/a': 'a', '/d/b': 'b' })
    source.set('/d/b', 'again')
    expect(source.delete('/d/e/a')).toBe(true)
    expect(source.delete('/d/e/a')).toBe(false)
    expect(await source.stat('/d/e')).toBeUndefined()
    expect(await source.stat('/d')).toBeDefined()
    source.delete('/d/b')
    expect(await source.stat('/d')).toBeUndefined()
  })

  test('refuses an invalid path', () => {
    for (const path of ['', 'a', '/a/']) expect(() => memory({ [path]: '' }), path).toThrow(TypeError)
  })
})
