import http from 'node:http'
import net from 'node:net'
import type { Bag, Context, IopaError, ReceivedAnswer } from '@iopa/appbuilder'
import { virtualClock } from '@iopa/testing'
import type { LinkAnswer } from '@iopa/transport'
import { type Client, type ConnectOptions, connect } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { http as transport } from '../src/index.ts'
import { atEnd, eventually, gate, serve, settled } from './support.ts'

const dial = async (port: number, options: ConnectOptions = {}): Promise<Client> => {
  const channel = await connect(transport(), new URL(`http://127.0.0.1:${port}`), { timeout: 3000, ...options })
  atEnd(() => channel.close())
  return channel
}

/** A server that is not IOPA. */
const foreign = async (handler: http.RequestListener): Promise<number> => {
  const server = http.createServer(handler).listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  atEnd(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as net.AddressInfo).port
}

/** A server that answers each connection with the same bytes. */
const scripted = async (answer: (socket: net.Socket, number: number) => void): Promise<number> => {
  let number = 0
  const server = net.createServer(socket => {
    socket.on('error', () => undefined)
    answer(socket, ++number)
  })
  server.listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  atEnd(() => server.close())
  return (server.address() as net.AddressInfo).port
}

const get = (path: string, more: Bag = {}): Bag => ({ 'iopa.Path': path, ...more })

describe('a client', () => {
  test('uses one connection for sequential requests, and more for parallel ones', async () => {
    const { port } = await serve(async context => {
      await new Promise(resolve => setTimeout(resolve, 1))
      return context['server.SessionId']
    })
    const channel = await dial(port)
    const sessions = new Set<string>()
    for (let number = 0; number < 10; number++) sessions.add(await (await channel.send(get('/'))).text())
    expect(sessions.size).toBe(1)
    for (const answer of await Promise.all(Array.from({ length: 8 }, () => channel.send(get('/'))))) sessions.add(await answer.text())
    expect(sessions.size).toBeGreaterThan(4)
  })

  test('escapes path and query, and sends no connection fields', async () => {
    const { port } = await serve(context => [
      context.path,
      context['server.RawPath'],
      context['iopa.QueryString'],
      [...context.headers].map(([name]) => name.toLowerCase())
    ])
    const channel = await dial(port)
    const headers = { connection: 'close', 'transfer-encoding': 'chunked', 'content-length': '9', 'x-own': 'yes' }
    const answer = await channel.send(get('/küche/a b#c', { 'iopa.QueryString': 'a=ü b&c=d#e', 'iopa.Headers': headers }))
    expect(await answer.json()).toEqual(['/küche/a b#c', '/k%C3%BCche/a%20b%23c', 'a=%C3%BC%20b&c=d%23e', ['host', 'x-own', 'connection']])
  })

  test('streams a body to the server and an answer back', async () => {
    const go = gate()
    const { port } = await serve(async (context: Context) =>
      (async function* () {
        for await (const chunk of context.body as AsyncIterable<Uint8Array>) yield chunk
      })()
    )
    const channel = await dial(port)
    const body = (async function* () {
      yield new TextEncoder().encode('one ')
      await go.promise
      yield new TextEncoder().encode('two')
    })()
    const answer = await channel.send({ 'iopa.Method': 'POST', 'iopa.Path': '/', 'iopa.Body': body })
    let text = ''
    for await (const chunk of (answer as LinkAnswer).payload as AsyncIterable<Uint8Array>) {
      text += Buffer.from(chunk)
      go.open()
    }
    expect(text).toBe('one two')
  })

  test('pauses a long answer until its reader reads', async () => {
    let made = 0
    const { port } = await serve(() =>
      (async function* () {
        for (; made < 600; made++) yield new Uint8Array(64 * 1024)
      })()
    )
    const channel = await dial(port)
    const answer = await channel.send(get('/'))
    expect(await settled(() => made)).toBeLessThan(400)
    expect((await answer.bytes()).length).toBe(600 * 64 * 1024)
  })

  test('cancels an answer when its reader leaves', async () => {
    const { app, port } = await serve(() =>
      (async function* () {
        for (;;) yield new Uint8Array(1000)
      })()
    )
    const channel = await dial(port)
    const answer = await channel.send(get('/'))
    for await (const _ of (answer as LinkAnswer).payload as AsyncIterable<Uint8Array>) break
    await eventually('the server has noticed', () => app.live <= 1)
  })

  test('keeps several values of a field, content type and reason', async () => {
    const port = await foreign((_, response) => {
      response.writeHead(207, 'Many', { 'set-cookie': ['a=1', 'b=2'], 'content-type': 'text/plain' }).end('x')
    })
    const answer = await (await dial(port)).send(get('/'))
    expect([answer.status, answer.reason, answer.type, answer.headers.getAll('Set-Cookie'), await answer.text()]).toEqual([
      207,
      'Many',
      'text/plain',
      ['a=1', 'b=2'],
      'x'
    ])
  })

  test('reads HEAD, 204 and 304 without a body, and answers without a length', async () => {
    const port = await foreign((request, response) => {
      response.shouldKeepAlive = request.url !== '/close'
      const status = Number(request.url?.slice(1)) || 200
      response.writeHead(status, request.method === 'HEAD' ? { 'content-length': 77 } : {})
      if (request.method === 'HEAD' || status !== 200) response.end()
      else {
        response.write('in ')
        response.end('parts')
      }
    })
    const channel = await dial(port)
    const head = await channel.send(get('/', { 'iopa.Method': 'HEAD' }))
    expect([head.headers.get('content-length'), (await head.bytes()).length]).toEqual(['77', 0])
    for (const status of [204, 304]) expect((await channel.send(get(`/${status}`))).status).toBe(status)
    expect(await (await channel.send(get('/close'))).text()).toBe('in parts')
    expect(await (await channel.send(get('/'))).text()).toBe('in parts')
  })

  test('skips informational answers', async () => {
    const port = await foreign((_, response) => {
      response.writeProcessing()
      response.writeEarlyHints({ link: '</a>; rel=preload' })
      response.end('x')
    })
    expect(await (await (await dial(port)).send(get('/'))).text()).toBe('x')
  })

  test('repeats an idempotent request that a kept connection has lost, and no other', async () => {
    const seen: string[] = []
    const port = await scripted((socket, number) => {
      let requests = 0
      socket.on('data', chunk => {
        seen.push(`${number} ${chunk.toString().split(' ', 1)}`)
        if (number === 1 && ++requests === 2) socket.destroy()
        else if (number === 2 && ++requests === 2) socket.destroy()
        else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx')
      })
    })
    const channel = await dial(port)
    expect((await channel.send(get('/'))).status).toBe(200)
    expect((await channel.send(get('/'))).status).toBe(200)
    await expect(channel.send(get('/', { 'iopa.Method': 'POST', 'iopa.Body': 'x' }))).rejects.toMatchObject({ status: 502, code: 'disconnected' })
    expect(seen.map(line => line.slice(0, 5))).toEqual(['1 GET', '1 GET', '2 GET', '2 POS'])
  })
})

