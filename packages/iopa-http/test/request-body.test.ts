import type { Context } from '@iopa/appbuilder'
import { describe, expect, test } from 'vitest'
import { ask, eventually, gate, Peer, parse, serve } from './support.ts'

const HOST = 'Host: localhost\r\n'
const post = (fields: string, body = ''): string => `POST / HTTP/1.1\r\n${HOST}${fields}\r\n${body}`
const echo = async (context: Context): Promise<unknown> => `got ${(await context.bytes()).length}`

describe('http reads a body', () => {
  test('with a length, and one in chunks that come one byte at a time', async () => {
    const { port } = await serve(context => context.text())
    expect(parse(await ask(port, post('Connection: close\r\nContent-Length: 5\r\n', 'hello'))).body).toBe('hello')
    const peer = new Peer(port)
    peer.socket.setNoDelay(true)
    for (const character of post('Connection: close\r\nTransfer-Encoding: chunked\r\n', '3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n')) {
      peer.send(character)
      await new Promise(resolve => setImmediate(resolve))
    }
    expect(parse(await peer.untilEnd()).body).toBe('hello')
  })

  test('as null without a body', async () => {
    const { port } = await serve(context => String(context.body))
    expect(parse(await ask(port, `GET / HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`)).body).toBe('null')
    expect(parse(await ask(port, post('Connection: close\r\nContent-Length: 0\r\n'))).body).toBe('null')
  })

  test('once for all readers that read it whole', async () => {
    const { port } = await serve(async context => [await context.text(), (await context.bytes()).length, await context.json()])
    expect(JSON.parse(parse(await ask(port, post('Connection: close\r\nContent-Length: 2\r\n', '{}'))).body)).toEqual(['{}', 2, {}])
  })

  test('as a stream for one reader, and throws for the second', async () => {
    const { port, errors } = await serve(async context => {
      let length = 0
      for await (const chunk of context.body as AsyncIterable<Uint8Array>) length += chunk.length
      return context.text().then(
        () => 'twice',
        (error: { code: string }) => `${length} ${error.code}`
      )
    })
    expect(parse(await ask(port, post('Connection: close\r\nContent-Length: 5\r\n', 'hello'))).body).toBe('5 body-used')
    expect(errors).toEqual([])
  })

  test('with back-pressure: a handler that stops reading stops the client', async () => {
    const go = gate()
    const { port } = await serve(
      async context => {
        let length = 0
        for await (const chunk of context.body as AsyncIterable<Uint8Array>) {
          if (length === 0) await go.promise
          length += chunk.length
        }
        return String(length)
      },
      { limits: { body: 100e6 } }
    )
    const peer = new Peer(port)
    const size = 50e6
    peer.send(post(`Connection: close\r\nContent-Length: ${size}\r\n`))
    const chunk = Buffer.alloc(1e6, 'x')
    for (let sent = 0; sent < size; sent += chunk.length) peer.send(chunk)
    await new Promise(resolve => setTimeout(resolve, 100))
    // What the kernel holds at most for both ends is far below what was sent.
    expect(peer.socket.writableLength).toBeGreaterThan(10e6)
    go.open()
    expect(parse(await peer.untilEnd()).body).toBe(String(size))
  })

  test('and explains what is wrong with JSON', async () => {
    const { port } = await serve(context => context.json())
    const status = async (fields: string, body: string): Promise<readonly unknown[]> => {
      const answer = parse(await ask(port, post(`Connection: close\r\n${fields}Content-Length: ${body.length}\r\n`, body)))
      return [answer.status, JSON.parse(answer.body).code]
    }
    expect(await status('', '{"a":')).toEqual([400, 'malformed-json'])
    expect(await status('', '{"__proto__":1}')).toEqual([400, 'forbidden-key'])
    expect(await status('Content-Type: application/x-www-form-urlencoded\r\n', '{}')).toEqual([415, 'not-json'])
  })
})

