import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { renameSync, symlinkSync, truncateSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { http } from '@iopa/http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { descriptorsBelow, makeTree, type RawAnswer, rawHttp, SECRET, type Served, serve, type Tree, traversals } from './support.ts'

const MIB = 1024 * 1024
const script = 'x = 1\n'.repeat(1000)
// More than any buffer between the two ends holds.
const big = randomBytes(16 * MIB)
const modified = new Date('2024-05-17T12:30:15Z')
let tree: Tree
let served: Served
/** With options that change the answers. */
let tuned: Served

beforeAll(async () => {
  tree = makeTree({
    'small.txt': '0123456789',
    'app.js': script,
    'app.js.br': brotliCompressSync(script),
    'app.js.gz': gzipSync(script),
    'data.json': '{}',
    'sp ace/é.txt': 'ünïcode',
    'empty.txt': '',
    'big.bin': big
  })
  for (const name of ['small.txt', 'app.js', 'app.js.br', 'app.js.gz']) utimesSync(join(tree.root, name), modified, modified)
  served = await serve(tree.root, http({ port: 0 }))
  tuned = await serve(tree.root, http({ port: 0 }), { precompressed: true, immutable: true, etag: 'weak', extensions: ['html', 'txt'] })
})

afterAll(async () => {
  await served.app.close()
  await tuned.app.close()
  expect([served.app.live, tuned.app.live]).toEqual([0, 0])
  await settled(() => descriptorsBelow(tree.base) === 0)
  tree.remove()
})

/** Waits, within limits, for what other parts of the process are about to do. */
const settled = async (condition: () => boolean): Promise<void> => {
  for (let turn = 0; turn < 500 && !condition(); turn++) await new Promise(done => setTimeout(done, 10))
  expect(condition()).toBe(true)
}

const get = (target: string, headers: Readonly<Record<string, string>> = {}): Promise<RawAnswer> => rawHttp(served.port, target, headers)
const text = ({ status, body }: RawAnswer): [number, string] => [status, body.toString()]
const header = ({ headers }: RawAnswer, name: string): string | undefined => headers.get(name)

describe('a file over HTTP', () => {
  test('Range bytes=0-0 answers one byte', async () => {
    const answer = await get('/small.txt', { range: 'bytes=0-0' })
    expect([...text(answer), header(answer, 'content-range'), header(answer, 'content-length')]).toEqual([206, '0', 'bytes 0-0/10', '1'])
  })

  test('Range bytes=-3 answers the last three bytes', async () => {
    const answer = await get('/small.txt', { range: 'bytes=-3' })
    expect([...text(answer), header(answer, 'content-range')]).toEqual([206, '789', 'bytes 7-9/10'])
  })

  test('several ranges answer 200 with the whole file', async () => {
    const answer = await get('/small.txt', { range: 'bytes=0-1,5-6' })
    expect([...text(answer), header(answer, 'content-range')]).toEqual([200, '0123456789', undefined])
  })

  test('an unknown range unit answers 200', async () => expect(text(await get('/small.txt', { range: 'lines=1-2' }))).toEqual([200, '0123456789']))

  test('a stale If-Range answers 200, a current one 206', async () => {
    for (const stale of ['"other"', 'Fri, 17 May 2024 12:30:14 GMT']) {
      expect(text(await get('/small.txt', { range: 'bytes=0-1', 'if-range': stale })), stale).toEqual([200, '0123456789'])
    }
    const current = await get('/small.txt')
    for (const name of ['etag', 'last-modified']) {
      expect(text(await get('/small.txt', { range: 'bytes=0-1', 'if-range': header(current, name)! })), name).toEqual([206, '01'])
    }
  })

  test('If-Modified-Since in the future answers 304', async () => {
    const answer = await get('/small.txt', { 'if-modified-since': 'Fri, 01 Jan 2100 00:00:00 GMT' })
    expect(text(answer)).toEqual([304, ''])
  })

  test('If-None-Match: * answers 304', async () => expect(text(await get('/small.txt', { 'if-none-match': '*' }))).toEqual([304, '']))

  test('has a strong ETag, and a weak one by option', async () => {
    expect(header(await get('/small.txt'), 'etag')).toMatch(/^"[^"]+"$/)
    expect(header(await rawHttp(tuned.port, '/small.txt'), 'etag')).toMatch(/^W\/"[^"]+"$/)
  })

  test('has Accept-Ranges on 200', async () => expect(header(await get('/small.txt'), 'accept-ranges')).toBe('bytes'))

  test('has a charset where it is text', async () => {
    expect(header(await get('/small.txt'), 'content-type')).toBe('text/plain; charset=utf-8')
    expect(header(await get('/app.js'), 'content-type')).toBe('text/javascript; charset=utf-8')
    expect(header(await get('/'), 'content-type')).toBe('text/html; charset=utf-8')
    expect(header(await get('/data.json'), 'content-type')).toBe('application/json')
  })

  test('POST answers 405 with Allow', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
      const answer = await rawHttp(served.port, '/small.txt', { 'content-length': '0' }, method)
      expect([answer.status, header(answer, 'allow')], method).toEqual([405, 'GET, HEAD, OPTIONS'])
    }
    expect((await rawHttp(served.port, '/missing', { 'content-length': '0' }, 'POST')).status).toBe(404)
  })

  test('answers 404 for a dotfile, and serves .well-known', async () => {
    for (const path of ['/.env', '/.git/config', '/.git/', '/.git']) expect((await get(path)).status, path).toBe(404)
    expect(text(await get('/.well-known/security.txt'))).toEqual([200, 'contact'])
  })

  test('answers 404 for a symbolic link out of the root, and follows one inside', async () => {
    for (const path of ['/link.txt', '/link/secret.txt', '/sibling/secret.txt', '/link', '/link/']) expect((await get(path)).status, path).toBe(404)
    expect(text(await get('/inside.txt'))).toEqual([200, '0123456789'])
  })

  test('Accept-Encoding abbr and br;q=0 get the plain file', async () => {
    for (const accept of ['abbr', 'br;q=0', 'br;q=0, identity', '']) {
      const answer = await rawHttp(tuned.port, '/app.js', { 'accept-encoding': accept })
      expect([...text(answer), header(answer, 'content-encoding')], accept).toEqual([200, script, undefined])
    }
  })

  test('br;q=1.0 gets br', async () => {
    const answer = await rawHttp(tuned.port, '/app.js', { 'accept-encoding': 'br;q=1.0' })
    expect([answer.status, header(answer, 'content-encoding')]).toEqual([200, 'br'])
    expect(Buffer.compare(answer.body, brotliCompressSync(script))).toBe(0)
  })

  test('refuses %00 in the path', async () => {
    for (const path of ['/small.txt%00', '/%00', '/small%00.txt', '/small.txt%00.html']) expect((await get(path)).status, path).toBe(400)
  })

  test('refuses a malformed escape', async () => {
    for (const path of ['/%E0%A4%A', '/%', '/%zz', '/%c0%ae', '/%ff']) expect((await get(path)).status, path).toBe(400)
  })

  test('answers 404 for //', async () => {
    for (const path of ['//small.txt', '/docs//index.html', '//']) expect((await get(path)).status, path).toBe(400)
  })

  test('serves precompressed files by q-value, with Vary, their own ETag and the type of the plain file', async () => {
    const tags = new Set<string>()
    for (const [accept, encoding] of [
      ['gzip, deflate, br', 'br'],
      ['gzip', 'gzip'],
      ['br;q=0.2, gzip;q=0.8', 'gzip'],
      ['*', 'br'],
      ['identity', undefined]
    ] as const) {
      const answer = await rawHttp(tuned.port, '/app.js', { 'accept-encoding': accept })
      expect([answer.status, header(answer, 'content-encoding'), header(answer, 'vary'), header(answer, 'content-type')], accept).toEqual([
        200,
        encoding,
        'accept-encoding',
        'text/javascript; charset=utf-8'
      ])
      tags.add(header(answer, 'etag')!)
    }
    expect(tags.size).toBe(3)
    expect(header(await rawHttp(tuned.port, '/small.txt', { 'accept-encoding': 'br' }), 'vary')).toBeUndefined()
  })

  test('has Cache-Control for immutable and maxAge', async () => {
    expect(header(await rawHttp(tuned.port, '/small.txt'), 'cache-control')).toBe('public, max-age=31536000, immutable')
    expect(header(await get('/small.txt'), 'cache-control')).toBeUndefined()
  })

  test('does not list a directory without an index', async () => {
    for (const path of ['/bare/', '/bare']) {
      const answer = await get(path, { accept: 'application/link-format' })
      expect(answer.body.toString()).not.toContain('x.bin')
    }
    expect((await get('/bare/')).status).toBe(404)
  })

  test('calls next() for a path without a file', async () => {
    expect((await get('/missing')).status).toBe(404)
    const { app, port } = await serveWithRoute()
    expect(text(await rawHttp(port, '/dynamic'))).toEqual([200, 'dynamic'])
    expect(text(await rawHttp(port, '/small.txt'))).toEqual([200, '0123456789'])
    await app.close()
  })
})

