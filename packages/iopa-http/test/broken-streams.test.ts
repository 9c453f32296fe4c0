import { virtualClock } from '@iopa/testing'
import type { Context } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import type { HttpOptions } from '../src/index.ts'
import { eventually, gate, Peer, serve } from './support.ts'
import { wireServer } from './wire.ts'

const OLD = 'GET / HTTP/1.0\r\n\r\n'
const GET = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const turn = (): Promise<unknown> => new Promise(resolve => setTimeout(resolve, 10))

/** A client that notes how its connection ends: `ECONNRESET` or `end`. */
const watched = (port: number): { readonly peer: Peer; ending(): string } => {
  const peer = new Peer(port)
  let ending = ''
  peer.socket.on('error', error => {
    ending ||= (error as NodeJS.ErrnoException).code ?? ''
  })
  peer.socket.on('end', () => {
    ending ||= 'end'
  })
  return { peer, ending: () => ending }
}

/** How a client that asks with these bytes sees the end of a body that breaks when the gate opens. */
const endingOf = async (request: string, body: (go: Promise<void>) => AsyncIterable<Uint8Array>, type = ''): Promise<string> => {
  const go = gate()
  const { port } = await serve(context => {
    if (type !== '') context.response.type = type
    return body(go.promise)
  })
  const { peer, ending } = watched(port)
  peer.send(request)
  await peer.until(/half/)
  go.open()
  await peer.until(() => peer.closed)
  return ending()
}

describe('a body that ends with the connection', () => {
  const broken = async function* (go: Promise<void>): AsyncGenerator<Uint8Array> {
    yield bytes('half')
    await go
    throw new Error('the disk has failed')
  }

  test('ends normally when it is complete', async () => {
    const whole = async function* (go: Promise<void>): AsyncGenerator<Uint8Array> {
      yield bytes('half')
      await go
      yield bytes('the other half')
    }
    expect(await endingOf(OLD, whole)).toBe('end')
  })

  test('is reset when its stream fails, for every content type', async () => {
    expect(await endingOf(OLD, broken)).toBe('ECONNRESET')
    expect(await endingOf(OLD, broken, 'text/event-stream')).toBe('ECONNRESET')
    expect(await endingOf('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n', broken)).toBe('ECONNRESET')
  })

  test('is reset when the app ends its request', async () => {
    let context: Context | undefined
    const { port } = await serve(own => {
      context = own as Context
      return (async function* () {
        yield bytes('half')
        await new Promise(resolve => own.signal.addEventListener('abort', resolve))
      })()
    })
    const { peer, ending } = watched(port)
    await peer.send(OLD).until(/half/)
    void context?.end('timeout')
    await peer.until(() => peer.closed)
    expect(ending()).toBe('ECONNRESET')
  })

  test('is reset when it stalls, and when the app closes by force', async () => {
    const stalls = (options: HttpOptions) =>
      serve(
        () =>
          (async function* () {
            yield bytes('half')
            await new Promise(() => undefined)
          })(),
        options
      )
    const clock = virtualClock()
    const stalled = await stalls({ clock })
    const first = watched(stalled.port)
    await first.peer.send(OLD).until(/half/)
    await clock.advance(80_000)
    await first.peer.until(() => first.peer.closed)
    expect(first.ending()).toBe('ECONNRESET')

    const forced = await stalls({})
    const second = watched(forced.port)
    await second.peer.send(OLD).until(/half/)
    await forced.app.close({ timeout: 20 })
    await second.peer.until(() => second.peer.closed)
    expect(second.ending()).toBe('ECONNRESET')
  })
})

describe('a channel', () => {
  test('is opened with resets only if the body ends with the connection', async () => {
    const resets = async (request: string): Promise<number> => {
      const { open } = await wireServer(() =>
        (async function* () {
          yield bytes('half')
        })()
      )
      const channel = open()
      let asked = 0
      Object.assign(channel, { resetUnlessEnded: () => asked++ })
      channel.receiver?.data(bytes(request))
      await turn()
      channel.destroy()
      return asked
    }
    expect([await resets(OLD), await resets(GET)]).toEqual([1, 0])
  })
})

