import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { App, type MiddlewareFunction, reply } from '@iopa/appbuilder'
import { expect, test } from 'vitest'
import { type CompressOptions, compress } from '../src/index.ts'

const TEXT = 'hello world '.repeat(1000)

const serving = (value: unknown, options?: CompressOptions) =>
  new App({ logger: false }).use(compress(options)).use((() => value) as MiddlewareFunction)

const get = async (app: App, headers: Record<string, string> = {}, method = 'GET') => {
  const answer = await app.invoke({ 'iopa.Method': method, 'iopa.Path': '/', 'iopa.Scheme': 'http', 'iopa.Headers': headers })
  return {
    status: answer.status,
    coding: answer.headers.get('content-encoding'),
    vary: answer.headers.get('vary'),
    etag: answer.headers.get('etag'),
    length: answer.headers.get('content-length'),
    type: answer.type,
    bytes: await answer.bytes()
  }
}

test.each([
  ['br', 'br, gzip', 'br'],
  ['gzip', 'gzip', 'gzip'],
  ['the preferred one among equals', 'gzip, br', 'br'],
  ['the one of the greater weight', 'br;q=0.5, gzip', 'gzip'],
  ['any', '*', 'br'],
  ['any but one', '*, br;q=0', 'gzip'],
  ['none for identity', 'identity', undefined],
  ['none where none is accepted', 'br;q=0, gzip;q=0', undefined],
  ['none for an unknown one', 'compress', undefined],
  ['none for identity of a greater weight', 'identity, gzip;q=0.1', undefined]
])('chooses %s', async (_, accept, coding) => {
  const answer = await get(serving(TEXT, { encodings: ['br', 'gzip'] }), { 'accept-encoding': accept })
  expect(answer).toMatchObject({ status: 200, coding, vary: 'accept-encoding', type: 'text/plain; charset=utf-8' })
  const plain = coding === 'br' ? brotliDecompressSync(answer.bytes) : coding === 'gzip' ? gunzipSync(answer.bytes) : answer.bytes
  expect(Buffer.from(plain).toString()).toBe(TEXT)
})

test('sends plain bodies without Accept-Encoding, and says what they vary with', async () => {
  expect(await get(serving(TEXT))).toMatchObject({ coding: undefined, vary: 'accept-encoding' })
  expect((await get(serving(reply(200, TEXT, { vary: 'Accept-Encoding' })))).vary).toBe('Accept-Encoding')
})

test('refuses a request that accepts neither an offered coding nor identity, where it changes nothing', async () => {
  const app = serving(TEXT, { encodings: ['gzip'] })
  expect(await get(app, { 'accept-encoding': 'identity;q=0' })).toMatchObject({ status: 406 })
  expect(await get(app, { 'accept-encoding': '*;q=0' })).toMatchObject({ status: 406 })
  expect(await get(app, { 'accept-encoding': 'identity;q=0' }, 'POST')).toMatchObject({ status: 200, coding: undefined })
})

test('compresses even a small body where identity is refused', async () => {
  expect(await get(serving('short', { encodings: ['gzip'] }), { 'accept-encoding': 'identity;q=0, gzip' })).toMatchObject({ coding: 'gzip' })
})

const left: [string, unknown][] = [
  ['a small body', 'short'],
  ['a type that does not shrink', reply(200, Buffer.alloc(5000), { 'content-type': 'image/png' })],
  ['bytes of no type', Buffer.alloc(5000)],
  ['an encoded body', reply(200, TEXT, { 'content-encoding': 'x' })],
  ['an answer that must not be transformed', reply(200, TEXT, { 'cache-control': 'public, no-transform' })],
  ['a part', reply(206, TEXT, { 'content-range': 'bytes 0-1/2' })],
  ['an event stream', reply(200, (async function* () {})(), { 'content-type': 'text/event-stream' })],
  ['an answer without a body', reply(204)]
]
test.each(left)('leaves %s', async (_, value) => {
  const { coding } = await get(serving(value), { 'accept-encoding': 'gzip' })
  expect(['x', undefined]).toContain(coding)
})

test('leaves the answer to a request for a part', async () => {
  expect(await get(serving(TEXT), { 'accept-encoding': 'gzip', range: 'bytes=0-1' })).toMatchObject({ coding: undefined, vary: 'accept-encoding' })
})

test.each([{ a: TEXT }, [TEXT], new URLSearchParams({ a: TEXT }), new Map([['a', TEXT]])])('compresses a value of the kind %#', async value => {
  const plain = await get(serving(value))
  const { bytes, coding, type } = await get(serving(value), { 'accept-encoding': 'gzip' })
  expect({ coding, type, text: gunzipSync(bytes).toString() }).toEqual({
    coding: 'gzip',
    type: plain.type,
    text: Buffer.from(plain.bytes).toString()
  })
})