const serveWithRoute = async (): Promise<Served> => {
  const { App } = await import('@iopa/appbuilder')
  const { serveStatic } = await import('@iopa/static')
  const app = new App({ logger: false })
    .use(serveStatic(tree.root))
    .use(context => (context.path === '/dynamic' ? 'dynamic' : undefined))
    .use(http({ port: 0 }))
  const [listener] = await app.listen()
  return { app, port: Number(listener!.url.port) }
}

describe('conditional requests', () => {
  test('If-None-Match with the current tag is 304 with the validators and without a body', async () => {
    for (const { port } of [served, tuned]) {
      const first = await rawHttp(port, '/small.txt')
      const answer = await rawHttp(port, '/small.txt', { 'if-none-match': `"x", ${header(first, 'etag')}` })
      expect(text(answer)).toEqual([304, ''])
      for (const name of ['etag', 'last-modified', 'cache-control']) expect(header(answer, name), name).toBe(header(first, name))
      expect(header(answer, 'content-type')).toBeUndefined()
    }
  })

  test('304 of a negotiated file carries Vary', async () => {
    const answer = await rawHttp(tuned.port, '/app.js', { 'if-none-match': '*', 'accept-encoding': 'br' })
    expect([answer.status, header(answer, 'vary')]).toEqual([304, 'accept-encoding'])
  })

  test('If-Match: * and the current tag send, another is 412', async () => {
    const etag = header(await get('/small.txt'), 'etag')!
    for (const value of ['*', etag, `"bar", ${etag}`, `${etag}, "foo"`])
      expect((await get('/small.txt', { 'if-match': value })).status, value).toBe(200)
    for (const value of ['"foo"', '  "foo",, "bar" ,', `W/${etag}`]) expect((await get('/small.txt', { 'if-match': value })).status, value).toBe(412)
  })

  test('If-Unmodified-Since: the date or later sends, earlier is 412, nonsense is ignored', async () => {
    const date = header(await get('/small.txt'), 'last-modified')!
    expect(date).toBe('Fri, 17 May 2024 12:30:15 GMT')
    for (const [value, status] of [
      [date, 200],
      ['Fri, 17 May 2024 12:30:16 GMT', 200],
      ['Fri, 17 May 2024 12:30:14 GMT', 412],
      ['foo', 200]
    ] as const) {
      expect((await get('/small.txt', { 'if-unmodified-since': value })).status, value).toBe(status)
    }
  })

  test('If-Modified-Since: the date is 304, earlier sends, and a tag overrules it', async () => {
    expect((await get('/small.txt', { 'if-modified-since': 'Fri, 17 May 2024 12:30:15 GMT' })).status).toBe(304)
    expect((await get('/small.txt', { 'if-modified-since': 'Friday, 17-May-24 12:30:15 GMT' })).status).toBe(304)
    expect((await get('/small.txt', { 'if-modified-since': 'Fri, 17 May 2024 12:30:14 GMT' })).status).toBe(200)
    expect((await get('/small.txt', { 'if-modified-since': 'Fri, 17 May 2024 12:30:15 GMT', 'if-none-match': '"other"' })).status).toBe(200)
  })

  test('412 is a problem that says what to do', async () => {
    const answer = await get('/small.txt', { 'if-match': '"foo"' })
    expect(header(answer, 'content-type')).toContain('application/problem+json')
    expect(JSON.parse(answer.body.toString())).toMatchObject({ status: 412, code: 'precondition-failed' })
  })
})

