import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2'
import net from 'node:net'
import { gzipSync } from 'node:zlib'
import { App, type Context, type ReceivedAnswer } from '@iopa/appbuilder'
import { type Client, connect } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { type HttpOptions, http } from '../src/index.ts'
import { ask, atEnd, Peer, serve } from './support.ts'

const digest = (text: string): string => createHash('sha256').update(text).digest('base64')
const CHUNKED = 'POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n'

/** Answers with the body of the request, and its digest behind it. */
const withDigest = async (context: Context): Promise<unknown> => {
  const text = await context.text()
  context['server.Trailers'].set('Content-Digest', async () => digest(text))
  context['server.Trailers'].set('x-checked', 'ä')
  return text
}

describe('trailers of a request', () => {
  test('are there when its body was read, apart from its headers', async () => {
    const seen: unknown[] = []
    const { port } = await serve(async context => {
      const trailers = context['server.Trailers']
      seen.push([...trailers.received])
      await context.text()
      seen.push([...trailers.received], context['iopa.Headers'].get('x-sum'))
      return 'read'
    })
    const peer = new Peer(port).send(`${CHUNKED}3\r\nabc\r\n0\r\nX-Sum: 900\r\nx-sum:  1\r\nContent-Type: text/evil\r\n\r\n`)
    await peer.until(/read/)
    expect(seen).toEqual([
      [],
      [
        ['X-Sum', '900'],
        ['x-sum', '1'],
        ['Content-Type', 'text/evil']
      ],
      undefined
    ])
  })

  test('are none of the next request on the connection', async () => {
    const seen: number[] = []
    const { port } = await serve(async context => {
      await context.text()
      seen.push([...context['server.Trailers'].received].length)
      return 'ok'
    })
    const peer = new Peer(port).send(`${CHUNKED}0\r\nX-Sum: 1\r\n\r\n${CHUNKED}1\r\na\r\n0\r\n\r\n`)
    await peer.until(/ok.*ok/s)
    expect(seen).toEqual([1, 0])
  })

  test('come over HTTP/2', async () => {
    const { origin } = await serve(
      async context => {
        await context.text()
        return [...context['server.Trailers'].received]
      },
      { http2: true }
    )
    const session = connectHttp2(origin)
    atEnd(() => session.destroy())
    const stream = session.request({ ':path': '/', ':method': 'POST' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '7' }))
    stream.end('body')
    let text = ''
    for await (const chunk of stream) text += String(chunk)
    expect(JSON.parse(text)).toEqual([['x-sum', '7']])
  })
})

