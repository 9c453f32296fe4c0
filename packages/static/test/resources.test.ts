import { mkdtempSync, realpathSync, rmSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { BoundedCache } from '../src/cache.ts'
import { fileSystem } from '../src/file-system.ts'
import { type FileResource, Lookup } from '../src/lookup.ts'
import { memory } from '../src/memory.ts'
import { type ResourceOptions, Resources } from '../src/resources.ts'
import type { FileSource, OpenFile } from '../src/source.ts'

const folders: string[] = []
const folder = (): string => {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'iopa-resources-')))
  folders.push(path)
  return path
}
afterAll(() => {
  for (const path of folders) rmSync(path, { recursive: true, force: true })
})

const resourcesOf = (source: FileSource, options: Partial<ResourceOptions> = {}): Resources => {
  const settings = {
    index: ['index.html'],
    extensions: [],
    encodings: [],
    etag: 'strong' as const,
    dotfiles: ['.well-known'],
    names: 'portable' as const,
    headers: () => ({}),
    maxBytes: 1 << 20,
    maxFiles: 1000,
    maxFileSize: 1 << 16,
    now: () => performance.now(),
    ...options
  }
  return new Resources(source, new Lookup(source, settings), settings)
}

/** A source that counts what it is asked for. */
const counted = (source: FileSource): FileSource & { stats: number; opens: number; closes: number } => {
  const closed = (file: OpenFile): Promise<void> => {
    counter.closes++
    return file.close()
  }
  const counter = {
    stats: 0,
    opens: 0,
    closes: 0,
    stat: (path: string) => {
      counter.stats++
      return source.stat(path)
    },
    open: async (path: string) => {
      counter.opens++
      const file = await source.open(path)
      return file && { info: file.info, read: (start: number, end: number) => file.read(start, end), close: () => closed(file) }
    },
    list: (path: string, limit: number) => source.list!(path, limit)
  }
  return counter
}

const fileAt = async (resources: Resources, path: string): Promise<FileResource> => {
  const resource = await resources.find(path)
  if (resource?.kind !== 'file') throw new Error(`${path} is no file`)
  return resource
}

const read = async (resources: Resources, path: string): Promise<string> => {
  const resource = await fileAt(resources, path)
  const content = await resources.content(path, resource, resource.plain)
  if (content?.bytes !== undefined) return new TextDecoder().decode(content.bytes)
  const bytes = await content!.file!.read(0, content!.representation.size)
  await content!.file!.close()
  return new TextDecoder().decode(bytes)
}

