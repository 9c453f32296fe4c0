import { type Context, reply } from '@iopa/appbuilder'
import { virtualClock } from '@iopa/testing'
import { HeaderMap } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { ask, eventually, gate, Peer, parse, serve } from './support.ts'
import { wireServer } from './wire.ts'

const get = (path: string, fields = ''): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`
const post = (path: string, body: string): string => `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`
const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

describe('requests of one read', () => {
  test('are answered in one write if all are answered at once', async () => {
    const { open } = await wireServer(context => (context.path === '/bytes' ? new Uint8Array([65, 66]) : `<${context.path}>`))
    const channel = open()
    channel.receiver?.data(Buffer.from(get('/1') + get('/bytes') + get('/a//b') + get('/4')))
    expect(channel.writes).toBe(1)
    expect(channel.output.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 400', 'HTTP/1.1 200'])
    channel.destroy()
  })

  test('are answered in few writes if each answer takes a promise', async () => {
    const { open } = await wireServer(async context => context.text())
    const channel = open()
    channel.receiver?.data(Buffer.from(Array.from({ length: 16 }, (_, at) => post('/', `<${at}>`)).join('')))
    for (let turns = 0; turns < 5; turns++) await turn()
    expect(channel.output.match(/<\d+>/g)).toEqual(Array.from({ length: 16 }, (_, at) => `<${at}>`))
    expect(channel.writes).toBeLessThan(4)
    channel.destroy()
  })

  test('do not wait with an answer while the next handler runs', async () => {
    const go = gate()
    const { open } = await wireServer(async context => {
      if (context.path === '/slow') await go.promise
      return `<${context.path}>`
    })
    const channel = open()
    channel.receiver?.data(Buffer.from(get('/fast') + get('/slow')))
    for (let turns = 0; turns < 3; turns++) await turn()
    expect(channel.output).toMatch(/<\/fast>$/)
    go.open()
    for (let turns = 0; turns < 3; turns++) await turn()
    expect(channel.output).toMatch(/<\/slow>$/)
    channel.destroy()
  })
})

describe('a body', () => {
  test('kept by the app after its request reads nothing of the next request', async () => {
    let kept: AsyncIterable<Uint8Array> | undefined
    const { open } = await wireServer(async context => {
      if (context.path === '/keep') {
        kept = context.body as AsyncIterable<Uint8Array>
        return 'kept'
      }
      await expect(kept?.[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'request-over' })
      return context.text()
    })
    const channel = open()
    channel.receiver?.data(Buffer.from(post('/keep', 'first') + post('/', '<second>')))
    for (let turns = 0; turns < 5; turns++) await turn()
    expect(channel.output).toMatch(/kept(?:.|\s)*<second>$/)
    channel.destroy()
  })

  test('unread by the app is skipped after it has arrived, chunked or not', async () => {
    const { open } = await wireServer(context => `<${context.path}>`)
    const channel = open()
    const chunked = 'POST /1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'
    channel.receiver?.data(Buffer.from(chunked + post('/2', 'unread') + get('/3')))
    expect(channel.output.match(/<\/\d>/g)).toEqual(['</1>', '</2>', '</3>'])
    channel.destroy()
  })

  test('with chunks of single bytes costs no more than they do', async () => {
    const { port } = await serve(async context => (await context.bytes()).length)
    const peer = new Peer(port).send('POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n')
    peer.send(`${'1\r\nx\r\n'.repeat(200_000)}0\r\n\r\n`)
    expect(parse(await peer.untilEnd()).body).toBe('200000')
  })
})

describe('HTTP/1.0', () => {
  test('keeps the connection on request, and says so in the answer', async () => {
    const { port } = await serve(context => `<${context.path}>`)
    const peer = new Peer(port).send('GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
    expect(parse(await peer.until(/<\/1>$/)).headers['connection']).toBe('keep-alive')
    peer.send('GET /2 HTTP/1.0\r\n\r\n')
    expect(await peer.untilEnd()).toMatch(/connection: close(?:.|\s)*<\/2>$/)
  })

  test('sends a stream of unknown length without chunks, up to the end of the connection', async () => {
    const { port } = await serve(() =>
      (async function* () {
        yield new TextEncoder().encode('one ')
        yield new TextEncoder().encode('two')
      })()
    )
    const text = await ask(port, 'GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
    expect(parse(text)).toMatchObject({ body: 'one two', headers: { connection: 'close' } })
    expect(text).not.toMatch(/transfer-encoding|content-length/)
  })
})

describe('the head of an answer', () => {
  const headOf = async (handler: (context: Context) => unknown): Promise<string> => {
    const { port } = await serve(handler)
    return ask(port, get('/', 'Connection: close\r\n'))
  }

  test('writes Latin-1 in a field as one byte, and the body after it as UTF-8', async () => {
    const text = await headOf(context => {
      context.response.headers = new HeaderMap(['x-name', 'K\xfcche'])
      return 'K\xfcche'
    })
    expect(text).toMatch(/x-name: K\xfcche\r\n/)
    expect(text).toMatch(/content-length: 6\r\n(?:.|\s)*K\xc3\xbcche$/)
  })

  test('has the date of the clock, updated each second, unless the handler sets it', async () => {
    const clock = virtualClock({ start: Date.UTC(2026, 0, 1) + 400 })
    const { port } = await serve(context => (context.path === '/own' ? reply(200, 'x', { Date: 'yesterday' }) : 'x'), { clock })
    const peer = new Peer(port)
    const date = async (path: string): Promise<readonly string[]> => {
      peer.text = ''
      return [...(await peer.send(get(path)).until(/x$/)).matchAll(/date: (.*)\r\n/gi)].map(([, value]) => value as string)
    }
    expect(await date('/')).toEqual(['Thu, 01 Jan 2026 00:00:00 GMT'])
    await clock.advance(500)
    expect(await date('/')).toEqual(['Thu, 01 Jan 2026 00:00:00 GMT'])
    await clock.advance(100)
    expect(await date('/')).toEqual(['Thu, 01 Jan 2026 00:00:01 GMT'])
    expect(await date('/own')).toEqual(['yesterday'])
  })

  test('cannot be split by reason or type', async () => {
    const reason = await headOf(context => {
      context.response.reason = 'Fine\r\nset-cookie: evil=1'
      return 'x'
    })
    const type = await headOf(context => {
      context.response.type = 'text/plain\r\nset-cookie: evil=1'
      return 'x'
    })
    for (const text of [reason, type]) {
      expect(text).toMatch(/^HTTP\/1\.1 500 /)
      expect(text).not.toMatch(/set-cookie/)
    }
  })
})

describe('a long answer', () => {
  test('is written at once as far as the system takes it, and then waits for the peer', async () => {
    for (const body of [new Uint8Array(3e6), 'x'.repeat(3e6)]) {
      const { open } = await wireServer(() => body)
      const channel = open()
      channel.full = true
      channel.receiver?.data(Buffer.from(get('/') + get('/')))
      await turn()
      const first = channel.output.length
      expect(first).toBeGreaterThan(200_000)
      expect(first).toBeLessThan(600_000)
      await turn()
      expect(channel.output.length).toBe(first)

      channel.buffered = 0
      channel.full = false
      channel.receiver?.drain()
      for (let turns = 0; turns < 3; turns++) await turn()
      expect(channel.output.match(/HTTP\/1\.1 200/g)).toHaveLength(2)
      expect(channel.output.length).toBeGreaterThan(6e6)
      channel.destroy()
    }
  })

  test('is written in growing parts to a fast peer, and in the smallest again to a slow one', async () => {
    const { open, clock } = await wireServer(() => new Uint8Array(5e6))
    const channel = open()
    channel.full = true
    channel.receiver?.data(Buffer.from(get('/')))
    const parts: number[] = []
    let seen = 0
    for (const milliseconds of [999, 0, 0, 1000, 0]) {
      await turn()
      parts.push(Math.round((channel.output.length - seen) / 1024))
      seen = channel.output.length
      await clock.advance(milliseconds)
      channel.buffered = 0
      channel.receiver?.drain()
    }
    expect(parts).toEqual([256, 512, 1024, 1024, 256])
    channel.destroy()
  })
})

describe('a peer that stops in the middle of a body', () => {
  test('is dropped after the idle limit without bytes, and not before', async () => {
    const clock = virtualClock()
    const { app, port } = await serve(async context => (await context.bytes()).length, { clock, limits: { idleTimeout: 5000 } })
    const peer = new Peer(port).send('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n')
    await eventually('the request is in work', () => app.live === 2)
    for (let second = 0; second < 15; second++) {
      peer.send('x')
      await new Promise(resolve => setTimeout(resolve, 20))
      await clock.advance(1000)
    }
    expect([peer.closed, app.live]).toEqual([false, 2])
    await clock.advance(8000)
    await peer.until(() => peer.closed)
    expect(peer.text).toBe('')
    await eventually('nothing lives', () => app.live === 0)
  })
})

describe('a connection that the server has ended', () => {
  test('is dropped after a second if the peer keeps it', async () => {
    const clock = virtualClock()
    const { app, port } = await serve(() => 'x', { clock })
    const peer = new Peer(port, { allowHalfOpen: true })
    await peer.send(get('/', 'Connection: close\r\n')).untilEnd()
    await clock.advance(900)
    expect(app.live).toBe(1)
    await clock.advance(3000)
    await eventually('it is gone', () => app.live === 0)
  })

  test('sends all of a long last answer to a slow peer', async () => {
    const clock = virtualClock()
    const { port } = await serve(() => new Uint8Array(3e6), { clock })
    const peer = new Peer(port)
    peer.socket.pause()
    peer.send(get('/', 'Connection: close\r\n'))
    for (let second = 0; second < 100; second++) {
      await clock.advance(1000)
      if (second % 20 === 10) {
        peer.socket.resume()
        await new Promise(resolve => setTimeout(resolve, 1))
        peer.socket.pause()
      }
    }
    peer.socket.resume()
    expect((await peer.untilEnd()).length).toBeGreaterThan(3e6)
  })

  test('does not read requests after CONNECT', async () => {
    const { port } = await serve(context => `<${context.path}>`)
    const text = await ask(port, `CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n${get('/inside')}`)
    expect(text).toMatch(/^HTTP\/1\.1 400 (?:.|\s)*control-method/)
    expect(text).not.toMatch(/inside>/)
  })
})

describe('a method', () => {
  test('may be any token: the app decides which it supports', async () => {
    const { port } = await serve(context => context.method)
    expect(parse(await ask(port, `FETCH / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)).body).toBe('FETCH')
  })
})
