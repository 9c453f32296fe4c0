import { execFile } from 'node:child_process'
import { get } from 'node:http'
import { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { createGunzip } from 'node:zlib'
import { App, type MiddlewareFunction, reply } from '@iopa/appbuilder'
import { http } from '@iopa/http'
import { memory, serveStatic } from '@iopa/static'
import { expect, test } from 'vitest'
import { CompressedBody } from '../src/compressed-body.ts'
import { type CompressOptions, compress } from '../src/index.ts'

const listening = async (handler: MiddlewareFunction, options: CompressOptions = { encodings: ['gzip'] }) => {
  const app = new App({ logger: false })
    .use(http({ port: 0 }))
    .use(compress(options))
    .use(handler)
  const [listener] = await app.listen()
  return { app, url: listener!.url.href }
}

const streamed = (chunks: () => AsyncIterable<string>) => reply(200, chunks(), { 'content-type': 'text/plain' })
const gzip = { headers: { 'accept-encoding': 'gzip' } }

test('sends each chunk when it is there', async () => {
  const steps: (() => void)[] = []
  const { app, url } = await listening(() =>
    streamed(async function* () {
      yield 'one'
      await new Promise<void>(resolve => steps.push(resolve))
      yield 'two'
      await new Promise<void>(resolve => steps.push(resolve))
    })
  )
  const received: string[] = []
  const ended = new Promise(resolve => {
    get(url, { ...gzip, agent: false }, response => {
      expect(response.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'accept-encoding', 'transfer-encoding': 'chunked' })
      response
        .pipe(createGunzip())
        .on('data', chunk => received.push(String(chunk)))
        .on('end', resolve)
    })
  })
  await expect.poll(() => received.join()).toBe('one')
  steps.shift()?.()
  await expect.poll(() => received.join()).toBe('one,two')
  steps.shift()?.()
  await ended
  await app.close()
  expect(app.live).toBe(0)
})

test('reads the source no faster than the peer', async () => {
  let taken = 0
  const noise = Buffer.alloc(65_536)
  for (let at = 0; at < noise.length; at++) noise[at] = (at * 7919 + (at >> 3) * 104_729) & 255
  const source = (async function* () {
    for (; taken < 500; taken++) yield noise
  })()
  const body = new CompressedBody(source, 'gzip', 6, () => undefined)
  await body.next()
  for (let turn = 0; turn < 500; turn++) await new Promise(resolve => setImmediate(resolve))
  expect(taken).toBeLessThan(20)
  await body.return()
})

test('destroys encoder and source when the peer leaves, and frees their place', async () => {
  let ended = 0
  const source = async function* () {
    try {
      for (;;) {
        yield 'x'.repeat(1000)
        await new Promise(resolve => setTimeout(resolve, 5))
      }
    } finally {
      ended++
    }
  }
  const { app, url } = await listening(() => streamed(source), { encodings: ['gzip'], concurrency: 2 })
  const open = async () => {
    const controller = new AbortController()
    const response = await fetch(url, { ...gzip, signal: controller.signal })
    return { coding: response.headers.get('content-encoding'), leave: () => controller.abort() }
  }
  const opened = [await open(), await open(), await open()]
  expect(opened.map(({ coding }) => coding)).toEqual(['gzip', 'gzip', null])
  for (const { leave } of opened) leave()
  await expect.poll(() => ended).toBe(3)
  const next = await open()
  expect(next.coding).toBe('gzip')
  next.leave()
  await app.close({ timeout: 100 })
  expect(app.live).toBe(0)
})

test('breaks off where the source fails', async () => {
  const { app, url } = await listening(() =>
    streamed(async function* () {
      yield 'x'.repeat(10_000)
      await new Promise(resolve => setImmediate(resolve))
      throw new Error('broken')
    })
  )
  const response = await fetch(url, gzip)
  await expect(response.text()).rejects.toThrow()
  await app.close()
})

test('answers 500 where the source fails before its first chunk', async () => {
  const { app, url } = await listening(() => reply(200, Readable.from([Promise.reject(new Error('broken'))]), { 'content-type': 'text/plain' }))
  expect((await fetch(url, gzip)).status).toBe(500)
  await app.close()
})

test('compresses Node streams and files, and leaves precompressed files and parts', async () => {
  const text = 'file text '.repeat(1000)
  const files = memory({ '/a.txt': text, '/b.txt': text, '/b.txt.gz': 'precompressed' })
  const app = new App()
    .use(http({ port: 0 }))
    .use(compress({ encodings: ['gzip'] }))
    .use(serveStatic(files, { precompressed: true }))
    .use(() => reply(200, Readable.from([Buffer.from(text)]), { 'content-type': 'text/plain' }))
  const [listener] = await app.listen()
  const url = listener!.url.href
  expect(await (await fetch(`${url}stream`, gzip)).text()).toBe(text)
  const file = await fetch(`${url}a.txt`, gzip)
  expect([file.headers.get('content-encoding'), await file.text()]).toEqual(['gzip', text])
  const ready = await fetch(`${url}b.txt`, { ...gzip, method: 'HEAD' })
  expect(['content-encoding', 'content-length', 'vary'].map(name => ready.headers.get(name))).toEqual(['gzip', '13', 'accept-encoding'])
  const head = await fetch(`${url}a.txt`, { ...gzip, method: 'HEAD' })
  expect(['content-encoding', 'content-length', 'etag'].map(name => head.headers.get(name))).toEqual(['gzip', null, file.headers.get('etag')])
  const part = await fetch(`${url}a.txt`, { headers: { ...gzip.headers, range: 'bytes=0-3' } })
  expect([part.status, part.headers.get('content-encoding'), await part.text()]).toEqual([206, null, 'file'])
  const curl = await promisify(execFile)('curl', ['-s', '--compressed', `${url}a.txt`])
  expect(curl.stdout).toBe(text)
  await app.close()
})

test('leaves event streams of observers plain', async () => {
  const { app, url } = await listening(() => ({ text: 'x'.repeat(5000) }))
  const response = await fetch(url, { headers: { ...gzip.headers, accept: 'text/event-stream' } })
  expect(['content-type', 'content-encoding', 'vary'].map(name => response.headers.get(name))).toEqual(['text/event-stream', null, null])
  await response.body?.cancel()
  await app.close()
})

test('frees the place of a body that middleware around it replaces', async () => {
  const app = new App()
    .use((context, next) => {
      context.onSendingHeaders(() => {
        if (context.path === '/replaced') context.response.body = 'replaced'
      })
      return next()
    })
    .use(compress({ encodings: ['gzip'], concurrency: 1 }))
    .use(() => reply(200, Readable.from([Buffer.from('x'.repeat(5000))]), { 'content-type': 'text/plain' }))
  const ask = async (path: string) => {
    const answer = await app.invoke({ 'iopa.Path': path, 'iopa.Scheme': 'http', 'iopa.Headers': gzip.headers })
    await answer.bytes()
    return answer.headers.get('content-encoding')
  }
  await ask('/replaced')
  expect(await ask('/')).toBe('gzip')
  await app.close()
})