describe('resources', () => {
  test('finds files, indexes and directories', async () => {
    const resources = resourcesOf(
      memory({ '/index.html': 'i', '/a.txt': 'a', '/docs/index.html': 'd', '/bare/x': 'x', '/.env': 's', '/.well-known/y': 'y', '/d/.git/z': 'z' })
    )
    expect(await read(resources, '/')).toBe('i')
    expect(await read(resources, '/docs/')).toBe('d')
    expect((await resources.find('/docs'))?.kind).toBe('directory')
    expect((await resources.find('/bare/'))?.kind).toBe('directory')
    expect(await read(resources, '/.well-known/y')).toBe('y')
    for (const path of ['/missing', '/a.txt/', '/.env', '/d/.git/z', '/.git/', '/d/.git', '', 'a.txt'])
      expect(await resources.find(path), path).toBeUndefined()
  })

  test('tries extensions', async () => {
    const resources = resourcesOf(memory({ '/about.html': 'x', '/both': 'plain', '/both.html': 'html' }), { extensions: ['html'] })
    expect(await read(resources, '/about')).toBe('x')
    expect(await read(resources, '/both')).toBe('plain')
    expect((await fileAt(resources, '/about')).plain.mediaType).toBe('text/html; charset=utf-8')
  })

  test('answers a known path without the source', async () => {
    const source = counted(memory({ '/a': 'a' }))
    const resources = resourcesOf(source)
    await read(resources, '/a')
    const { stats, opens } = source
    for (let i = 0; i < 100; i++) await read(resources, '/a')
    expect([source.stats, source.opens, source.closes]).toEqual([stats, opens, opens])
    expect(resources.peek('/a')?.resource).toBeDefined()
  })

  test('caches a path without a file', async () => {
    const source = counted(memory())
    const resources = resourcesOf(source)
    await resources.find('/a')
    const { stats } = source
    await resources.find('/a')
    expect(source.stats).toBe(stats)
    expect(resources.peek('/a')).toMatchObject({ resource: undefined })
  })

  test('stats, opens and reads a cold file once for many requests', async () => {
    const source = counted(memory({ '/a': 'a' }))
    const resources = resourcesOf(source)
    await Promise.all(Array.from({ length: 100 }, () => read(resources, '/a')))
    expect([source.stats, source.opens]).toEqual([1, 1])
  })

  test('serves nothing unchecked for a second, and never blocks a busy path', async () => {
    let now = 0
    const files = memory({ '/a': 'one' })
    const source = counted(files)
    const resources = resourcesOf(source, { now: () => now })
    expect(await read(resources, '/a')).toBe('one')
    files.set('/a', 'two', { lastModified: 0 })
    now = 499
    expect(resources.peek('/a')).toBeDefined()
    expect(await read(resources, '/a')).toBe('one')
    const { stats } = source
    now = 700
    // Old enough to look again, young enough to be served at once.
    expect(resources.peek('/a')).toBeDefined()
    expect(resources.peek('/a')).toBeDefined()
    expect(source.stats).toBe(stats + 1)
    await new Promise(setImmediate)
    expect(await read(resources, '/a')).toBe('two')
    files.set('/a', 'three', { lastModified: 0 })
    now = 1701
    expect(resources.peek('/a')).toBeUndefined()
    expect(await read(resources, '/a')).toBe('three')
  })

  test('keeps the content of an unchanged file over checks', async () => {
    let now = 0
    const files = memory()
    files.set('/a', 'a', { lastModified: 0 })
    const source = counted(files)
    const resources = resourcesOf(source, { now: () => now })
    await read(resources, '/a')
    for (now = 1000; now < 10_000; now += 1000) await read(resources, '/a')
    expect(source.opens).toBe(1)
  })

  test('reads a recently written file again until a change must be visible', async () => {
    let now = 0
    const path = folder()
    writeFileSync(join(path, 'a'), 'one')
    const source = counted(fileSystem(path))
    const resources = resourcesOf(source, { now: () => now })
    await read(resources, '/a')
    now = 1001
    await read(resources, '/a')
    expect(source.opens).toBe(2)
    utimesSync(join(path, 'a'), 1, 1)
    for (now = 3000; now < 9000; now += 1000) await read(resources, '/a')
    expect(source.opens).toBe(3)
  })

  test('shows every kind of change on disk within a second', async () => {
    let now = 0
    const path = folder()
    const file = join(path, 'a')
    const resources = resourcesOf(fileSystem(path), { now: () => now, index: ['a'] })
    const link = (name: string, content: string): void => {
      writeFileSync(join(path, name), content)
      unlinkSync(file)
      symlinkSync(name, file)
    }
    const changes: [string, () => void][] = [
      ['one', () => writeFileSync(file, 'one')],
      ['two', () => writeFileSync(file, 'two')],
      ['a longer one', () => writeFileSync(file, 'a longer one')],
      ['', () => writeFileSync(file, '')],
      ['linked', () => link('b', 'linked')],
      ['relinked', () => link('c', 'relinked')]
    ]
    for (const [content, change] of changes) {
      change()
      now += 1001
      expect(await read(resources, '/a')).toBe(content)
      expect(await read(resources, '/')).toBe(content)
    }
    unlinkSync(file)
    now += 1001
    expect(await resources.find('/a')).toBeUndefined()
    expect((await resources.find('/'))?.kind).toBe('directory')
  })

  test('forget() makes the next request check, for every path that leads to the file', async () => {
    const files = memory({ '/d/index.html': 'one', '/p.html': 'one', '/z.txt': 'one', '/z.txt.gz': 'old' })
    const resources = resourcesOf(files, { extensions: ['html'], encodings: ['gzip'] })
    for (const path of ['/d/', '/d/index.html', '/p', '/p.html', '/z.txt', '/new']) await resources.find(path)
    for (const path of ['/d/index.html', '/p.html']) files.set(path, 'two')
    files.set('/z.txt.gz', 'new!')
    files.set('/new', 'n')
    for (const path of ['/d/index.html', '/p.html', '/z.txt.gz', '/new']) resources.forget(path)
    for (const path of ['/d/', '/d/index.html', '/p', '/p.html']) expect(await read(resources, path), path).toBe('two')
    expect((await fileAt(resources, '/z.txt')).encoded[0]?.size).toBe(4)
    expect(await read(resources, '/new')).toBe('n')
  })

  test('discards a check that began before forget()', async () => {
    const files = memory({ '/a': 'one' })
    let release = () => {}
    const slow: FileSource = {
      open: path => files.open(path),
      stat: async path => {
        const info = await files.stat(path)
        await new Promise<void>(done => {
          release = done
        })
        return info
      }
    }
    const resources = resourcesOf(slow)
    const early = resources.find('/a')
    await new Promise(setImmediate)
    const releaseEarly = release
    files.set('/a', 'four')
    resources.forget('/a')
    releaseEarly()
    expect(await early).toMatchObject({ plain: { size: 3 } })
    const late = resources.find('/a')
    await new Promise(setImmediate)
    release()
    expect(await late).toMatchObject({ plain: { size: 4 } })
  })

  test('describes the opened file when it changes between stat and open', async () => {
    for (const maxFileSize of [0, 1 << 16]) {
      const files = memory({ '/a.txt': 'one' })
      const racing: FileSource = {
        stat: path => files.stat(path),
        open: async path => {
          files.set('/a.txt', 'three')
          return files.open(path)
        }
      }
      const resources = resourcesOf(racing, { maxFileSize })
      const resource = await fileAt(resources, '/a.txt')
      const content = (await resources.content('/a.txt', resource, resource.plain))!
      expect(resource.plain.size).toBe(maxFileSize === 0 ? 3 : 5)
      expect(content.representation.size).toBe(5)
      expect(content.representation.etag).not.toBe(resource.plain === content.representation ? undefined : resource.plain.etag)
    }
  })

  test('answers 404 for a file that vanishes between stat and open', async () => {
    const files = memory({ '/a': 'one' })
    for (const maxFileSize of [0, 100]) {
      const resources = resourcesOf({ stat: path => files.stat(path), open: async () => undefined }, { maxFileSize })
      const resource = await fileAt(resources, '/a')
      expect(await resources.content('/a', resource, resource.plain)).toBeUndefined()
    }
  })

  test('fails for a file that is always shorter than its size, and does not cache it', async () => {
    const files = memory({ '/a': 'one' })
    const source = counted({
      stat: path => files.stat(path),
      open: async path => ({ ...(await files.open(path))!, read: async () => new Uint8Array(0) })
    })
    const resources = resourcesOf(source)
    const resource = await fileAt(resources, '/a')
    await expect(resources.content('/a', resource, resource.plain)).rejects.toThrow(/keeps changing/)
    expect(source.closes).toBe(source.opens)
  })

  test('passes an error of the source to the request, and does not cache it', async () => {
    const files = memory({ '/a': 'one' })
    let broken = true
    const resources = resourcesOf({
      open: path => files.open(path),
      stat: async path => (broken ? Promise.reject(new Error('EIO')) : files.stat(path))
    })
    await expect(resources.find('/a')).rejects.toThrow('EIO')
    broken = false
    expect(await read(resources, '/a')).toBe('one')
  })

  test('keeps the cache within its bytes and entries while everything is served', async () => {
    const files = memory()
    for (let i = 0; i < 200; i++) files.set(`/${i}`, String(i).padEnd(1000, '.'))
    const resources = resourcesOf(files, { maxBytes: 100_000, maxFiles: 40 })
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 200; i++) {
        expect((await read(resources, `/${i}`)).length).toBe(1000)
        expect(resources.bytes).toBeLessThanOrEqual(100_000)
      }
    }
    expect(resources.bytes).toBeGreaterThan(10_000)
  })

  test('opens a file that is too large for the cache each time', async () => {
    const source = counted(memory({ '/a': 'x'.repeat(100) }))
    const resources = resourcesOf(source, { maxFileSize: 99 })
    await read(resources, '/a')
    await read(resources, '/a')
    expect([source.stats, source.opens, source.closes]).toEqual([1, 2, 2])
  })

  test('keeps nothing with an empty cache', async () => {
    const source = counted(memory({ '/a': 'a' }))
    const resources = resourcesOf(source, { maxBytes: 0 })
    expect(await read(resources, '/a')).toBe('a')
    expect(await read(resources, '/a')).toBe('a')
    expect([source.stats, resources.bytes]).toEqual([2, 0])
  })

  test('serves precompressed files as representations of the resource, unless they are older', async () => {
    const files = memory()
    files.set('/a.js', 'plain', { lastModified: 5000 })
    files.set('/a.js.gz', 'gz', { lastModified: 5000 })
    files.set('/a.js.br', 'br', { lastModified: 4999 })
    const resource = await fileAt(resourcesOf(files, { encodings: ['br', 'gzip'] }), '/a.js')
    expect(resource.encodings).toEqual(['gzip'])
    expect(resource.encoded[0]).toMatchObject({ encoding: 'gzip', mediaType: 'text/javascript; charset=utf-8' })
    expect(resource.encoded[0]!.headers.join()).toMatch(/vary,accept-encoding,content-encoding,gzip$/)
    expect(resource.plain.headers.join()).toMatch(/vary,accept-encoding$/)
    expect(resource.plain.etag).not.toBe(resource.encoded[0]!.etag)
  })

  test('makes strong, weak, content or no entity tags', async () => {
    const files = memory({ '/a': 'same', '/b': 'same', '/c': 'else' })
    const tag = async (etag: ResourceOptions['etag'], path: string) => (await fileAt(resourcesOf(files, { etag }), path)).plain.etag
    expect(await tag('strong', '/a')).toMatch(/^"[!#-~]+"$/)
    expect(await tag('weak', '/a')).toMatch(/^W\/"[!#-~]+"$/)
    expect(await tag('hash', '/a')).toMatch(/^"[\w-]{22}"$/)
    expect(await tag('hash', '/a')).toBe(await tag('hash', '/b'))
    expect(await tag('hash', '/a')).not.toBe(await tag('hash', '/c'))
    expect(await tag('strong', '/a')).not.toBe(await tag('strong', '/b'))
    expect(await tag(false, '/a')).toBeUndefined()
  })

  test('uses no memory for 10,000 files until they are requested', async () => {
    const files = memory()
    for (let i = 0; i < 10_000; i++) files.set(`/${i % 100}/${i}.txt`, String(i))
    const source = counted(files)
    const resources = resourcesOf(source)
    expect([source.stats, source.opens, resources.bytes]).toEqual([0, 0, 0])
    expect(await read(resources, '/77/4277.txt')).toBe('4277')
    expect([source.stats, source.opens]).toEqual([1, 1])
  })
})

describe('bounded cache', () => {
  test('evicts the least recently used entry first', () => {
    const cache = new BoundedCache<number>({ maxBytes: 1e9, maxFiles: 3 })
    cache.set('hot', -1)
    for (let i = 0; i < 100; i++) {
      expect(cache.get('hot')).toBe(-1)
      cache.set(`cold${i}`, i)
    }
    expect(cache.size).toBe(3)
  })

  test('counts its bytes', () => {
    const cache = new BoundedCache<number>({ maxBytes: 10_000, maxFiles: 100 })
    cache.set('a', 1)
    const empty = cache.bytes
    expect(cache.grow('a', 1, 3000)).toBe(true)
    expect(cache.grow('a', 2, 3000)).toBe(false)
    expect(cache.grow('b', 1, 3000)).toBe(false)
    expect(cache.grow('a', 1, 9000)).toBe(false)
    expect(cache.bytes).toBe(empty + 3000)
    cache.set('a', 1)
    expect(cache.bytes).toBe(empty)
    cache.delete('a')
    expect([cache.bytes, cache.size]).toEqual([0, 0])
  })
})