describe('a half-closed client', () => {
  test('gets all of a stream that has begun, and the request ends with finish', async () => {
    for (const request of [GET, OLD]) {
      const go = gate()
      let context: Context | undefined
      const { app, port } = await serve(own => {
        context = own as Context
        void own.signal
        return (async function* () {
          yield bytes('half')
          await go.promise
          yield bytes(' whole')
        })()
      })
      const peer = new Peer(port, { allowHalfOpen: true })
      await peer.send(request).until(/half/)
      peer.socket.end()
      await turn()
      expect(context?.signal.aborted).toBe(false)
      go.open()
      expect(await peer.untilEnd()).toMatch(request === OLD ? /half whole$/ : /half\r\n0*6\r\n whole\r\n0\r\n\r\n$/)
      await eventually('nothing lives', () => app.live === 0)
      expect(context?.signal.reason).toMatchObject({ code: 'finish' })
    }
  })

  test('that has left is detected at once by a chunked stream, and within seconds by another', async () => {
    const clock = virtualClock()
    const gone = async (request: string): Promise<{ live(): number; reason(): unknown }> => {
      let context: Context | undefined
      const { app, port } = await serve(
        own => {
          context = own as Context
          void own.signal
          return (async function* () {
            yield bytes('half')
            await new Promise(() => undefined)
          })()
        },
        { clock }
      )
      const peer = new Peer(port)
      await peer.send(request).until(/half/)
      peer.socket.destroy()
      return { live: () => app.live, reason: () => context?.signal.reason }
    }
    const chunks = await gone(GET)
    await eventually('nothing lives', () => chunks.live() === 0)
    expect(chunks.reason()).toMatchObject({ code: 'disconnect' })

    const old = await gone(OLD)
    await turn()
    await clock.advance(4000)
    expect(old.live()).toBe(2)
    await clock.advance(4000)
    await eventually('nothing lives', () => old.live() === 0)
    expect(old.reason()).toMatchObject({ code: 'disconnect' })
  })

  test('gets all of a long answer in memory, however late it reads', async () => {
    const { app, port } = await serve(() => new Uint8Array(20e6))
    const peer = new Peer(port, { allowHalfOpen: true })
    peer.socket.pause()
    peer.send(GET)
    await eventually('the request is in work', () => app.live === 2)
    peer.socket.end()
    await turn()
    peer.socket.resume()
    expect((await peer.untilEnd()).length).toBeGreaterThan(20e6)
    await eventually('nothing lives', () => app.live === 0)
  })

  test('gets no answer that has not begun, and none of a later request', async () => {
    const go = gate()
    let ran = 0
    const { app, port } = await serve(context => {
      ran++
      return (async function* () {
        yield bytes(`<${context.path}>`)
        await go.promise
      })()
    })
    const peer = new Peer(port, { allowHalfOpen: true })
    await peer.send(GET + GET.replace('/', '/2')).until(/<\/>/)
    peer.socket.end()
    await turn()
    go.open()
    await peer.untilEnd()
    expect(ran).toBe(1)
    await eventually('nothing lives', () => app.live === 0)
  })

  test('ends its observation at once, and event streams of a handler', async () => {
    for (const own of [true, false]) {
      const { app, port } = await serve(context => {
        if (!own) return { state: 'half' }
        context.response.type = 'text/event-stream'
        return (async function* () {
          yield bytes('data: half\n\n')
          await new Promise(resolve => context.signal.addEventListener('abort', resolve))
        })()
      })
      const peer = new Peer(port, { allowHalfOpen: true })
      await peer.send('GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n').until(/half/)
      peer.socket.end()
      await eventually('nothing lives', () => app.live === 0)
    }
  })

  test('gets an answer made from its body if the body is complete, and a broken one otherwise', async () => {
    for (const [sent, outcome] of [
      ['hello', /\r\n0*a\r\nread hello\r\n0\r\n\r\n$/],
      ['hel', /first\r\n0*$/]
    ] as const) {
      const go = gate()
      const { app, port } = await serve(context =>
        (async function* () {
          yield bytes('first')
          await go.promise
          yield bytes(`read ${await context.text()}`)
        })()
      )
      const peer = new Peer(port, { allowHalfOpen: true })
      peer.send(`POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n${sent}`)
      await peer.until(/first/)
      peer.socket.end()
      await turn()
      go.open()
      await peer.until(() => peer.closed || peer.ended)
      expect(peer.text).toMatch(outcome)
      await eventually('nothing lives', () => app.live === 0)
    }
  })
})
