import type { Context, IopaError } from '@iopa/appbuilder'
import { describe, expect, test } from 'vitest'
import { eventually, gate, Peer, serve } from './support.ts'

const GET = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
const POST = 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello'
const reason = (context: Context): string => (context.signal.reason as IopaError | undefined)?.code ?? 'none'

describe('the signal of a request', () => {
  test('aborts with finish when the answer has been written, for every kind of request', async () => {
    const reasons: string[] = []
    const { port } = await serve(async context => {
      const { signal } = context
      signal.addEventListener('abort', () => reasons.push((signal.reason as IopaError).code))
      if (context.method === 'POST') await context.text()
      await new Promise(resolve => setTimeout(resolve, 1))
      return 'done'
    })
    const peer = new Peer(port)
    for (const request of [GET, POST, GET, POST]) {
      const answers = peer.text.length
      peer.send(request)
      await peer.until(() => peer.text.length > answers && peer.text.endsWith('done'))
    }
    await eventually('all have ended', () => reasons.length === 4)
    expect(reasons).toEqual(['finish', 'finish', 'finish', 'finish'])
  })

  test('aborts with disconnect when the client leaves while the handler runs', async () => {
    const arrived = gate<Context>()
    const { app, port } = await serve(context => {
      void context.signal
      arrived.open(context)
      return new Promise(() => undefined)
    })
    for (const leave of ['destroy', 'end', 'resetAndDestroy'] as const) {
      const peer = new Peer(port)
      peer.send(GET)
      const context = await arrived.promise
      peer.socket[leave]()
      await eventually(`the handler hears of it (${leave})`, () => context.signal.aborted)
      expect(reason(context)).toBe('disconnect')
    }
    await eventually('nothing lives', () => app.live === 0)
  })

  test('aborts with disconnect when the client leaves during a stream, and cancels the stream', async () => {
    let given = false
    let context: Context | undefined
    const { app, port } = await serve(own => {
      context = own
      void own.signal
      return (async function* () {
        try {
          for (;;) {
            yield new Uint8Array(1000)
            await new Promise(resolve => setTimeout(resolve, 1))
          }
        } finally {
          given = true
        }
      })()
    })
    const peer = new Peer(port)
    peer.send(GET)
    await peer.until(/200 OK/)
    peer.socket.destroy()
    await eventually('the stream is given up', () => given)
    expect(reason(context as Context)).toBe('disconnect')
    await eventually('nothing lives', () => app.live === 0)
  })

  test('aborts with timeout when the request takes too long, and the client gets 504', async () => {
    let context: Context | undefined
    const { app, port } = await serve(
      own => {
        context = own
        void own.signal
        return new Promise(() => undefined)
      },
      { limits: { requestTimeout: 50 } }
    )
    const peer = new Peer(port)
    peer.send(GET)
    await peer.until(/^HTTP\/1\.1 504 /)
    expect(reason(context as Context)).toBe('timeout')
    await eventually('only the connection lives', () => app.live === 1)
  })
})

describe('http survives', () => {
  test('clients that close while answers are being sent', async () => {
    const { app, port } = await serve(async () => {
      await new Promise(resolve => setTimeout(resolve, 1))
      return 'x'.repeat(100_000)
    })
    for (let round = 0; round < 50; round++) {
      const peer = new Peer(port)
      peer.send(GET.repeat(3))
      setTimeout(() => peer.socket.destroy(), round % 7)
    }
    await eventually('nothing lives', () => app.live === 0)
    const peer = new Peer(port)
    peer.send(GET)
    await peer.until(/200 OK/)
  })

  test('2,000 connections that are opened and dropped, some with half a request', async () => {
    // The scope of a change outlives its peer, for this time at most.
    const { app, port } = await serve(() => new Promise(() => undefined), { app: { limits: { drainTimeout: 100 } } })
    for (let round = 0; round < 10; round++) {
      const peers = Array.from({ length: 200 }, () => new Peer(port))
      await Promise.all(peers.map(peer => new Promise(resolve => peer.socket.once('connect', resolve))))
      peers.forEach((peer, index) => {
        if (index % 4 === 1) peer.send('GET / HT')
        if (index % 4 === 2) peer.send(GET)
        if (index % 4 === 3) peer.send('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhel')
      })
      await eventually('those with a request are in work', () => app.live === 300)
      for (const peer of peers) peer.socket.destroy()
      await eventually('nothing lives', () => app.live === 0)
    }
  })

  test('a client that half-closes within a request, and answers it', async () => {
    const { port } = await serve(() => 'x')
    const peer = new Peer(port, { allowHalfOpen: true })
    peer.send('GET / HTTP/1.1\r\nHost: local')
    peer.socket.end()
    expect(await peer.untilEnd()).toMatch(/^HTTP\/1\.1 400 (?:.|\s)*incomplete-request/)
  })
})
