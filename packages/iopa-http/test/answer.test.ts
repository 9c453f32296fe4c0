import { type Context, IopaError, type MiddlewareFunction, reply } from '@iopa/appbuilder'
import { HeaderMap } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { ask, eventually, gate, Peer, parse, serve } from './support.ts'

const request = (method = 'GET', fields = 'Connection: close\r\n'): string => `${method} / HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`

const answerTo = async (handler: MiddlewareFunction<Context>, method = 'GET'): Promise<ReturnType<typeof parse>> => {
  const { app, port } = await serve(handler)
  const answer = parse(await ask(port, request(method)))
  await eventually('the context has ended', () => app.live === 0)
  return answer
}

const utf8 = new TextEncoder()

describe('http writes', () => {
  test('a text with its length in bytes', async () => {
    const answer = await answerTo(() => 'Küche')
    expect(answer).toMatchObject({ status: 200, body: 'Küche', headers: { 'content-length': '6', 'content-type': 'text/plain; charset=utf-8' } })
  })

  test('bytes, and an empty body, with their lengths', async () => {
    expect(await answerTo(() => utf8.encode('bytes'))).toMatchObject({ body: 'bytes', headers: { 'content-length': '5' } })
    expect(await answerTo(() => '')).toMatchObject({ status: 200, body: '', headers: { 'content-length': '0' } })
    expect(await answerTo(() => reply(201))).toMatchObject({ status: 201, body: '', headers: { 'content-length': '0' } })
  })

  test('a long body in parts, with its length', async () => {
    const long = 'aü'.repeat(700_000)
    const answer = await answerTo(() => long)
    expect(answer.headers['content-length']).toBe('2100000')
    expect(answer.body).toBe(long)
  })

  test('a small answer as one write, whether it is text or bytes', async () => {
    for (const body of ['text', utf8.encode('bytes')]) {
      const { port } = await serve(() => body)
      const peer = new Peer(port)
      let reads = 0
      peer.socket.on('data', () => reads++)
      peer.send(request())
      await peer.untilEnd()
      expect(reads).toBe(1)
    }
  })

  test('a stream in chunks, and a stream of known size with its length', async () => {
    async function* parts(): AsyncGenerator<Uint8Array> {
      yield utf8.encode('one ')
      yield utf8.encode('')
      await null
      yield utf8.encode('two')
    }
    const { port } = await serve(() => parts())
    const text = await ask(port, request())
    expect(text).toMatch(/transfer-encoding: chunked/i)
    expect(text).toMatch(/\r\n\r\n4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n$/)
    const sized = { size: 7, read: async () => new Uint8Array(), [Symbol.asyncIterator]: parts }
    expect(await answerTo(() => reply(206, sized))).toMatchObject({ status: 206, body: 'one two', headers: { 'content-length': '7' } })
    expect(await answerTo(() => reply(200, parts(), { 'content-length': '7' }))).toMatchObject({
      body: 'one two',
      headers: { 'content-length': '7' }
    })
  })

  test('the head of a stream that is silent at first', async () => {
    const go = gate()
    const { port } = await serve(() =>
      (async function* () {
        await go.promise
        yield utf8.encode('late')
      })()
    )
    const peer = new Peer(port).send(request())
    await peer.until(/200 OK\r\n(?:.|\s)*\r\n\r\n$/)
    go.open()
    expect(await peer.untilEnd()).toMatch(/late/)
  })

  test('HEAD without a body but with the length that GET has', async () => {
    expect(await answerTo(() => 'Hello', 'HEAD')).toMatchObject({ status: 200, body: '', headers: { 'content-length': '5' } })
    expect(await answerTo(() => reply(200, undefined, { 'content-length': '77' }), 'HEAD')).toMatchObject({
      body: '',
      headers: { 'content-length': '77' }
    })
    const answer = await answerTo(context => Promise.reject(new IopaError(404, 'gone', `${context.path}`)), 'HEAD')
    expect([answer.status, answer.body]).toEqual([404, ''])
  })

  test('204 and 304 without a body and without a length', async () => {
    const empty = await answerTo(() => reply(204, 'ignored'))
    expect([empty.status, empty.body, empty.headers['content-length'], empty.headers['transfer-encoding']]).toEqual([204, '', undefined, undefined])
    const same = await answerTo(() => reply(304, undefined, { etag: '"a"' }))
    expect([same.status, same.body, same.headers['content-length'], same.headers['etag']]).toEqual([304, '', undefined, '"a"'])
  })

  test('several values of one field separately, and a reason phrase of the handler', async () => {
    const { port } = await serve(context => {
      context.response.reason = 'Very Fine'
      return reply(200, 'x', { 'set-cookie': ['a=1', 'b=2'] })
    })
    expect(await ask(port, request())).toMatch(/^HTTP\/1\.1 200 Very Fine\r\n(?:.|\s)*set-cookie: a=1\r\nset-cookie: b=2\r\n/)
  })

  test('fields from a prepared list', async () => {
    const pairs = ['etag', '"v1"', 'cache-control', 'no-cache']
    const answer = await answerTo(context => {
      context.response.headers = new HeaderMap(pairs)
      context.response.type = 'text/css'
      context.response.body = utf8.encode('a{}')
      context.response.status = 200
    })
    expect(answer.headers).toMatchObject({ etag: '"v1"', 'cache-control': 'no-cache', 'content-type': 'text/css', 'content-length': '3' })
    expect(pairs).toEqual(['etag', '"v1"', 'cache-control', 'no-cache'])
  })

  test('no connection fields that a handler passes on', async () => {
    const elsewhere = {
      connection: 'keep-alive',
      'keep-alive': 'timeout=99',
      'transfer-encoding': 'chunked',
      'content-length': '99',
      te: 'x',
      upgrade: 'h2c',
      trailer: 'x'
    }
    const answer = await answerTo(() => reply(200, 'x', elsewhere))
    expect(answer).toMatchObject({ status: 200, body: 'x', headers: { connection: 'close', 'content-length': '1' } })
    for (const name of ['keep-alive', 'transfer-encoding', 'te', 'upgrade', 'trailer']) expect(answer.headers).not.toHaveProperty(name)
  })

  test('the web Response that a handler returns', async () => {
    const answer = await answerTo(() => new Response('from the web', { status: 202, headers: { 'x-web': 'yes' } }))
    expect(answer).toMatchObject({ status: 202, headers: { 'x-web': 'yes' } })
    expect(answer.body).toContain('from the web')
  })

  test('a problem for an error, without internal details', async () => {
    const { port, errors } = await serve(() => {
      throw new Error('the password is 1234')
    })
    const answer = parse(await ask(port, request()))
    expect(answer).toMatchObject({ status: 500, headers: { 'content-type': 'application/problem+json' } })
    expect(answer.body).not.toMatch(/1234/)
    expect(errors).toHaveLength(1)
  })

  test('Connection: close when a handler sets it', async () => {
    const { port } = await serve(() => reply(200, 'x', { connection: 'close' }))
    expect(parse(await ask(port, request('GET', ''))).headers['connection']).toBe('close')
  })
})

