// What is bounded stays bounded: the memory of the cache, what is loaded at once, what one connection has watched, and how old an answer may be.
import type { App, Context } from '@iopa/appbuilder'
import type { OwnedContext } from '@iopa/context/host'
import type { Endpoint } from '@iopa/transport'
import { afterEach, describe, expect, test } from 'vitest'
import { BoundedCache } from '../src/cache.ts'
import { type FileSource, memory, serveStatic } from '../src/index.ts'
import { type FileResource, Lookup } from '../src/lookup.ts'
import { type ResourceOptions, Resources } from '../src/resources.ts'
import { appWithProtocols } from './protocols.ts'

const resourcesOf = (source: FileSource, options: Partial<ResourceOptions> = {}): Resources => {
  const settings = {
    index: [],
    extensions: [],
    encodings: [],
    etag: 'strong' as const,
    dotfiles: [],
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

describe('memory of the cache', () => {
  test('counts content as soon as an entry holds it', () => {
    const cache = new BoundedCache<number>({ maxBytes: 20_000, maxFiles: 100 })
    for (let key = 0; key < 10; key++) cache.set(String(key), key)
    for (let key = 0; key < 10; key++) {
      cache.grow(String(key), key, 5000)
      expect(cache.bytes).toBeLessThanOrEqual(20_000)
    }
    expect(cache.bytes).toBeGreaterThan(10_000)
  })

  test('loads concurrent cold files only while the cache has room, and streams the others', async () => {
    const files = memory(Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`/${at}`, 'x'.repeat(4000)])))
    let release = (): void => undefined
    let opens = 0
    const gate = new Promise<void>(done => {
      release = done
    })
    const slow: FileSource = {
      stat: path => files.stat(path),
      open: async path => {
        opens++
        const file = (await files.open(path))!
        return {
          ...file,
          read: async (start, end) => {
            await gate
            return file.read(start, end)
          }
        }
      }
    }
    const resources = resourcesOf(slow, { maxBytes: 12_000 })
    const asked = Array.from({ length: 20 }, async (_, at) => {
      const resource = (await resources.find(`/${at}`)) as FileResource
      return resources.content(`/${at}`, resource, resource.plain)
    })
    await new Promise(setImmediate)
    release()
    const contents = await Promise.all(asked)
    expect(contents.filter(content => content?.bytes !== undefined).length).toBe(3)
    expect(contents.filter(content => content?.file !== undefined).length).toBe(17)
    expect(opens).toBe(20)
  })
})

describe('age of cache entries', () => {
  test('checks at the next request after the clock was set back', async () => {
    let now = 10_000
    const files = memory({ '/a': 'one' })
    const resources = resourcesOf(files, { now: () => now })
    await resources.find('/a')
    now = 5000
    expect(resources.peek('/a')).toBeUndefined()
    files.set('/a', 'longer')
    expect(await resources.find('/a')).toMatchObject({ plain: { size: 6 } })
  })

  test('counts from the start of a check, however long it takes', async () => {
    let now = 0
    const files = memory()
    files.set('/a', 'one', { lastModified: 0 })
    const slow: FileSource = {
      open: path => files.open(path),
      stat: async path => {
        const info = await files.stat(path)
        now += 600
        return info
      }
    }
    const resources = resourcesOf(slow, { now: () => now })
    await resources.find('/a')
    // The first look makes the entry, the second confirms it.
    await resources.refresh('/a')
    expect(resources.peek('/a')).toBeDefined()
    now += 400
    expect(resources.peek('/a')).toBeUndefined()
  })

  test('ends when the file has gone at its opening', async () => {
    const files = memory({ '/a': 'one' })
    const app = appWithProtocols().use(serveStatic({ stat: path => files.stat(path), open: async () => undefined }))
    const ask = async (method: string) => (await app.invoke({ 'iopa.Method': method, 'iopa.Path': '/a' })).status
    expect([await ask('HEAD'), await ask('GET')]).toEqual([200, 404])
    files.delete('/a')
    expect(await ask('HEAD')).toBe(404)
    await app.close()
  })
})

describe('subscriptions of one connection', () => {
  let app: App
  let looks: Map<string, number>

  afterEach(async () => {
    await app.close()
    expect(app.live).toBe(0)
  })

  const open = (names: readonly string[]) => {
    const files = memory(Object.fromEntries(names.map(name => [name, 'x'])))
    looks = new Map()
    const source: FileSource = {
      open: path => files.open(path),
      stat: path => {
        looks.set(path, (looks.get(path) ?? 0) + 1)
        return files.stat(path)
      }
    }
    app = appWithProtocols().use(serveStatic(source, { watchInterval: 5 }))
    const host = app.host()
    const endpoint: Endpoint = { ...app.create({}).endpoint, protocol: 'MQTT/5.0', scheme: 'mqtt' }
    const make = (method: string, path: string, parent?: Context): Context =>
      host.create({ method, path, query: '', rawPath: path, endpoint, source: null }, parent as OwnedContext)
    const connection = make('CONNECT', '/')
    return {
      connection,
      async observe(path: string): Promise<void> {
        const context = make('GET', path, connection)
        context['iopa.Observe'] = true
        await app.invoke(context)
        await (context as OwnedContext).end()
      },
      async unsubscribe(path: string): Promise<void> {
        const context = make('UNSUBSCRIBE', path, connection)
        await app.invoke(context)
        await (context as OwnedContext).end()
      }
    }
  }

  /** The paths that are looked at in the rounds to come. */
  const watched = async (): Promise<Set<string>> => {
    await new Promise(done => setTimeout(done, 30))
    looks.clear()
    await new Promise(done => setTimeout(done, 60))
    return new Set(looks.keys())
  }

  test('watches at most a thousand, and drops the oldest', async () => {
    const names = Array.from({ length: 1003 }, (_, at) => `/${at}`)
    const { observe, connection } = open(names)
    for (const name of names) await observe(name)
    const seen = await watched()
    expect([seen.size, seen.has('/2'), seen.has('/3'), seen.has('/1002')]).toEqual([1000, false, true, true])
    await (connection as OwnedContext).end('disconnect')
    expect((await watched()).size).toBe(0)
  })

  test('watches a path once for two subscriptions, and not after unsubscribe', async () => {
    const { observe, unsubscribe, connection } = open(['/a', '/b'])
    await observe('/a')
    await observe('/a')
    await observe('/b')
    await unsubscribe('/a')
    expect([...(await watched())]).toEqual(['/b'])
    await (connection as OwnedContext).end('disconnect')
  })
})
