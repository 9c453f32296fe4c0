import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type App, type Bag, type Context, reply } from '@iopa/appbuilder'
import type { LinkAnswer, ReceivedAnswer } from '@iopa/context'
import type { RandomAccessBody } from '@iopa/transport'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type FileSource, type MemorySource, memory, type Representation, type StaticOptions, serveStatic } from '../src/index.ts'
import { appWithProtocols } from './protocols.ts'

let files: MemorySource
let apps: App[] = []

beforeEach(() => {
  files = memory({ '/a.txt': '0123456789', '/index.html': '<p>', '/docs/index.html': 'd', '/bare/x.bin': 'x', '/sp ace/é.txt': 'u' })
})

afterEach(async () => {
  for (const app of apps) {
    await app.close()
    expect(app.live).toBe(0)
  }
  apps = []
})

const appOf = (options: StaticOptions = {}, source: FileSource = files): App => {
  const app = appWithProtocols().use(serveStatic(source, options))
  apps.push(app)
  return app
}

const ask = (app: App, path: string, bag: Bag = {}): Promise<ReceivedAnswer> => app.invoke({ 'iopa.Method': 'GET', 'iopa.Path': path, ...bag })

describe('serveStatic', () => {
  test('answers a file with status, headers, type and body', async () => {
    const answer = await ask(appOf({ maxAge: 60 }), '/a.txt')
    expect([answer.status, answer.type, await answer.text()]).toEqual([200, 'text/plain; charset=utf-8', '0123456789'])
    expect(answer.headers.get('etag')).toMatch(/^"[^"]+"$/)
    expect(answer.headers.get('last-modified')).toMatch(/GMT$/)
    expect(answer.headers.get('cache-control')).toBe('public, max-age=60')
    expect(answer.headers.get('accept-ranges')).toBe('bytes')
    expect(answer.headers.has('vary')).toBe(false)
  })

  test('has its name in what explain() tells', () => {
    expect(
      appOf()
        .explain()
        .pipeline.map(({ name }) => name)
    ).toContain('static')
  })

  test('answers a known file synchronously', async () => {
    const app = appOf()
    await ask(app, '/a.txt')
    const run = app.build()
    const context = app.create({ 'iopa.Path': '/a.txt' })
    void run(context)
    expect(context.response.status).toBe(200)
    expect(context.response.body).toBeInstanceOf(Uint8Array)
    await context.end()
  })

  test('shares bytes and header list among the answers of a known file', async () => {
    const app = appOf()
    await ask(app, '/a.txt')
    const [one, two] = [await ask(app, '/a.txt'), await ask(app, '/a.txt')]
    expect((one as LinkAnswer).payload).toBe((two as LinkAnswer).payload)
    expect((one as LinkAnswer).headerPairs).toBe((two as LinkAnswer).headerPairs)
  })

  test('keeps headers that earlier middleware set', async () => {
    const app = appWithProtocols()
      .use((context, next) => {
        context.response.headers.set('vary', 'origin')
        context.response.headers.set('x-before', 'yes')
        return next()
      })
      .use(serveStatic(files, { precompressed: true }))
    apps.push(app)
    files.set('/a.txt.gz', 'z')
    const answer = await ask(app, '/a.txt')
    expect(answer.headers.get('x-before')).toBe('yes')
    expect(answer.headers.getAll('vary')).toEqual(['origin', 'accept-encoding'])
    const again = await ask(app, '/a.txt')
    expect(again.headers.getAll('vary')).toEqual(['origin', 'accept-encoding'])
  })

  test('answers 416 for a range of an empty file, but not for HEAD or a failed If-Range', async () => {
    files.set('/empty.txt', '')
    const app = appOf()
    const range = (headers: Record<string, string>, method = 'GET'): Promise<ReceivedAnswer> =>
      ask(app, '/empty.txt', { 'iopa.Method': method, 'iopa.Headers': headers })
    for (const value of ['bytes=0-', 'bytes=0-0', 'bytes=-1']) {
      const answer = await range({ range: value })
      expect([answer.status, answer.headers.get('content-range')], value).toEqual([416, 'bytes */0'])
    }
    expect((await range({ range: 'bytes=0-' }, 'HEAD')).status).toBe(200)
    expect((await range({ range: 'bytes=0-', 'if-range': '"other"' })).status).toBe(200)
    expect((await range({ range: 'lines=0-' })).status).toBe(200)
  })

  test("serves names that are special only on Windows with names: 'posix'", async () => {
    for (const name of ['/12:30.log', '/aux.js']) {
      files.set(name, 'x')
      expect((await ask(appOf(), name)).status).toBe(404)
      expect((await ask(appOf({ names: 'posix' }), name)).status).toBe(process.platform === 'win32' ? 404 : 200)
    }
    expect(() => serveStatic(files, { names: 'all' as never })).toThrow(/names/)
  })

  test('calls next() for a path without a file', async () => {
    const app = appOf().use(context => (context.path === '/dynamic' ? 'dynamic' : undefined))
    expect(await (await ask(app, '/dynamic')).text()).toBe('dynamic')
    expect(await (await ask(app, '/a.txt')).text()).toBe('0123456789')
    expect((await ask(appOf(), '/missing')).status).toBe(404)
  })

  test('works below a mount', async () => {
    const app = appWithProtocols().mount('/files', serveStatic(files))
    apps.push(app)
    expect(await (await ask(app, '/files/a.txt')).text()).toBe('0123456789')
    expect(await (await ask(app, '/files/docs/')).text()).toBe('d')
    expect((await ask(app, '/a.txt')).status).toBe(404)
    expect((await ask(app, '/filesa.txt')).status).toBe(404)
  })

  test('takes a folder by path, and refuses a wrong one at once', () => {
    expect(() => serveStatic(join(tmpdir(), 'iopa-no-such-folder'))).toThrow(/iopa-no-such-folder/)
    expect(() => serveStatic(files, { maxAge: -1 })).toThrow(/maxAge/)
    expect(() => serveStatic(files, { cache: { maxBytes: Number.NaN } })).toThrow(/maxBytes/)
  })

  test('answers HEAD like GET without opening the file', async () => {
    let opens = 0
    const source: FileSource = {
      stat: path => files.stat(path),
      open: path => {
        opens++
        return files.open(path)
      }
    }
    const app = appOf({}, source)
    const head = await ask(app, '/a.txt', { 'iopa.Method': 'HEAD' })
    expect([head.status, head.type, opens]).toEqual([200, 'text/plain; charset=utf-8', 0])
    const get = await ask(app, '/a.txt')
    expect(opens).toBe(1)
    expect((head as LinkAnswer).headerPairs).toEqual((get as LinkAnswer).headerPairs)
  })

  test('knows the size of a HEAD body without reading it', async () => {
    const app = appOf()
    const context = app.create({ 'iopa.Method': 'HEAD', 'iopa.Path': '/a.txt' })
    await app.invoke(context)
    expect((context.response.payload as RandomAccessBody).size).toBe(10)
    await context.end()
  })

  test('gives a large file as a random-access body whose descriptor belongs to the context', async () => {
    let closed = 0
    const source: FileSource = {
      stat: path => files.stat(path),
      open: async path => {
        const file = (await files.open(path))!
        return {
          info: file.info,
          read: (start, end) => file.read(start, end),
          close: async () => {
            closed++
          }
        }
      }
    }
    const app = appOf({ cache: { maxFileSize: 4 } }, source)
    const context = app.create({ 'iopa.Path': '/a.txt' })
    await app.invoke(context)
    const body = context.response.payload as RandomAccessBody
    expect(body.size).toBe(10)
    expect(new TextDecoder().decode(await body.read(3, 5))).toBe('34')
    expect(closed).toBe(0)
    await context.end('disconnect')
    expect(closed).toBeGreaterThan(0)
    await expect(app.invoke({ 'iopa.Path': '/a.txt' }).then(answer => answer.text())).resolves.toBe('0123456789')
  })

  test('leaves nothing open when the context ends while the file is being opened', async () => {
    let release = () => {}
    let closed = 0
    const source: FileSource = {
      stat: path => files.stat(path),
      open: async path => {
        await new Promise<void>(done => {
          release = done
        })
        const file = (await files.open(path))!
        return {
          ...file,
          close: async () => {
            closed++
          }
        }
      }
    }
    const app = appOf({ cache: { maxFileSize: 0 } }, source)
    const context = app.create({ 'iopa.Path': '/a.txt' })
    const running = app.invoke(context)
    await new Promise(setImmediate)
    await context.end('disconnect')
    release()
    await running
    expect(closed).toBeGreaterThan(0)
  })

  describe('directories', () => {
    test('serve their index', async () => {
      expect(await (await ask(appOf(), '/')).text()).toBe('<p>')
      expect(await (await ask(appOf(), '/docs/')).text()).toBe('d')
      expect((await ask(appOf({ index: [] }), '/')).status).toBe(404)
      expect(await (await ask(appOf({ index: ['none', 'x.bin'] }), '/bare/')).text()).toBe('x')
    })

    test('redirect on HTTP without a final slash, with query kept and mount and names encoded', async () => {
      const app = appWithProtocols().mount('/f é', serveStatic(files))
      apps.push(app)
      const answer = await ask(app, '/f é/sp ace', { 'iopa.Scheme': 'http', 'iopa.QueryString': 'a=b' })
      expect([answer.status, answer.headers.get('location')]).toEqual([301, '/f%20%C3%A9/sp%20ace/?a=b'])
      expect((await ask(appOf({ redirect: false }), '/docs', { 'iopa.Scheme': 'https' })).status).toBe(404)
    })

    test('redirect on HTTP at the path of their mount, so that links of the index resolve below it', async () => {
      const bag = { 'iopa.Scheme': 'http', 'iopa.QueryString': 'a=b' }
      const inner = appWithProtocols().mount('/docs', serveStatic(files))
      const middleware = appWithProtocols().mount('/docs', serveStatic(files))
      const nested = appWithProtocols().mount('/outer', inner)
      const ownApp = appWithProtocols().mount('/docs', appWithProtocols().use(serveStatic(files)))
      apps.push(middleware, nested, ownApp)
      for (const [app, path] of [
        [middleware, '/docs'],
        [nested, '/outer/docs'],
        [ownApp, '/docs']
      ] as const) {
        for (const method of ['GET', 'HEAD']) {
          // The second time the index is known.
          for (let round = 0; round < 2; round++) {
            const answer = await ask(app, path, { ...bag, 'iopa.Method': method })
            expect([answer.status, answer.headers.get('location')], `${method} ${path}`).toEqual([301, `${path}/?a=b`])
          }
        }
        expect(await (await ask(app, `${path}/`, bag)).text()).toBe('<p>')
        expect(await (await ask(app, path, { 'iopa.Scheme': 'mqtt' })).text()).toBe('<p>')
      }
      const plain = appWithProtocols().mount('/docs', serveStatic(files, { redirect: false }))
      apps.push(plain)
      expect((await ask(plain, '/docs', bag)).status).toBe(404)
      expect((await ask(plain, '/docs/', bag)).status).toBe(200)
      expect((await ask(appOf(), '/', bag)).status).toBe(200)
      expect((await ask(appWithProtocols().use(appOf()), '/', bag)).status).toBe(200)
    })

    test('call next() at their mount when they have no index', async () => {
      const app = appWithProtocols()
        .mount('/docs', serveStatic(files, { index: [] }))
        .use(() => 'further on')
      apps.push(app)
      expect(await (await ask(app, '/docs', { 'iopa.Scheme': 'http' })).text()).toBe('further on')
    })

    test('serve the index without a final slash on protocols without relative links', async () => {
      expect(await (await ask(appOf(), '/docs', { 'iopa.Scheme': 'mqtt' })).text()).toBe('d')
      expect((await ask(appOf(), '/bare', { 'iopa.Scheme': 'mqtt' })).status).toBe(404)
    })

    test('are link lists for CoAP, with and without a final slash', async () => {
      const app = appWithProtocols().mount('/files', serveStatic(files))
      apps.push(app)
      for (const path of ['/files/docs', '/files/docs/']) {
        const answer = await ask(app, path, { 'iopa.Scheme': 'coap' })
        expect([answer.status, answer.type, await answer.text()]).toEqual([
          200,
          'application/link-format',
          '</files/docs/index.html>;type="text/html; charset=utf-8"'
        ])
      }
      const root = await ask(app, '/files', { 'iopa.Scheme': 'coap+tcp' })
      expect(await root.text()).toContain('</files/docs/>;ct=40')
      const tag = root.headers.get('etag')!
      expect((await ask(app, '/files/', { 'iopa.Scheme': 'coap', 'iopa.Headers': { 'if-none-match': tag } })).status).toBe(304)
    })

    test('are listed for other protocols only on request and if allowed', async () => {
      const headers = { 'iopa.Scheme': 'http', 'iopa.Headers': { accept: 'application/link-format' } }
      expect((await ask(appOf(), '/bare/', headers)).status).toBe(404)
      expect((await ask(appOf({ listing: true }), '/bare/', headers)).type).toBe('application/link-format')
      expect((await ask(appOf({ listing: true }), '/bare/', { 'iopa.Scheme': 'http' })).status).toBe(404)
      expect((await ask(appOf({ listing: false }), '/bare/', { 'iopa.Scheme': 'coap' })).status).toBe(404)
    })

    test('serve the index for CoAP when the source cannot list', async () => {
      const source: FileSource = { stat: path => files.stat(path), open: path => files.open(path) }
      expect(await (await ask(appOf({}, source), '/docs/', { 'iopa.Scheme': 'coap' })).text()).toBe('d')
    })

    test('list neither dot names nor refused names', async () => {
      files.set('/bare/.env', 's')
      files.set('/bare/.well-known/core', 's')
      files.set('/bare/con', 's')
      expect(await (await ask(appOf(), '/bare/', { 'iopa.Scheme': 'coap' })).text()).toBe(
        '</bare/.well-known/>;ct=40,</bare/x.bin>;type="application/octet-stream"'
      )
    })
  })

  describe('other methods', () => {
    test('answer 405 with Allow on a file, 404 otherwise', async () => {
      for (const method of ['PUT', 'POST', 'DELETE', 'PATCH', 'FETCH']) {
        const answer = await ask(appOf(), '/a.txt', { 'iopa.Method': method })
        expect([answer.status, answer.headers.get('allow')], method).toEqual([405, 'GET, HEAD, OPTIONS'])
        expect((await ask(appOf(), '/missing', { 'iopa.Method': method })).status, method).toBe(404)
      }
    })

    test('answer OPTIONS on a file with Allow', async () => {
      const answer = await ask(appOf(), '/a.txt', { 'iopa.Method': 'OPTIONS' })
      expect([answer.status, answer.headers.get('allow')]).toEqual([204, 'GET, HEAD, OPTIONS'])
    })

    test('go to the rest of the pipeline, and a read after a write returns the new content', async () => {
      const app = appOf().use(async (context: Context) => {
        if (context.method !== 'PUT') return undefined
        files.set(context.path, await context.bytes())
        return reply(204)
      })
      expect(await (await ask(app, '/a.txt')).text()).toBe('0123456789')
      expect((await ask(app, '/new.txt')).status).toBe(404)
      for (const path of ['/a.txt', '/new.txt']) {
        expect((await ask(app, path, { 'iopa.Method': 'PUT', 'iopa.Body': 'written' })).status).toBe(204)
        expect(await (await ask(app, path)).text()).toBe('written')
      }
    })

    test('ignores control methods', async () => {
      let asked = 0
      const source: FileSource = {
        open: path => files.open(path),
        stat: path => {
          asked++
          return files.stat(path)
        }
      }
      await ask(appOf({}, source), '/a.txt', { 'iopa.Method': 'SUBSCRIBE' })
      expect(asked).toBe(0)
    })
  })

  test('adds headers from the option, by path and representation', async () => {
    const seen: string[] = []
    const app = appOf({
      immutable: true,
      headers: (path, representation) => {
        seen.push(path)
        const values: Record<string, string> = { 'x-size': String(representation.size) }
        if (path.endsWith('.html')) values['cache-control'] = 'no-cache'
        return values
      }
    })
    expect((await ask(app, '/a.txt')).headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
    const page = await ask(app, '/')
    expect([page.headers.get('cache-control'), page.headers.get('x-size')]).toEqual(['no-cache', '3'])
    await ask(app, '/a.txt')
    expect(seen).toEqual(['/a.txt', '/index.html'])
    const fixed = await ask(appOf({ headers: { 'x-fixed': 'yes' } }), '/a.txt')
    expect(fixed.headers.get('x-fixed')).toBe('yes')
  })

  test('opens a representation whole or in part, until the file changes', async () => {
    let known: Representation | undefined
    const app = appOf({
      headers: (_path, representation) => {
        known ??= representation
        return {}
      }
    })
    await ask(app, '/a.txt', { 'iopa.Method': 'HEAD' })
    const opened = (await known!.open({ start: 2, end: 5 })) as RandomAccessBody & AsyncDisposable
    expect([opened.size, new TextDecoder().decode(await opened.read(0, 3))]).toEqual([3, '234'])
    await opened[Symbol.asyncDispose]()
    await expect(known!.open(undefined, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough')
    files.set('/a.txt', 'changed')
    expect(await known!.open()).toBeUndefined()
  })

  test('answers 500 without details for errors of the source', async () => {
    const broken = (error: Error): FileSource => ({ stat: path => files.stat(path), open: () => Promise.reject(error) })
    const answer = await ask(appOf({}, broken(new Error('EIO /secret/path'))), '/a.txt')
    expect(answer.status).toBe(500)
    expect(await answer.text()).not.toContain('secret')
  })

  test('fails a file that is truncated while it is read', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'iopa-truncate-'))
    const path = join(folder, 'big.bin')
    writeFileSync(path, Buffer.alloc(3 << 20, 1))
    const app = appWithProtocols().use(serveStatic(folder))
    apps.push(app)
    const answer = await ask(app, '/big.bin')
    const iterator = ((answer as LinkAnswer).payload as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
    await iterator.next()
    truncateSync(path, 1 << 20)
    await expect(iterator.next()).rejects.toThrow(/shorter/)
    rmSync(folder, { recursive: true })
  })
})