describe('ranges', () => {
  test('beyond the end are 416 with the size', async () => {
    for (const range of ['bytes=10-', 'bytes=50-60', 'bytes=-0']) {
      const answer = await get('/small.txt', { range })
      expect([answer.status, header(answer, 'content-range')], range).toEqual([416, 'bytes */10'])
    }
  })

  test('open, clipped and oversized suffix', async () => {
    for (const [range, body] of [
      ['bytes=8-', '89'],
      ['bytes=8-99', '89'],
      ['bytes=-99', '0123456789']
    ] as const) {
      expect(text(await get('/small.txt', { range })), range).toEqual([206, body])
    }
  })

  test('mean nothing to HEAD, nor when a precondition is 304', async () => {
    const head = await rawHttp(served.port, '/small.txt', { range: 'bytes=0-0' }, 'HEAD')
    expect([head.status, header(head, 'content-length'), head.body.length]).toEqual([200, '10', 0])
    expect((await get('/small.txt', { range: 'bytes=0-0', 'if-none-match': '*' })).status).toBe(304)
  })

  test('of a precompressed file are of its bytes', async () => {
    const answer = await rawHttp(tuned.port, '/app.js', { range: 'bytes=0-9', 'accept-encoding': 'gzip' })
    expect([answer.status, header(answer, 'content-encoding')]).toEqual([206, 'gzip'])
    expect(Buffer.compare(answer.body, gzipSync(script).subarray(0, 10))).toBe(0)
  })

  test('a file of 16 MiB read in ranges in random order is identical', async () => {
    const parts: { start: number; end: number }[] = []
    for (let start = 0; start < big.length; ) {
      const end = Math.min(big.length, start + 1 + Math.floor(Math.random() * MIB))
      parts.push({ start, end })
      start = end
    }
    parts.sort(() => Math.random() - 0.5)
    const copy = Buffer.alloc(big.length)
    for (const { start, end } of parts) {
      const answer = await get('/big.bin', { range: `bytes=${start}-${end - 1}` })
      expect([answer.status, answer.body.length, header(answer, 'content-length')]).toEqual([206, end - start, String(end - start)])
      answer.body.copy(copy, start)
    }
    expect(Buffer.compare(copy, big)).toBe(0)
  }, 60_000)
})

