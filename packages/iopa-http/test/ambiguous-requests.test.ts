import { describe, expect, test } from 'vitest'
import { ask, eventually, parse, serve } from './support.ts'

const HOST = 'Host: localhost\r\n'

/** Name, request, status. */
const REFUSED: readonly (readonly [string, string, number])[] = [
  ['a second Content-Length', `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc`, 400],
  ['two Content-Lengths that differ', `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`, 400],
  ['a Content-Length that is a list', `POST / HTTP/1.1\r\n${HOST}Content-Length: 3, 3\r\n\r\nabc`, 400],
  ['a Content-Length with a sign', `POST / HTTP/1.1\r\n${HOST}Content-Length: +3\r\n\r\nabc`, 400],
  ['an empty Content-Length', `POST / HTTP/1.1\r\n${HOST}Content-Length: \r\n\r\nabc`, 400],
  ['Content-Length after Transfer-Encoding', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n`, 400],
  ['Transfer-Encoding after Content-Length', `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
  ['a Transfer-Encoding that is not chunked', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip\r\n\r\nabc`, 400],
  ['a Transfer-Encoding whose last coding is not chunked', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, gzip\r\n\r\nabc`, 400],
  ['a Transfer-Encoding that ends with a comma', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n`, 400],
  ['a Transfer-Encoding of identity', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: identity\r\n\r\nabc`, 400],
  ['chunked twice', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, Chunked\r\n\r\n0\r\n\r\n`, 400],
  ['chunked twice around another coding', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, gzip, chunked\r\n\r\n0\r\n\r\n`, 400],
  ['a Transfer-Encoding of more than chunked', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`, 501],
  ['a second Transfer-Encoding', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
  ['a Transfer-Encoding that only looks like chunked', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`, 400],
  ['Transfer-Encoding in HTTP/1.0', `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`, 400],
  ['a folded header line', `GET / HTTP/1.1\r\n${HOST}X: a\r\n b\r\n\r\n`, 400],
  ['a folded Transfer-Encoding', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n`, 400],
  ['a space before the colon', `GET / HTTP/1.1\r\n${HOST}X : a\r\n\r\n`, 400],
  ['a space before the colon of Content-Length', `POST / HTTP/1.1\r\n${HOST}Content-Length : 3\r\n\r\nabc`, 400],
  ['a space before the first header', `GET / HTTP/1.1\r\n X: a\r\n${HOST}\r\n`, 400],
  ['a header without a name', `GET / HTTP/1.1\r\n${HOST}: a\r\n\r\n`, 400],
  ['a header with a bare CR', `GET / HTTP/1.1\r\n${HOST}X: a\rb\r\n\r\n`, 400],
  ['a header with NUL', `GET / HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`, 400],
  ['lines that end with LF alone', 'GET / HTTP/1.1\nHost: localhost\n\n', 400],
  ['several Host headers', `GET / HTTP/1.1\r\n${HOST}HOST: localhost\r\n\r\n`, 400],
  ['HTTP/1.1 without a Host header', 'GET / HTTP/1.1\r\n\r\n', 400],
  ['a Host header that is no host', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 400],
  ['a Host header with a user', 'GET / HTTP/1.1\r\nHost: me@localhost\r\n\r\n', 400],
  ['a Host header that is a list', 'GET / HTTP/1.1\r\nHost: localhost, evil\r\n\r\n', 400],
  ['an absolute target of another host', `GET http://127.0.0.1/ HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['an absolute target with another port', `GET http://localhost:81/ HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['an absolute target with the default port of the other scheme', `GET http://localhost:443/ HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['an absolute target with a user', `GET http://me@localhost/ HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['an absolute target of another scheme', `GET ftp://localhost/ HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a target that is an authority', `GET localhost:80 HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a target without a slash', `GET hello HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a target with a fragment', `GET /a#b HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a target with bytes beyond ASCII', `GET /k\xc3\xbcche HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a query with bytes beyond ASCII', `GET /?k\xc3\xbcche HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a target with a control character', `GET /a\x01b HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a target with NUL', `GET /a\0b HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['an asterisk as the target of GET', `GET * HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['CONNECT', `CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n`, 400],
  ['SUBSCRIBE', `SUBSCRIBE / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['UNSUBSCRIBE', `UNSUBSCRIBE / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['DATA', `DATA / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['DISCONNECT', `DISCONNECT / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a method in lower case', `get / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a method that begins with digits', `0123456789GET / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a method with a digit', `GET1 / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a method that begins with a hyphen', `-GET / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a method with another character of tokens', `GET_ALL / HTTP/1.1\r\n${HOST}\r\n`, 400],
  ['a version that it does not speak', `GET / HTTP/2.0\r\n${HOST}Connection: close\r\n\r\n`, 505],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 505],
  ['a greeting of TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
  ['header fields beyond the size', `GET / HTTP/1.1\r\n${HOST}A: ${'b'.repeat(17_000)}\r\n\r\n`, 431],
  ['header fields beyond the number', `GET / HTTP/1.1\r\n${HOST}${'A: b\r\n'.repeat(100)}\r\n`, 431],
  ['a chunk size that is no number', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n`, 400],
  ['a chunk size beyond any number', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n`, 400],
  ['a chunk that is longer than its size', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n`, 400],
  ['a chunk that ends with LF alone', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n`, 400],
  ['chunk extensions without end', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n3;${'a'.repeat(20_000)}\r\nabc\r\n0\r\n\r\n`, 413],
  ['an expectation that it cannot meet', `POST / HTTP/1.1\r\n${HOST}Expect: wonders\r\nContent-Length: 3\r\n\r\nabc`, 417]
]

describe('http refuses', () => {
  for (const [name, request, status] of REFUSED) {
    test(name, async () => {
      const { app, port } = await serve(async context => `ran ${await context.text()}`)
      const answer = parse(await ask(port, request.replace(/ HTTP\/1\.[01]\r\n(?! )/, '$&Connection: close\r\n')))
      expect(answer.status).toBe(status)
      expect(answer.headers['content-type']).toBe('application/problem+json')
      expect(answer.headers['connection']).toBe('close')
      expect(JSON.parse(answer.body)).toMatchObject({ status, code: expect.stringMatching(/^[a-z0-9.-]+$/) })
      await eventually('nothing lives', () => app.live === 0)
    })
  }
})

describe('http accepts', () => {
  test('an absolute target of the same host, and passes its path on', async () => {
    const { port } = await serve(context => [context.path, context['iopa.QueryString'], context.host])
    const answer = parse(await ask(port, `GET http://LOCALHOST/a%20b?c=d HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`))
    expect(JSON.parse(answer.body)).toEqual(['/a b', 'c=d', 'LOCALHOST'])
  })

  test('an absolute target without a path', async () => {
    const { port } = await serve(context => [context.path, context['iopa.QueryString']])
    const answer = parse(await ask(port, `GET http://localhost?c=d HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`))
    expect(JSON.parse(answer.body)).toEqual(['/', 'c=d'])
  })

  test('an absolute target with or without the default port', async () => {
    const { port } = await serve(context => context.host)
    for (const [target, host] of [
      ['http://localhost:80', 'localhost'],
      ['http://localhost', 'localhost:80'],
      ['HTTP://localhost:', 'LocalHost'],
      ['https://localhost:443', 'localhost']
    ]) {
      const answer = parse(await ask(port, `GET ${target}/ HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`))
      expect([answer.status, answer.body], target).toEqual([200, 'localhost'])
    }
  })

  test('an unknown upgrade as an ordinary request, and keeps the connection', async () => {
    const { port } = await serve(async context => `ran ${context.path} ${await context.text()}`)
    for (const upgrade of ['h2c', 'TLS/1.2, HTTP/2.0', 'websocket']) {
      const fields = `Connection: Upgrade, HTTP2-Settings\r\nUpgrade: ${upgrade}\r\nHTTP2-Settings: AAMAAABk\r\n`
      const first = `POST /1 HTTP/1.1\r\n${HOST}${fields}Content-Length: 3\r\n\r\nabc`
      const text = await ask(port, `${first}GET /2 HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`)
      expect(text.match(/HTTP\/1\.1 \d+|ran .*/g)).toEqual(['HTTP/1.1 200', expect.stringMatching(/^ran \/1 abc/), 'ran /2 '])
    }
  })

  test('HTTP/1.0 without a Host header, and closes', async () => {
    const { port } = await serve(context => context.protocol)
    const answer = parse(await ask(port, 'GET / HTTP/1.0\r\n\r\n'))
    expect([answer.status, answer.body, answer.headers['connection']]).toEqual([200, 'HTTP/1.0', 'close'])
  })

  test('OPTIONS * without asking the app', async () => {
    const { port } = await serve(() => 'ran')
    expect(parse(await ask(port, `OPTIONS * HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`)).status).toBe(204)
  })

  test('a Transfer-Encoding in any case, chunk extensions and trailers', async () => {
    const { port } = await serve(async context => `ran ${await context.text()}`)
    const request = `POST / HTTP/1.1\r\n${HOST}Connection: close\r\ntransfer-encoding: CHUNKED\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n`
    expect(parse(await ask(port, request)).body).toBe('ran abc')
  })

  test('a closing request, and does not read the bytes after it', async () => {
    const { port } = await serve(async () => {
      await new Promise(resolve => setTimeout(resolve, 10))
      return 'first'
    })
    const text = await ask(port, `GET / HTTP/1.1\r\n${HOST}Connection: close\r\n\r\nGET /2 HTTP/1.1\r\n${HOST}\r\n`)
    expect(text.match(/HTTP\/1\.1/g)).toHaveLength(1)
    expect(text).toMatch(/first$/)
  })
})