describe('trailers of an answer', () => {
  test('follow a body in chunks, and are announced', async () => {
    const { port } = await serve(withDigest)
    const peer = new Peer(port).send(`${CHUNKED}3\r\nabc\r\n0\r\n\r\n`)
    const text = await peer.until(/\r\n0\r\n.*\r\n\r\n$/s)
    expect(text).toMatch(/\r\ntransfer-encoding: chunked\r\ntrailer: content-digest, x-checked\r\n/)
    expect(text).not.toMatch(/content-length/)
    expect(text).toContain(`\r\n\r\n3\r\nabc\r\n0\r\ncontent-digest: ${digest('abc')}\r\nx-checked: ä\r\n\r\n`)
  })

  test('are made when a stream has ended, and leave the connection in order', async () => {
    const { port } = await serve(context => {
      const hash = createHash('sha256')
      context['server.Trailers'].set('content-digest', () => hash.digest('base64'))
      return (async function* () {
        for (const part of ['one ', 'two']) {
          hash.update(part)
          yield Buffer.from(part)
        }
      })()
    })
    const request = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
    const text = await new Peer(port).send(request + request).until(/(?:content-digest: .*){2}\r\n\r\n$/s)
    expect(text.match(/HTTP\/1\.1 200|content-digest: [^\r]+/g)).toEqual([
      'HTTP/1.1 200',
      `content-digest: ${digest('one two')}`,
      'HTTP/1.1 200',
      `content-digest: ${digest('one two')}`
    ])
  })

  test('follow the body over HTTP/2', async () => {
    const { origin } = await serve(withDigest, { http2: true })
    const session = connectHttp2(origin)
    atEnd(() => session.destroy())
    const stream = session.request({ ':path': '/', ':method': 'POST' })
    let trailers: IncomingHttpHeaders = {}
    stream.on('trailers', headers => {
      trailers = headers
    })
    stream.end('abc')
    let text = ''
    for await (const chunk of stream) text += String(chunk)
    expect([text, trailers['content-digest'], trailers['x-checked']]).toEqual(['abc', digest('abc'), 'ä'])
  })

  test('are refused where there is nothing that they could follow', async () => {
    const results: unknown[] = []
    let late: Context['server.Trailers'] | undefined
    const { port } = await serve(context => {
      late = context['server.Trailers']
      results.push(late.set('x-sum', '1'))
      return context.method === 'DELETE' ? null : 'body'
    })
    for (const line of ['GET / HTTP/1.0', 'HEAD / HTTP/1.1', 'DELETE / HTTP/1.1', 'GET / HTTP/1.1'])
      await ask(port, `${line}\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
    results.push(late?.set('x-sum', '1'))
    // Only the answer says whether it has a body.
    expect(results).toEqual([false, false, true, true, false])
    const app = new App({ logger: false }).use(context => String(context['server.Trailers'].set('x-sum', '1')))
    expect(await (await app.invoke({ 'iopa.Path': '/' })).text()).toBe('false')
  })

  test.each(['Content-Length', 'transfer-encoding', 'Trailer', 'Host', 'content-type', 'Set-Cookie', 'If-Match', 'a b', ''])(
    'must not be %s',
    async name => {
      const { port } = await serve(context => {
        expect(() => context['server.Trailers'].set(name, '1')).toThrow(expect.objectContaining({ status: 500 }))
        return 'ok'
      })
      expect(await ask(port, 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')).toMatch(/ 200 OK/)
    }
  )

  test.each([
    ['throws', () => Promise.reject(new Error('no digest'))],
    ['gives what HTTP cannot carry', () => 'a\r\nset-cookie: b']
  ])('cut the answer where the function %s', async (_, value) => {
    const { port } = await serve(context => {
      context['server.Trailers'].set('x-sum', value)
      return 'body'
    })
    const text = await ask(port, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    expect(text).toMatch(/4\r\nbody\r\n$/)
  })
})

describe('trailers of an answer that a client reads', () => {
  const dial = async (port: number, options: HttpOptions = {}): Promise<Client> => {
    const client = await connect(http(options), new URL(`http://127.0.0.1:${port}`), { timeout: 3000 })
    atEnd(() => client.close())
    return client
  }
  const receivedOf = (answer: ReceivedAnswer): unknown[] => [...(answer['server.Trailers']?.received ?? [])]

  /** A server that answers every request with the same bytes. */
  const scripted = async (bytes: string): Promise<number> => {
    const server = net.createServer(socket => socket.on('error', () => undefined).on('data', () => socket.write(bytes, 'latin1')))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    atEnd(() => server.close())
    return (server.address() as net.AddressInfo).port
  }
  const ANSWER = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n'

  test('are there once the body was read, apart from the headers, and are none of the next answer', async () => {
    const client = await dial(await scripted(`${ANSWER}X-Sum: 900\r\nx-sum:  \xe4\r\nContent-Type: text/evil\r\n\r\n`))
    for (let turn = 0; turn < 2; turn++) {
      const answer = await client.get('/')
      expect(receivedOf(answer)).toEqual([])
      expect(await answer.text()).toBe('abc')
      expect(receivedOf(answer)).toEqual([
        ['X-Sum', '900'],
        ['x-sum', 'ä'],
        ['Content-Type', 'text/evil']
      ])
      expect([answer.headers.has('x-sum'), answer.type, answer['server.Trailers']?.set('a', 'b')]).toEqual([false, '', false])
    }
  })

  test.each([
    ['headerCount', 'a: b\r\n'.repeat(101)],
    ['headerBytes', `a: ${'b'.repeat(17_000)}\r\n`]
  ])('are bounded by %s', async (_, fields) => {
    const answer = await (await dial(await scripted(`${ANSWER}${fields}\r\n`))).get('/')
    await expect(answer.text()).rejects.toMatchObject({ status: 502, code: 'bad-answer' })
  })

  test.each(['plain', 'gzip'])('come from node:http, redirected and %s', async coding => {
    const server = createServer((request, response) => {
      if (request.url === '/') return response.writeHead(307, { location: '/there' }).end()
      const body = Buffer.from('body')
      const zipped = coding === 'gzip' ? { 'content-encoding': 'gzip' } : {}
      response.writeHead(200, { trailer: 'content-digest', ...zipped }).write(coding === 'gzip' ? gzipSync(body) : body)
      response.addTrailers({ 'content-digest': digest('body') })
      return response.end()
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    atEnd(() => server.closeAllConnections())
    atEnd(() => server.close())
    const client = await dial((server.address() as net.AddressInfo).port, { client: { redirect: 'follow', decompress: true } })
    const answer = await client.get('/')
    expect([await answer.text(), receivedOf(answer)]).toEqual(['body', [['content-digest', digest('body')]]])
  })

  test('come from the server of this package', async () => {
    const { port } = await serve(withDigest)
    const answer = await (await dial(port)).post('/', 'abc')
    expect([await answer.text(), answer['server.Trailers']?.received.get('content-digest')]).toEqual(['abc', digest('abc')])
  })
})

describe('trailers of a request that a client sends', () => {
  const dial = async (port: number, options: HttpOptions = {}): Promise<Client> => {
    const client = await connect(http(options), new URL(`http://127.0.0.1:${port}`), { timeout: 3000 })
    atEnd(() => client.close())
    return client
  }
  const post = (body: unknown, trailers: Record<string, string | (() => string | Promise<string>)>, path = '/') =>
    ({ 'iopa.Method': 'POST', 'iopa.Path': path, 'iopa.Body': body, 'http.Trailers': trailers }) as never
  async function* parts(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('a')
    yield Buffer.from('bc')
  }

  test('follow a body in memory, and a stream when it has left', async () => {
    const { port } = await serve(async context => {
      const text = await context.text()
      const { headers } = context
      return [text, headers.get('trailer'), headers.get('content-digest') ?? null, [...context['server.Trailers'].received]]
    })
    const client = await dial(port)
    const made = async (): Promise<string> => digest('abc')
    for (const body of ['abc', parts()]) {
      const answer = await client.send(post(body, { 'Content-Digest': made, 'x-sum': '3' }))
      expect(await answer.json()).toEqual([
        'abc',
        'Content-Digest, x-sum',
        null,
        [
          ['Content-Digest', digest('abc')],
          ['x-sum', '3']
        ]
      ])
    }
    // The connection is in order, and the next request has none.
    expect(await (await client.post('/', 'x')).json()).toEqual(['x', null, null, []])
  })

  test('are read by node:http, are sent again with a redirected body, and not without one', async () => {
    const server = createServer(async (request, response) => {
      let text = ''
      for await (const chunk of request) text += chunk
      if (request.url === '/307') response.writeHead(307, { location: '/there' }).end()
      else if (request.url === '/303') response.writeHead(303, { location: '/there' }).end()
      else response.end(JSON.stringify([request.method, text, request.headers.trailer ?? null, request.trailers]))
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    atEnd(() => server.closeAllConnections())
    atEnd(() => server.close())
    const client = await dial((server.address() as net.AddressInfo).port, { client: { redirect: 'follow' } })
    const ask = async (path: string): Promise<unknown> => JSON.parse(await (await client.send(post('abc', { 'x-sum': () => '3' }, path))).text())
    expect(await ask('/307')).toEqual(['POST', 'abc', 'x-sum', { 'x-sum': '3' }])
    expect(await ask('/303')).toEqual(['GET', '', null, {}])
  })

  test.each([
    ['a name that must come before the body', 'x', { authorization: 'Basic eDp5' }],
    ['a field of the connection', 'x', { 'Transfer-Encoding': 'chunked' }],
    ['a name that is none', 'x', { 'a b': 'c' }],
    ['a value with a line end', 'x', { a: 'b\r\nc: d' }],
    ['no body', undefined, { a: 'b' }]
  ])('are refused with %s', async (_, body, trailers) => {
    const { port } = await serve(() => 'reached')
    await expect((await dial(port)).send(post(body, trailers as never))).rejects.toMatchObject({ status: 400, code: 'bad-request' })
  })

  test('fail the request where their function throws, or makes what HTTP cannot carry', async () => {
    const { port } = await serve(async context => context.text())
    const client = await dial(port)
    const failing = (): string => {
      throw new Error('no digest')
    }
    await expect(client.send(post('x', { a: failing }))).rejects.toThrow('no digest')
    await expect(client.send(post('x', { a: () => 'b\r\nc: d' }))).rejects.toThrow('HTTP cannot carry')
    expect(await (await client.post('/', 'x')).text()).toBe('x')
  })
})