describe('answers over HTTP', () => {
  test('HEAD is GET without the body, for small and large, cold and warm', async () => {
    for (const path of ['/a.txt', '/big.bin', '/docs/', '/empty.txt']) {
      for (let round = 0; round < 2; round++) {
        const head = await rawHttp(served.port, path, {}, 'HEAD')
        const full = await get(path)
        expect(head.body.length).toBe(0)
        for (const name of ['content-length', 'content-type', 'etag', 'last-modified', 'accept-ranges'])
          expect(header(head, name), `${path} ${name}`).toBe(header(full, name))
        expect(header(full, 'content-length')).toBe(String(full.body.length))
      }
    }
  })

  test('names with spaces and other letters are found by their escapes', async () => {
    expect(text(await get('/sp%20ace/%C3%A9.txt'))).toEqual([200, 'ünïcode'])
  })

  test('a directory without its slash redirects, with the query', async () => {
    const answer = await get('/docs?a=b')
    expect([answer.status, header(answer, 'location')]).toEqual([301, '/docs/?a=b'])
    const encoded = await get('/sp%20ace')
    expect([encoded.status, header(encoded, 'location')]).toEqual([301, '/sp%20ace/'])
    expect((await get('/small.txt/')).status).toBe(404)
  })

  test('a redirect never leaves the host', async () => {
    for (const path of ['//evil.example/..', '/\\evil.example', '//evil.example/%2e%2e', '/%5cevil.example/%2e%2e']) {
      const answer = await get(path)
      expect(header(answer, 'location'), path).toBeUndefined()
    }
  })

  test('a changed file is served within a second, and its old tag is stale', async () => {
    const path = join(tree.root, 'changing.txt')
    writeFileSync(path, 'one')
    const first = await get('/changing.txt')
    const seen: string[] = []
    writeFileSync(path, 'two')
    const changed = performance.now()
    while (performance.now() - changed < 1000) {
      seen.push((await get('/changing.txt')).body.toString())
      await new Promise(done => setTimeout(done, 50))
    }
    const after = await get('/changing.txt', { 'if-none-match': header(first, 'etag')! })
    expect(text(after)).toEqual([200, 'two'])
    expect(seen.filter(body => body === 'one' || body === 'two').length).toBe(seen.length)
    writeFileSync(`${path}.new`, 'six')
    renameSync(`${path}.new`, path)
    await new Promise(done => setTimeout(done, 1000))
    expect(text(await get('/changing.txt'))).toEqual([200, 'six'])
    unlinkSync(path)
    await new Promise(done => setTimeout(done, 1000))
    expect((await get('/changing.txt')).status).toBe(404)
  })

  test('a file that is replaced again and again is always one whole version', async () => {
    const path = join(tree.root, 'versions.txt')
    const version = (number: number): string => String(number % 10).repeat(1000 + (number % 7))
    writeFileSync(path, version(0))
    let writing = true
    const writer = (async () => {
      for (let number = 0; writing; number++) {
        writeFileSync(`${path}.new`, version(number))
        renameSync(`${path}.new`, path)
        await new Promise(setImmediate)
      }
    })()
    for (let round = 0; round < 100; round++) {
      const answer = await get('/versions.txt')
      expect(answer.status).toBe(200)
      expect(answer.body.length).toBe(Number(header(answer, 'content-length')))
      expect(answer.body.toString()).toMatch(/^(\d)\1*$/)
    }
    writing = false
    await writer
  })

  test('a file that is truncated while it is sent ends as a broken connection', async () => {
    const path = join(tree.root, 'shrinking.bin')
    writeFileSync(path, Buffer.alloc(40 * MIB, 7))
    const socket = connect(served.port, '127.0.0.1')
    socket.write('GET /shrinking.bin HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n')
    await once(socket, 'readable')
    truncateSync(path, 1000)
    let received = 0
    socket.on('data', chunk => {
      received += chunk.length
    })
    const failed = new Promise<boolean>(done => {
      socket.once('error', () => done(true))
      socket.once('close', () => done(received < 40 * MIB))
    })
    expect(await failed).toBe(true)
    expect(received).toBeLessThan(40 * MIB)
    expect(text(await get('/small.txt'))).toEqual([200, '0123456789'])
    unlinkSync(path)
  })

  test('a large file arrives whole on a slow and on a kept connection', async () => {
    const socket = connect(served.port, '127.0.0.1')
    const hash = createHash('sha256')
    let left = -1
    let rounds = 0
    socket.write('GET /big.bin HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n'.repeat(2))
    await new Promise<void>((done, fail) => {
      let head = Buffer.alloc(0)
      socket.on('error', fail)
      socket.on('data', chunk => {
        let rest: Buffer = chunk
        while (rest.length > 0) {
          if (left <= 0) {
            head = Buffer.concat([head, rest])
            const end = head.indexOf('\r\n\r\n')
            if (end < 0) return
            rest = head.subarray(end + 4)
            head = Buffer.alloc(0)
            left = big.length
          }
          const part = rest.subarray(0, left)
          if (rounds === 0) hash.update(part)
          left -= part.length
          rest = rest.subarray(part.length)
          if (left === 0 && ++rounds === 2) done()
        }
        if (Math.random() < 0.01) {
          socket.pause()
          setTimeout(() => socket.resume(), 5)
        }
      })
    })
    socket.destroy()
    expect(hash.digest('hex')).toBe(createHash('sha256').update(big).digest('hex'))
  }, 30_000)

  test('an observer gets the file as an event, and another event after each change', async () => {
    const path = join(tree.root, 'observed.txt')
    writeFileSync(path, 'one')
    const stop = new AbortController()
    const answer = await fetch(`http://127.0.0.1:${served.port}/observed.txt`, { headers: { accept: 'text/event-stream' }, signal: stop.signal })
    let events = ''
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
    const until = async (wanted: string): Promise<void> => {
      while (!events.includes(wanted)) events += (await reader.read()).value ?? expect.fail(`the stream ended after ${events}`)
    }
    await until('data: one')
    writeFileSync(path, 'two')
    await until('data: two')
    stop.abort()
    // fetch opens another connection at once, and keeps it as long as the server allows.
    const { app } = served
    await settled(() => app.counters()['http']?.observers === 0 && app.live <= (app.counters()['http']?.connections ?? 0))
    unlinkSync(path)
  })

  test('extensions may be left out', async () => {
    expect(text(await rawHttp(tuned.port, '/small'))).toEqual([200, '0123456789'])
  })
})