test('compresses a large body on another thread', async () => {
  const large = TEXT.repeat(50)
  const { bytes } = await get(serving(large), { 'accept-encoding': 'br' })
  expect(brotliDecompressSync(bytes).toString()).toBe(large)
})

test('takes away a content length', async () => {
  expect((await get(serving(reply(200, TEXT, { 'content-length': '12000' })), { 'accept-encoding': 'gzip' })).length).toBeUndefined()
})

test('answers HEAD with the fields of GET, and does not compress', async () => {
  const app = serving(reply(200, TEXT, { etag: '"a"' }))
  const accept = { 'accept-encoding': 'gzip' }
  const { bytes: content, ...ofGet } = await get(app, accept)
  const { bytes, ...ofHead } = await get(app, accept, 'HEAD')
  expect(ofHead).toEqual(ofGet)
  expect([content.length > 0, bytes.length]).toEqual([true, 0])
})

test('obeys threshold, level, filter and encodings', async () => {
  const accept = { 'accept-encoding': 'gzip, br' }
  expect((await get(serving('x'.repeat(50), { threshold: 50 }), accept)).coding).toBe('br')
  expect((await get(serving('x'.repeat(50), { threshold: 51 }), accept)).coding).toBeUndefined()
  expect((await get(serving(TEXT, { filter: context => context.response.type !== 'text/plain; charset=utf-8' }), accept)).coding).toBeUndefined()
  expect((await get(serving(Buffer.alloc(5000), { filter: () => true }), accept)).coding).toBe('br')
  expect((await get(serving(TEXT, { encodings: ['gzip'] }), accept)).coding).toBe('gzip')
  const mixed = Array.from({ length: 3000 }, (_, at) => Math.imul(at, 2654435761) >>> 12).join(' ')
  const sizes = await Promise.all(
    [1, 9].map(async level => (await get(serving(mixed, { encodings: ['gzip'], level: { gzip: level } }), accept)).bytes.length)
  )
  expect(sizes[0]).not.toBe(sizes[1])
})

test.each(['content-digest', 'repr-digest', 'content-md5'])('leaves an answer with %s', async name => {
  const answer = await get(serving(reply(200, TEXT, { [name]: 'sha-256=:x:' })), { 'accept-encoding': 'gzip' })
  expect([answer.coding, answer.bytes.length]).toEqual([undefined, TEXT.length])
})

test('leaves an answer plain where the filter gives a promise', async () => {
  const app = serving(TEXT, { filter: (async () => false) as never })
  expect((await get(app, { 'accept-encoding': 'gzip' })).coding).toBeUndefined()
})

test('refuses unknown and wrong options', () => {
  const wrong = [
    { encodings: ['deflate'] },
    { encodings: [] },
    { level: { br: 12 } },
    { level: { deflate: 1 } },
    { threshold: -1 },
    { concurrency: 0 }
  ]
  for (const options of [...wrong, { filter: /x/ }]) expect(() => compress(options as never)).toThrow('compress()')
})

test('does nothing on other protocols', async () => {
  const answer = await serving(TEXT).invoke({ 'iopa.Path': '/', 'iopa.Scheme': 'coap', 'iopa.Headers': { 'accept-encoding': 'gzip' } })
  expect([answer.headers.get('content-encoding'), answer.headers.get('vary')]).toEqual([undefined, undefined])
})

test('a thousand observers share a run, and their answers stay plain', async () => {
  let runs = 0
  const app = new App().use(compress({ threshold: 0 })).use(() => ({ n: ++runs }))
  const controller = new AbortController()
  const last: string[] = []
  const readers = Array.from({ length: 1000 }, async (_, at) => {
    for await (const answer of app.observe('/n', { signal: controller.signal })) last[at] = `${answer.headers.get('vary')} ${await answer.text()}`
  })
  await expect.poll(() => Object.keys(last).length).toBe(1000)
  app.notify('/n')
  await expect.poll(() => new Set(last).size).toBe(1)
  expect([runs, last[0]]).toEqual([1001, 'undefined {"n":1001}'])
  controller.abort()
  await Promise.all(readers)
})

test('says nothing of ranges, which a compressed body has not', async () => {
  const app = serving(reply(200, TEXT, { 'accept-ranges': 'bytes' }))
  const answer = await app.invoke({ 'iopa.Path': '/', 'iopa.Scheme': 'http', 'iopa.Headers': { 'accept-encoding': 'gzip' } })
  expect([answer.headers.get('content-encoding'), answer.headers.has('accept-ranges')]).toEqual(['gzip', false])
  await app.close()
})