describe('a request rejects', () => {
  test('if nothing listens', async () => {
    const port = await scripted(() => undefined)
    const free = await new Promise<number>(resolve => {
      const probe = net.createServer().listen(0, '127.0.0.1', () => {
        const { port: own } = probe.address() as net.AddressInfo
        probe.close(() => resolve(own))
      })
    })
    await expect(dial(free)).rejects.toMatchObject({ status: 502, code: 'connect-failed' })
    await dial(port)
  })

  test('if connecting is aborted', async () => {
    const stop = new AbortController()
    stop.abort(new Error('enough'))
    await expect(dial(1, { signal: stop.signal })).rejects.toThrow('enough')
  })

  test('if the server closes before or within its answer', async () => {
    const answers = ['', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n']
    for (const answer of answers) {
      const port = await scripted(socket => {
        socket.once('data', () => socket.end(answer))
      })
      const channel = await dial(port)
      const whole = channel.send(get('/')).then(received => received.bytes())
      await expect(whole).rejects.toMatchObject({ status: 502, code: 'disconnected' })
    }
  })

  test('if the answer is invalid', async () => {
    const answers = [
      'nonsense\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx',
      `HTTP/1.1 200 OK\r\n${'A: b\r\n'.repeat(101)}\r\n`
    ]
    answers.push(`HTTP/1.1 200 OK\r\nA: ${'b'.repeat(20_000)}\r\n\r\n`)
    for (const answer of answers) {
      const port = await scripted(socket => {
        socket.once('data', () => socket.write(answer))
      })
      await expect((await dial(port)).send(get('/'))).rejects.toMatchObject({ status: 502, code: 'bad-answer' })
    }
  })

  test('after the timeout, if the server is silent before or within its answer', async () => {
    for (const answer of ['', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf']) {
      const clock = virtualClock()
      const asked = gate()
      const port = await scripted(socket => {
        socket.once('data', () => {
          socket.write(answer)
          asked.open()
        })
      })
      const channel = await dial(port, { clock, timeout: 1000 })
      const sent = channel.send(get('/')).catch((error: IopaError) => error.code)
      await asked.promise
      await new Promise(resolve => setTimeout(resolve, 20))
      await clock.advance(1001)
      expect(await sent).toBe('timeout')
      expect(clock.pending).toBe(0)
    }
  })

  test('with the reason of its signal: before, during and after the head of the answer', async () => {
    const { app, port } = await serve(context => {
      if (context.path === '/silent') return new Promise(() => undefined)
      return (async function* () {
        yield new TextEncoder().encode('first')
        await new Promise(() => undefined)
      })()
    })
    const channel = await dial(port)
    const reason = new Error('enough')
    const before = new AbortController()
    before.abort(reason)
    await expect(channel.send(get('/silent', { 'iopa.CallCancelled': before.signal }))).rejects.toBe(reason)
    const during = new AbortController()
    setTimeout(() => during.abort(reason), 20)
    await expect(channel.send(get('/silent', { 'iopa.CallCancelled': during.signal }))).rejects.toBe(reason)
    const after = new AbortController()
    const answer = await channel.send(get('/stream', { 'iopa.CallCancelled': after.signal }))
    setTimeout(() => after.abort(reason), 20)
    await expect(answer.bytes()).rejects.toBe(reason)
    await eventually('the server has let all go', () => app.live === 0)
  })

  test('if its body fails', async () => {
    const { port } = await serve(async context => (await context.bytes()).length)
    const body = (async function* () {
      yield new Uint8Array(10)
      throw new Error('no more')
    })()
    await expect((await dial(port)).send({ 'iopa.Method': 'PUT', 'iopa.Path': '/', 'iopa.Body': body })).rejects.toThrow('no more')
  })

  test('if HTTP cannot express it', async () => {
    const { port } = await serve(() => 'x')
    const channel = await dial(port)
    await expect(channel.send(get('/', { 'iopa.Method': 'NO METHOD' }))).rejects.toMatchObject({ status: 400, code: 'bad-request' })
    await expect(channel.send(get('/', { 'iopa.Headers': { 'x-name': '名' } }))).rejects.toMatchObject({ status: 400, code: 'bad-request' })
    await expect(channel.send(get('//a'))).rejects.toMatchObject({ status: 400 })
  })

  test('if the client is closed, before or meanwhile', async () => {
    const { port } = await serve(() => new Promise(() => undefined))
    const channel = await dial(port)
    const sent = channel.send(get('/')).catch((error: IopaError) => error.code)
    await new Promise(resolve => setTimeout(resolve, 20))
    await channel.close()
    expect(await sent).toBe('closed')
    await expect(channel.send(get('/'))).rejects.toMatchObject({ code: 'closed' })
    await channel.close()
  })

  test('over the limit of pending requests', async () => {
    const { port } = await serve(() => new Promise(() => undefined))
    const channel = await dial(port, { limits: { inFlight: 1 } })
    void channel.send(get('/')).catch(() => undefined)
    await expect(channel.send(get('/'))).rejects.toMatchObject({ status: 503, code: 'overloaded' })
  })
})

describe('an observation', () => {
  const read = async (answers: AsyncIterable<ReceivedAnswer>, count: number): Promise<string[]> => {
    const seen: string[] = []
    for await (const answer of answers) {
      seen.push(await answer.text())
      if (seen.length === count) break
    }
    return seen
  }

  test('delivers content type, entity tag and bytes unchanged', async () => {
    const bytes = new Uint8Array([0, 255, 128])
    const { port } = await serve(context => {
      context.response.headers.set('etag', '"v1"')
      context.response.type = 'image/png'
      return bytes
    })
    for await (const answer of (await dial(port)).observe(get('/'))) {
      expect([answer.status, answer.type, answer.headers.get('etag'), [...(await answer.bytes())]]).toEqual([200, 'image/png', '"v1"', [...bytes]])
      break
    }
  })

  test('reads streams of any server, reconnects at their end, and sends Last-Event-ID', async () => {
    const lastIds: unknown[] = []
    const port = await foreign((request, response) => {
      lastIds.push(request.headers['last-event-id'])
      response.writeHead(200, { 'content-type': 'text/event-stream;charset=utf-8' })
      response.end(`retry: 1\nid: ${lastIds.length}ü\ndata: event ${lastIds.length}\n\n`)
    })
    expect(await read((await dial(port)).observe(get('/')), 3)).toEqual(['event 1', 'event 2', 'event 3'])
    expect(lastIds).toEqual([undefined, Buffer.from('1ü').toString('latin1'), Buffer.from('2ü').toString('latin1')])
  })

  test('waits longer after each failure, and starts again after a success', async () => {
    const clock = virtualClock()
    const times: number[] = []
    const port = await foreign((_, response) => {
      times.push(clock.now())
      if (times.length > 1 && times.length < 7) {
        response.writeHead(503).end()
        return
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(`retry: 1000\ndata: ${times.length}\n\n`)
    })
    const reading = read((await dial(port, { clock })).observe(get('/')), 3)
    const turns = setInterval(() => void clock.advance(50), 1)
    expect(await reading).toEqual(['1', '7', '8'])
    clearInterval(turns)
    const pauses = times.slice(1).map((time, index) => time - (times[index] as number))
    pauses.slice(0, 6).forEach((pause, attempt) => {
      expect(pause).toBeGreaterThanOrEqual(500 * 2 ** attempt - 50)
      expect(pause).toBeLessThanOrEqual(1000 * 2 ** attempt + 400)
    })
    expect(pauses[6]).toBeLessThanOrEqual(1400)
  })

  test('survives a restart of the server', async () => {
    let n = 0
    const { app, port } = await serve(() => ({ n }), { retry: 10 })
    const seen: unknown[] = []
    for await (const answer of (await dial(port)).observe(get('/'))) {
      seen.push(await answer.json())
      if (seen.length === 2) break
      await app.close()
      n = 1
      await serve(() => ({ n }), { port })
    }
    expect(seen).toEqual([{ n: 0 }, { n: 1 }])
  })

  test('ends at once with its signal, also while it waits to reconnect', async () => {
    const port = await foreign((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end('retry: 100000\ndata: x\n\n')
    })
    const stop = new AbortController()
    const seen: string[] = []
    for await (const answer of (await dial(port)).observe(get('/', { 'iopa.CallCancelled': stop.signal }))) {
      seen.push(await answer.text())
      setTimeout(() => stop.abort(), 20)
    }
    expect(seen).toEqual(['x'])
  })

  test('ends when the client is closed', async () => {
    const { port } = await serve(() => 'x')
    const channel = await dial(port)
    let seen = 0
    for await (const _ of channel.observe(get('/'))) {
      seen++
      setTimeout(() => void channel.close(), 10)
    }
    expect(seen).toBe(1)
  })

  test('throws the refusal of the server, at first or later', async () => {
    const port = await foreign((request, response) => {
      if (request.url === '/forbidden') {
        response.writeHead(403, { 'content-type': 'application/problem+json' }).end('{"status":403,"code":"no-entry","detail":"Not you."}')
        return
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end('data: x\n\nevent: error\ndata: {"status":410,"code":"gone"}\n\n')
    })
    const channel = await dial(port)
    await expect(read(channel.observe(get('/forbidden')), 1)).rejects.toMatchObject({
      status: 403,
      code: 'refused',
      cause: { code: 'no-entry', detail: 'Not you.' }
    })
    await expect(read(channel.observe(get('/gone')), 2)).rejects.toMatchObject({ status: 410, code: 'refused', cause: { code: 'gone' } })
  })

  test('throws if the server does not stream, and ends if the server refuses reconnecting', async () => {
    const port = await foreign((request, response) => {
      response.writeHead(request.url === '/none' ? 204 : 200, { 'content-type': 'text/plain' }).end(request.url === '/none' ? undefined : 'x')
    })
    const channel = await dial(port)
    await expect(read(channel.observe(get('/plain')), 1)).rejects.toMatchObject({ status: 501, code: 'not-observable' })
    expect(await read(channel.observe(get('/none')), 1)).toEqual([])
  })

  test('throws if an event is too long', async () => {
    const port = await foreign((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(`data: ${'x'.repeat(5000)}\n\n`)
    })
    const channel = await dial(port, { limits: { body: 1000 } })
    await expect(read(channel.observe(get('/')), 1)).rejects.toMatchObject({ status: 502, code: 'bad-answer' })
  })
})
