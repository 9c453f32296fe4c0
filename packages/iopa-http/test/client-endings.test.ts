// How answers, connections and event streams end for a client, and what it makes of that.

import { getEventListeners } from 'node:events'
import net from 'node:net'
import { App } from '@iopa/appbuilder'
import { virtualClock } from '@iopa/testing'
import { type Client, type ConnectOptions, connect } from '@iopa/transport'
import { describe, expect, test, vi } from 'vitest'
import { http } from '../src/index.ts'
import { atEnd, serve } from './support.ts'

/** A server that treats each connection as `answer` does, once a request has come. */
const scripted = async (answer: (socket: net.Socket, number: number, request: string) => void): Promise<number> => {
  let number = 0
  const sockets = new Set<net.Socket>()
  const server = net.createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    const own = ++number
    socket.on('data', data => answer(socket, own, data.toString('latin1')))
  })
  server.listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  atEnd(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as net.AddressInfo).port
}

const dial = async (port: number, options: ConnectOptions = {}): Promise<Client> => {
  const app = new App({ logger: false }).use(http())
  atEnd(() => app.close({ timeout: 0 }))
  return app.connect(`http://127.0.0.1:${port}`, { timeout: 3000, ...options })
}

describe('a body that the end of its connection ends', () => {
  const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n'

  test('is complete when the peer ends the connection', async () => {
    const port = await scripted(socket => socket.end(`${HEAD}whole`))
    expect(await (await (await dial(port)).get('/')).text()).toBe('whole')
  })

  test('rejects when the connection is reset', async () => {
    const port = await scripted(socket => socket.write(`${HEAD}part`, () => setTimeout(() => socket.resetAndDestroy(), 20)))
    const answer = await (await dial(port)).get('/')
    await expect(answer.text()).rejects.toMatchObject({ status: 502, code: 'disconnected' })
  })

  test('rejects after the timeout', async () => {
    const port = await scripted(socket => socket.write(`${HEAD}part`))
    const answer = await (await dial(port, { timeout: 60 })).get('/')
    await expect(answer.text()).rejects.toMatchObject({ status: 504, code: 'timeout' })
  })

  test('rejects when its signal aborts, over a link as over a client', async () => {
    const port = await scripted(socket => socket.write(`${HEAD}part`))
    const channel = await connect(http(), new URL(`http://127.0.0.1:${port}`))
    atEnd(() => channel.close())
    const client = await dial(port)
    for (const peer of [channel, client]) {
      const stop = new AbortController()
      const answer = await peer.send({ 'iopa.Path': '/', 'iopa.CallCancelled': stop.signal })
      const text = answer.text()
      setTimeout(() => stop.abort(new Error('enough')), 10)
      await expect(text).rejects.toBe(await Promise.resolve(text.catch((error: unknown) => error)))
      await expect(text).rejects.toThrow('enough')
    }
  })

  test.each(['chunked', 'gzip, chunked', 'gzip', 'identity'])(
    'is never one with Transfer-Encoding: %s, whose end a reset would hide',
    async coding => {
      const body = coding.endsWith('chunked') ? '4\r\npart\r\n' : 'part'
      const head = HEAD.replace('\r\n\r\n', `\r\nTransfer-Encoding: ${coding}\r\n\r\n`)
      const port = await scripted(socket => socket.write(head + body, () => setTimeout(() => socket.resetAndDestroy(), 20)))
      const client = await dial(port)
      const failure = { status: 502, code: coding === 'chunked' ? 'disconnected' : 'bad-answer' }
      await expect(client.get('/').then(answer => answer.text())).rejects.toMatchObject(failure)
    }
  )

  test('rejects when the client closes', async () => {
    const port = await scripted(socket => socket.write(`${HEAD}part`))
    const client = await dial(port)
    const text = (await client.get('/')).text()
    setTimeout(() => void client.close(), 10)
    await expect(text).rejects.toMatchObject({ status: 503, code: 'closed' })
  })
})