describe('http does not write', () => {
  test('field values that HTTP cannot express: the answer is 500, logged', async () => {
    for (const value of ['name: 名', 'a']) {
      const { app, port, errors } = await serve(context => {
        context.response.headers = new HeaderMap(value === 'a' ? ['x', 'a\r\nset-cookie: evil=1'] : ['x', value])
        return 'x'
      })
      const answer = parse(await ask(port, request()))
      expect(answer.status).toBe(500)
      expect(answer.headers).not.toHaveProperty('set-cookie')
      expect(errors).toHaveLength(1)
      await eventually('nothing lives', () => app.live === 0)
    }
  })

  test('an incomplete body as complete: a failed stream cuts the connection', async () => {
    const { app, port, errors } = await serve(() =>
      (async function* () {
        yield utf8.encode('half')
        await new Promise(resolve => setTimeout(resolve, 5))
        throw new Error('disk is gone')
      })()
    )
    const text = await ask(port, request())
    expect(text).toMatch(/half/)
    expect(text).not.toMatch(/0\r\n\r\n$/)
    expect(errors).toHaveLength(1)
    await eventually('nothing lives', () => app.live === 0)
  })

  test('200 for a stream that fails before its first byte', async () => {
    const { port } = await serve(() =>
      // biome-ignore lint/correctness/useYield: it fails before.
      (async function* (): AsyncGenerator<Uint8Array> {
        throw new Error('disk is gone')
      })()
    )
    expect(parse(await ask(port, request())).status).toBe(500)
  })

  test('more or fewer bytes than the announced length', async () => {
    for (const size of [3, 30]) {
      const { port, errors } = await serve(() => ({
        size,
        read: async () => new Uint8Array(),
        async *[Symbol.asyncIterator]() {
          yield utf8.encode('12345')
          yield utf8.encode('67890')
        }
      }))
      const { body } = parse(await ask(port, request()))
      expect(body.length).toBeLessThanOrEqual(size === 3 ? 3 : 10)
      expect(errors).toHaveLength(1)
    }
  })

  test('faster than the client reads', async () => {
    let made = 0
    const { app, port } = await serve(() =>
      (async function* () {
        for (; made < 2000; made++) yield new Uint8Array(64 * 1024)
      })()
    )
    const peer = new Peer(port)
    peer.socket.pause()
    peer.send(request())
    await new Promise(resolve => setTimeout(resolve, 300))
    const early = made
    // What the kernel holds at most for both ends is far below the whole.
    expect(early).toBeLessThan(500)
    peer.socket.resume()
    await eventually('more is made when the client reads on', () => made > early + 100)
    peer.socket.destroy()
    await eventually('the context has ended', () => app.live === 0)
    expect(made).toBeLessThan(2000)
  })
})
