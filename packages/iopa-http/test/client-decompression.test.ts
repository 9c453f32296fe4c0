import http from 'node:http'
import type net from 'node:net'
import zlib from 'node:zlib'
import type { LinkAnswer } from '@iopa/transport'
import { type Client, type ConnectOptions, connect } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { http as transport } from '../src/index.ts'
import { atEnd, settled } from './support.ts'

const TEXT = 'on and on '.repeat(1000)
const { zstdCompressSync } = zlib as { zstdCompressSync?: (text: string) => Buffer }

/** A client that decodes, and what a server that answers with these has got. */
const dial = async (listener: http.RequestListener, decompress = true, options: ConnectOptions = {}): Promise<Client> => {
  const server = http.createServer(listener).listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const url = `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`
  const client = await connect(transport({ client: { decompress } }), url, { timeout: 3000, ...options })
  atEnd(async () => {
    await client.close()
    server.closeAllConnections()
    server.close()
  })
  return client
}

const answering =
  (coding: string, body: Uint8Array, chunked = false): http.RequestListener =>
  (_, response) => {
    response.writeHead(200, { 'content-type': 'text/plain', 'content-encoding': coding, ...(!chunked && { 'content-length': body.length }) })
    response.end(body)
  }

describe('a client that decodes', () => {
  test.each([
    ['gzip', zlib.gzipSync(TEXT)],
    ['X-GZIP', zlib.gzipSync(TEXT)],
    ['br', zlib.brotliCompressSync(TEXT)],
    ['gzip, br', zlib.brotliCompressSync(zlib.gzipSync(TEXT))],
    ...(zstdCompressSync === undefined ? [] : [['zstd', zstdCompressSync(TEXT)] as [string, Buffer]])
  ])('reads %s, and removes the fields that do not hold any more', async (coding, body) => {
    for (const chunked of [false, true]) {
      const client = await dial(answering(coding, body, chunked))
      const answer = await client.get('/')
      expect([answer.headers.get('content-encoding'), answer.headers.get('content-length'), await answer.text()]).toEqual([
        undefined,
        undefined,
        TEXT
      ])
      // The connection is used again.
      expect(await (await client.get('/')).text()).toBe(TEXT)
    }
  })

  test('asks for what Node decodes, but not for a range, for HEAD, or in place of the caller', async () => {
    const seen: unknown[] = []
    const record: http.RequestListener = (request, response) => {
      seen.push(request.headers['accept-encoding'])
      answering('gzip', zlib.gzipSync(TEXT))(request, response as never)
    }
    const client = await dial(record)
    await (await client.get('/')).text()
    expect(await (await client.get('/', { headers: { 'accept-encoding': 'gzip' } })).bytes()).toHaveLength(zlib.gzipSync(TEXT).length)
    await (await client.get('/', { headers: { range: 'bytes=0-9' } })).bytes()
    expect((await client.send({ 'iopa.Method': 'HEAD', 'iopa.Path': '/' })).headers.get('content-encoding')).toBe('gzip')
    const plain = await dial(record, false)
    expect((await plain.get('/')).headers.get('content-encoding')).toBe('gzip')
    expect(seen).toEqual([zstdCompressSync === undefined ? 'gzip, br' : 'gzip, br, zstd', 'gzip', undefined, undefined, undefined])
  })

  test('leaves a coding that it does not know as it is', async () => {
    const answer = await (await dial(answering('rot13', Buffer.from('uryyb')))).get('/')
    expect([answer.headers.get('content-encoding'), answer.headers.get('content-length'), await answer.text()]).toEqual(['rot13', '5', 'uryyb'])
  })

  test('takes an empty body for an empty one', async () => {
    expect(await (await (await dial(answering('gzip', new Uint8Array(0), true))).get('/')).text()).toBe('')
  })

  test('refuses a body that is cut or in another coding, and a heap of codings', async () => {
    const whole = zlib.gzipSync(TEXT)
    for (const body of [whole.subarray(0, whole.length - 9), Buffer.from('plain text')]) {
      const answer = await (await dial(answering('gzip', body))).get('/')
      await expect(answer.text()).rejects.toMatchObject({ status: 502, code: 'bad-answer' })
    }
    const heap = await dial(answering('gzip, gzip, gzip, gzip', whole))
    for (let count = 0; count < 3; count++) await expect(heap.get('/')).rejects.toMatchObject({ status: 502, code: 'bad-answer' })
  })

  test.each([
    ['gzip', zlib.gzipSync(new Uint8Array(64 << 20))],
    ['br', zlib.brotliCompressSync(new Uint8Array(64 << 20), { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 3 } })]
  ])('ends a bomb of %s with an error', async (coding, body) => {
    const client = await dial(answering(coding, body), true, { limits: { body: 1 << 20 } })
    await expect((await client.get('/')).bytes()).rejects.toMatchObject({ status: 502, code: 'received-too-large' })
    let length = 0
    const reading = async (): Promise<void> => {
      for await (const chunk of ((await client.get('/')) as LinkAnswer).payload as AsyncIterable<Uint8Array>) length += chunk.length
    }
    await expect(reading()).rejects.toMatchObject({ code: 'received-too-large' })
    expect(length).toBeLessThan(16 << 20)
  })

  test('decodes as fast as its reader reads', async () => {
    let made = 0
    const client = await dial((_, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' })
      const gzip = zlib.createGzip({ level: 0 })
      gzip.pipe(response)
      const more = (): void => {
        while (made < 300) if (!gzip.write(Buffer.alloc(64 * 1024, made++))) return void gzip.once('drain', more)
        gzip.end()
      }
      more()
    })
    const answer = await client.get('/')
    expect(await settled(() => made)).toBeLessThan(250)
    expect((await answer.bytes()).length).toBe(300 * 64 * 1024)
  })
})