describe('http limits a body', () => {
  test('by Content-Length before the handler runs', async () => {
    let ran = false
    const { app, port } = await serve(() => (ran = true), { limits: { body: 1000 } })
    const answer = parse(await ask(port, post('Content-Length: 1001\r\n')))
    expect([answer.status, answer.headers['connection'], JSON.parse(answer.body).code, ran]).toEqual([413, 'close', 'body-too-large', false])
    await eventually('nothing lives', () => app.live === 0)
  })

  test('and a client that keeps sending gets the answer, not a reset', async () => {
    const { port } = await serve(echo, { limits: { body: 1000 } })
    for (let round = 0; round < 20; round++) {
      const answer = parse(await ask(port, Buffer.concat([Buffer.from(post('Content-Length: 300000\r\n')), Buffer.alloc(300_000)])))
      expect(answer.status).toBe(413)
    }
  })

  test('by received bytes if it is chunked', async () => {
    const { app, port } = await serve(echo, { limits: { body: 1000 } })
    const chunk = `200\r\n${'x'.repeat(512)}\r\n`
    expect(parse(await ask(port, post('Transfer-Encoding: chunked\r\n', `${chunk}${chunk}0\r\n\r\n`))).status).toBe(413)
    expect(parse(await ask(port, post('Connection: close\r\nTransfer-Encoding: chunked\r\n', `${chunk}0\r\n\r\n`))).body).toBe('got 512')
    await eventually('nothing lives', () => app.live === 0)
  })

  test('by received bytes if it is read as a stream', async () => {
    const { port } = await serve(
      async context => {
        for await (const _ of context.body as AsyncIterable<Uint8Array>);
        return 'read'
      },
      { limits: { body: 1000 } }
    )
    const chunk = `200\r\n${'x'.repeat(512)}\r\n`
    expect(parse(await ask(port, post('Transfer-Encoding: chunked\r\n', chunk.repeat(3)))).status).toBe(413)
  })

  test('also for a handler that never reads it: a chunked body ends the connection', async () => {
    const { port } = await serve(() => 'unread')
    const answer = parse(await ask(port, post('Transfer-Encoding: chunked\r\n', '5\r\nhello\r\n')))
    expect([answer.status, answer.body, answer.headers['connection']]).toEqual([200, 'unread', 'close'])
  })

  test('but keeps the connection if the rest of an unread body is within the limit', async () => {
    const { port } = await serve(() => 'unread')
    const peer = new Peer(port)
    peer.send(post('Content-Length: 10\r\n', 'hello'))
    await peer.until(/unread$/)
    peer.send(`world${post('Connection: close\r\nContent-Length: 0\r\n')}`)
    expect((await peer.untilEnd()).match(/unread/g)).toHaveLength(2)
  })

  test('to its announced length: a client that leaves before sends no complete request', async () => {
    const outcome = gate<unknown>()
    const { app, port } = await serve(context => {
      // A change ends with its handler, which has its body no longer.
      const body = context.bytes()
      body.catch(outcome.open)
      return body
    })
    const peer = new Peer(port)
    peer.send(post('Content-Length: 10\r\n', 'hello'))
    await eventually('the request is in work', () => app.live === 2)
    peer.socket.destroy()
    expect(await outcome.promise).toMatchObject({ status: 400, code: 'incomplete-request' })
    await eventually('its context has ended', () => app.live === 0)
  })

  test('and fails the reading handler when chunks are malformed', async () => {
    const { app, port } = await serve(echo)
    const peer = new Peer(port)
    peer.send(post('Transfer-Encoding: chunked\r\n', '5\r\nhello\r\n'))
    await eventually('the request is in work', () => app.live === 2)
    peer.send('nonsense\r\n')
    expect(parse(await peer.untilEnd())).toMatchObject({ status: 400, headers: { connection: 'close' } })
    await eventually('nothing lives', () => app.live === 0)
  })
})

describe('http sends 100 Continue', () => {
  test('only when the body is read', async () => {
    const { port } = await serve(context => (context.headers.has('x-read') ? context.text() : 'not read'))
    const asked = new Peer(port)
    asked.send(post('Connection: close\r\nX-Read: yes\r\nExpect: 100-continue\r\nContent-Length: 5\r\n'))
    await asked.until(/^HTTP\/1\.1 100 Continue\r\n\r\n$/)
    asked.send('hello')
    expect(await asked.untilEnd()).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n(?:.|\s)*hello$/)

    const answer = parse(await ask(port, post('Expect: 100-continue\r\nContent-Length: 5\r\n')))
    expect([answer.status, answer.body, answer.headers['connection']]).toEqual([200, 'not read', 'close'])
  })

  test('not if the body is too long', async () => {
    const { port } = await serve(echo, { limits: { body: 1000 } })
    expect(await ask(port, post('Expect: 100-continue\r\nContent-Length: 5000\r\n'))).toMatch(/^HTTP\/1\.1 413 /)
  })

  test('not if the request is refused for another reason', async () => {
    const { port } = await serve(echo)
    const text = await ask(port, `POST /a//b HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n`)
    expect(text).toMatch(/^HTTP\/1\.1 400 /)
    expect(text).toMatch(/connection: close/i)
  })

  test('not in HTTP/1.0', async () => {
    const { port } = await serve(context => context.text())
    expect(await ask(port, 'POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello')).toMatch(/^HTTP\/1\.1 200 (?:.|\s)*hello$/)
  })
})