describe('the body of an answer, read chunk by chunk', () => {
  const head = (fields: string) => `HTTP/1.1 200 OK\r\n${fields}\r\n`
  const parts = async (body: unknown): Promise<string> => {
    let text = ''
    for await (const chunk of body as AsyncIterable<Uint8Array>) text += Buffer.from(chunk).toString()
    return text
  }

  test.each([
    ['by its length', 'Content-Length: 9000000\r\n', 'part'],
    ['in chunks', 'Transfer-Encoding: chunked\r\n', '4\r\npart\r\n'],
    ['by the end of the connection', '', 'part']
  ])('rejects with the reason of the signal: one that ends %s', async (_, fields, bytes) => {
    const client = await dial(await scripted(socket => socket.write(head(fields) + bytes)))
    const stop = new AbortController()
    const { body } = await client.get('/', { signal: stop.signal })
    const reason = new Error('enough')
    setTimeout(() => stop.abort(reason), 10)
    expect(await parts(body).catch((error: unknown) => error)).toBe(reason)
  })

  test('removes its listener from a signal that lives on', async () => {
    const client = await dial(await scripted(socket => socket.write(`${head('Transfer-Encoding: chunked\r\n')}4\r\npart\r\n0\r\n\r\n`)))
    const { signal } = new AbortController()
    for (let count = 0; count < 5; count++) expect(await parts((await client.get('/', { signal })).body)).toBe('part')
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })
})

describe('an idle connection', () => {
  const answerTo = (field: string) => (socket: net.Socket, number: number) =>
    void socket.write(`HTTP/1.1 200 OK\r\n${field}Content-Length: ${String(number).length}\r\n\r\n${number}`)

  test.each([
    ['Keep-Alive: timeout=1\r\n', 600, '2'],
    ['Keep-Alive: timeout=1\r\n', 300, '1'],
    ['Keep-Alive: max=100, Timeout="20"\r\n', 19_500, '2'],
    ['Keep-Alive: timeout=20\r\n', 18_500, '1'],
    ['Keep-Alive: timeout=0\r\n', 0, '2'],
    ['', 19_500, '1']
  ])('is used as long as the server keeps it: %j, after %i ms by connection %s', async (field, idle, connection) => {
    const clock = virtualClock()
    const client = await dial(await scripted(answerTo(field)), { clock })
    expect(await (await client.get('/')).text()).toBe('1')
    await new Promise(resolve => setImmediate(resolve))
    await clock.advance(idle)
    await new Promise(resolve => setImmediate(resolve))
    expect(await (await client.get('/')).text()).toBe(connection)
  })
})

describe('an event stream', () => {
  const EVENTS = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n'

  test.each([
    ['says something and ends at once', 'retry: 0\ndata: x\n\n'],
    ['ends at once after the first event', 'retry: 0\ndata: x\n\n', 'retry: 0\n\n']
  ])('with retry: 0 and %s is reconnected less and less often', async (_, first, later = first) => {
    const clock = virtualClock()
    let connections = 0
    const port = await scripted((socket, number) => {
      connections = number
      socket.end(EVENTS + (number <= 2 ? first : later))
    })
    const stop = new AbortController()
    const reading = (async () => {
      for await (const _ of (await dial(port, { clock })).observe('/', { signal: stop.signal }));
    })()
    // Two minutes, in steps that let sockets take their turns.
    for (let step = 0; step < 240; step++) {
      await clock.advance(500)
      await new Promise(resolve => setTimeout(resolve, 2))
    }
    stop.abort()
    await reading
    expect(connections).toBeGreaterThan(4)
    expect(connections).toBeLessThan(70)
  })

  test('delivers text exactly to an IOPA client, and in lines to others', async () => {
    const texts = ['a\r\nb', 'a\rb\r', '\r\n', '\ufeffx', '{"a":\r\n1}', '', 'a\n\nb\n']
    let type = ''
    let payload: string | Uint8Array = ''
    const { port } = await serve(context => {
      context.response.type = type
      return payload
    })
    const client = await dial(port)
    for (type of ['text/plain', 'application/json', 'text/plain; charset=utf-8', 'application/octet-stream']) {
      for (const text of texts) {
        for (payload of [text, Buffer.from(text)]) {
          const sent = await (await client.get('/')).bytes()
          for await (const answer of client.observe('/')) {
            expect([answer.type, Buffer.from(await answer.bytes())]).toEqual([type, Buffer.from(sent)])
            break
          }
        }
      }
    }
  })

  test('delivers text in lines to browsers', async () => {
    const { port } = await serve(context => {
      context.response.type = 'text/plain'
      return 'a\r\nb'
    })
    let text = ''
    const socket = net.connect(port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n'))
    socket.on('data', data => (text += data.toString()))
    atEnd(() => socket.destroy())
    await vi.waitFor(() => expect(text).toContain('data: a\ndata: b\n\n'))
  })
})