describe('files outside the root', () => {
  test('paths of the traversal corpus read nothing outside the root', async () => {
    const paths = [...traversals(tree.base)]
    expect(paths.length).toBeGreaterThan(1000)
    const statuses = new Map<number, number>()
    const ask = async (target: string): Promise<void> => {
      const answer = await get(target)
      const wire = answer.wire.toString('latin1')
      if (wire.includes(SECRET) || wire.includes('root:')) throw new Error(`${JSON.stringify(target)} leaves the root`)
      if (Number.isNaN(answer.status) || answer.status >= 500) throw new Error(`${JSON.stringify(target)} is ${answer.status}`)
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1)
    }
    const every = (step: number) => paths.filter((_, at) => at % step === 0)
    const targets = [...paths, ...every(5).map(path => path.slice(1)), ...every(3).map(path => `http://127.0.0.1${path}`)]
    await Promise.all(
      Array.from({ length: 16 }, async () => {
        for (let target = targets.pop(); target !== undefined; target = targets.pop())
          await ask(target.replaceAll(' ', '%20').replaceAll('\0', '%00'))
      })
    )
    expect(statuses.get(200) ?? 0).toBeLessThan(20)
    expect((statuses.get(400) ?? 0) + (statuses.get(404) ?? 0)).toBeGreaterThan(1500)
  }, 60_000)

  test('a file that is swapped for a link to the outside, again and again, never yields what is outside', async () => {
    const path = join(tree.root, 'swapped.txt')
    let swapping = true
    const swapper = (async () => {
      while (swapping) {
        symlinkSync('../secret.txt', `${path}.new`)
        renameSync(`${path}.new`, path)
        await new Promise(setImmediate)
        writeFileSync(`${path}.new`, 'harmless')
        renameSync(`${path}.new`, path)
        await new Promise(setImmediate)
      }
    })()
    const seen = new Set<string>()
    // A query is no part of the path: every request meets the same entry of the cache, fresh or old.
    for (let round = 0; round < 200; round++) seen.add((await get(`/swapped.txt?${round}`)).body.toString())
    swapping = false
    await swapper
    expect([...seen].some(body => body.includes(SECRET))).toBe(false)
  }, 30_000)

  test('closes the files of 300 clients that begin a large download and vanish', async () => {
    const begin = async (): Promise<Socket> => {
      const socket = connect(served.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write('GET /big.bin HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n')
      await once(socket, 'readable')
      return socket
    }
    const vanish = (socket: Socket): unknown => (Math.random() < 0.5 ? socket.resetAndDestroy() : socket.destroy())
    // Idle connections of the fetches before may still be open, and end meanwhile.
    await settled(() => served.app.live <= (served.app.counters()['http']?.connections ?? 0))
    const idle = served.app.live
    const before = descriptorsBelow(tree.base)
    const waiting = await Promise.all(Array.from({ length: 100 }, begin))
    expect(descriptorsBelow(tree.base)).toBe(before + 100)
    let left = 200
    const others = Array.from({ length: 50 }, async () => {
      while (left-- > 0) vanish(await begin())
    })
    await Promise.all(others)
    for (const socket of waiting) vanish(socket)
    await settled(() => served.app.live <= idle && descriptorsBelow(tree.base) === before)
    expect(text(await get('/small.txt'))).toEqual([200, '0123456789'])
  }, 60_000)
})
