import { mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type App, type Context, reply } from '@iopa/appbuilder'
import type { ReceivedAnswer } from '@iopa/context'
import { afterEach, describe, expect, test } from 'vitest'
import { type FileSource, fileSystem, memory, serveStatic } from '../src/index.ts'
import { appWithProtocols } from './protocols.ts'

const apps: App[] = []
const folders: string[] = []

afterEach(async () => {
  for (const app of apps.splice(0)) {
    await app.close()
    expect(app.live).toBe(0)
  }
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

const folderWith = (name: string, content: string): string => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'iopa-observe-')))
  folders.push(folder)
  writeFileSync(join(folder, name), content)
  return folder
}

const appOf = (source: FileSource, watchInterval = 10): App => {
  const app = appWithProtocols().use(serveStatic(source, { watchInterval }))
  apps.push(app)
  return app
}

/** The texts of an observation, one after the other. */
const texts = (observation: AsyncIterable<ReceivedAnswer>): (() => Promise<string | undefined>) => {
  const iterator = observation[Symbol.asyncIterator]()
  return async () => {
    const { value, done } = await iterator.next()
    return done === true ? undefined : value.text()
  }
}

/** Counts looks, and lets a test wait for the next ones. */
const counted = (source: FileSource): FileSource & { looks: number } => {
  const counter = {
    looks: 0,
    stat: (path: string) => {
      counter.looks++
      return source.stat(path)
    },
    open: (path: string) => source.open(path)
  }
  return counter
}

describe('observing a file', () => {
  test('delivers its content, and again after each change', async () => {
    const folder = folderWith('a.txt', 'one')
    const app = appOf(fileSystem(folder))
    const stop = new AbortController()
    const next = texts(app.observe('/a.txt', { signal: stop.signal }))
    expect(await next()).toBe('one')
    writeFileSync(join(folder, 'a.txt'), 'two')
    expect(await next()).toBe('two')
    writeFileSync(join(folder, 'a.new'), 'three')
    renameSync(join(folder, 'a.new'), join(folder, 'a.txt'))
    expect(await next()).toBe('three')
    stop.abort()
    expect(await next()).toBeUndefined()
  })

  test('delivers a change announced by notify() at once', async () => {
    const files = memory({ '/a.txt': 'one' })
    const app = appOf(files, 60_000)
    const stop = new AbortController()
    const next = texts(app.observe('/a.txt', { signal: stop.signal }))
    expect(await next()).toBe('one')
    files.set('/a.txt', 'two')
    app.notify('/a.txt')
    expect(await next()).toBe('two')
    stop.abort()
  })

  test('delivers a change made by a later handler', async () => {
    const files = memory({ '/a.txt': 'one' })
    const app = appOf(files, 60_000).use(async (context: Context) => {
      files.set(context.path, await context.bytes())
      return reply(204)
    })
    const stop = new AbortController()
    const next = texts(app.observe('/a.txt', { signal: stop.signal }))
    expect(await next()).toBe('one')
    await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/a.txt', 'iopa.Body': 'two' })
    expect(await next()).toBe('two')
    stop.abort()
  })

  test('works below a mount, with the whole path', async () => {
    const files = memory({ '/a.txt': 'one' })
    const app = appWithProtocols().mount('/files', serveStatic(files, { watchInterval: 10 }))
    apps.push(app)
    const stop = new AbortController()
    const next = texts(app.observe('/files/a.txt', { signal: stop.signal }))
    expect(await next()).toBe('one')
    files.set('/a.txt', 'two')
    expect(await next()).toBe('two')
    stop.abort()
  })

  test('ends when the file is deleted', async () => {
    const folder = folderWith('a.txt', 'one')
    const iterator = appOf(fileSystem(folder)).observe('/a.txt')[Symbol.asyncIterator]()
    expect((await iterator.next()).value?.status).toBe(200)
    unlinkSync(join(folder, 'a.txt'))
    await expect(iterator.next()).rejects.toMatchObject({ status: 404 })
  })

  test('polls only while it is observed, once for all observers', async () => {
    const source = counted(memory({ '/a.txt': 'one' }))
    const app = appOf(source)
    const stops = Array.from({ length: 20 }, () => new AbortController())
    const observers = stops.map(({ signal }) => texts(app.observe('/a.txt', { signal })))
    await Promise.all(observers.map(next => next()))
    const registered = source.looks
    while (source.looks < registered + 5) await new Promise(done => setTimeout(done, 5))
    for (const stop of stops) stop.abort()
    await Promise.all(observers.map(next => next()))
    expect(app.live).toBe(0)
    const last = source.looks
    await new Promise(done => setTimeout(done, 50))
    expect(source.looks).toBeLessThanOrEqual(last + 1)
  })

  test('does not poll a path that another handler answers', async () => {
    const source = counted(memory())
    const app = appOf(source).use(() => 'dynamic')
    const stop = new AbortController()
    const next = texts(app.observe('/lights', { signal: stop.signal }))
    expect(await next()).toBe('dynamic')
    const { looks } = source
    await new Promise(done => setTimeout(done, 60))
    expect(source.looks).toBe(looks)
    stop.abort()
  })

  test('works when several apps share one middleware', async () => {
    const files = memory({ '/a.txt': 'one' })
    const middleware = serveStatic(files, { watchInterval: 10 })
    const both = [0, 1].map(() => appWithProtocols().use(middleware))
    apps.push(...both)
    const stop = new AbortController()
    const nexts = both.map(app => texts(app.observe('/a.txt', { signal: stop.signal })))
    for (const next of nexts) expect(await next()).toBe('one')
    files.set('/a.txt', 'two')
    for (const next of nexts) expect(await next()).toBe('two')
    stop.abort()
  })
})

test('notifies CoAP observers of a directory when a file is added or removed', async () => {
  const folder = folderWith('a.txt', 'one')
  mkdirSync(join(folder, 'docs'))
  writeFileSync(join(folder, 'index.html'), 'index')
  const app = appOf(fileSystem(folder))
  const changes: string[] = []
  for (const path of ['/', '/docs/', '/docs']) {
    const context = app.create({ 'iopa.Path': path, 'iopa.Scheme': 'coap', 'iopa.Observe': true })
    await app.invoke(context)
    expect(context.response.type).toBe('application/link-format')
    const { notify } = context.environment
    context.environment.notify = (changed, origin) => {
      changes.push(changed)
      notify(changed, origin)
    }
    const before = changes.length
    writeFileSync(join(folder, path, `${before}.txt`), 'two')
    while (changes.length === before) await new Promise(done => setTimeout(done, 5))
    expect(changes.at(-1)).toBe(path)
    context.environment.notify = notify
    await context.end()
  }
})
