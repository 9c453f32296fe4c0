import { virtualClock } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { identities } from './certificates.ts'
import { ask, session } from './http2-client.ts'
import {
  block,
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  ENHANCE_YOUR_CALM,
  FramePeer,
  frame,
  GOAWAY,
  get,
  HEADERS,
  PADDED,
  PING,
  PRIORITY,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
  word
} from './http2-frames.ts'
import { eventually, type Served, serve } from './support.ts'

const tls = identities('server').of['server'] as { key: string; cert: string }
const MIB = 1024 * 1024

/** Serves others while one attacks, and looks at the memory that the attack takes. */
const underAttack = async (served: Served, attack: (peer: FramePeer) => Promise<unknown>, settings?: Uint8Array): Promise<FramePeer> => {
  const client = session(served.origin)
  const before = process.memoryUsage().rss
  const peer = new FramePeer(served.port, settings)
  await peer.until(SETTINGS)
  const attacking = attack(peer)
  expect(await ask(client, { ':path': '/other' })).toMatchObject({ status: 200 })
  await attacking
  expect(await ask(client, { ':path': '/other' })).toMatchObject({ status: 200 })
  expect(process.memoryUsage().rss - before).toBeLessThan(200 * MIB)
  return peer
}

const ROUNDS = 20_000
const id = (round: number): number => 2 * round + 1

describe('a client of HTTP/2 is disconnected that', () => {
  test('opens streams and resets them (rapid reset)', async () => {
    let most = 0
    const running = new Set<unknown>()
    const served = await serve(
      async context => {
        if (context.path === '/other') return 'x'
        running.add(context)
        most = Math.max(most, running.size)
        await new Promise(resolve => setTimeout(resolve, 20))
        running.delete(context)
        return 'x'
      },
      { tls }
    )
    const peer = await underAttack(served, peer =>
      peer.flood(ROUNDS, round =>
        Buffer.concat([frame(HEADERS, END_HEADERS | END_STREAM, id(round), get('/')), frame(RST_STREAM, 0, id(round), word(8))])
      )
    )
    await peer.untilClosed()
    expect(peer.goodbye).toBe(ENHANCE_YOUR_CALM)
    // A handler whose stream is gone still counts for its connection.
    expect(most).toBeLessThanOrEqual(64)
    await eventually('all handlers have ended', () => running.size === 0)
    expect(served.app.counters()['http']?.inFlight).toBe(0)
  })

  test.each([
    ['a window that does not open', (stream: number) => frame(WINDOW_UPDATE, 0, stream, word(0))],
    [
      'a window that is too large',
      (stream: number) => Buffer.concat([frame(WINDOW_UPDATE, 0, stream, word(0x7fffffff)), frame(WINDOW_UPDATE, 0, stream, word(0x7fffffff))])
    ]
  ])('makes the server reset streams (MadeYouReset) by %s', async (_, fault) => {
    let most = 0
    const running = new Set<unknown>()
    const served = await serve(
      async context => {
        if (context.path === '/other') return 'x'
        running.add(context)
        most = Math.max(most, running.size)
        await new Promise(resolve => setTimeout(resolve, 20))
        running.delete(context)
        return 'x'
      },
      { tls }
    )
    const peer = await underAttack(served, peer =>
      peer.flood(ROUNDS, round => Buffer.concat([frame(HEADERS, END_HEADERS | END_STREAM, id(round), get('/')), fault(id(round))]))
    )
    await peer.untilClosed()
    expect(most).toBeLessThanOrEqual(64)
    await eventually('all handlers have ended', () => running.size === 0)
  })

  test('sends CONTINUATION frames without end', async () => {
    const served = await serve(() => 'x', { tls })
    const peer = await underAttack(served, async peer => {
      peer.send(frame(HEADERS, 0, 1, get('/')))
      await peer.flood(ROUNDS, round => frame(CONTINUATION, 0, 1, block([[`x-${round}`, 'y'.repeat(1000)]])))
    })
    await peer.untilClosed()
  })

  test.each([
    ['SETTINGS', () => frame(SETTINGS, 0, 0, Buffer.concat([Buffer.of(0, 3), word(100)]))],
    ['PING', () => frame(PING, 0, 0, Buffer.alloc(8))],
    ['PRIORITY', (round: number) => frame(PRIORITY, 0, id(round), Buffer.concat([word(0), Buffer.of(1)]))],
    ['empty DATA', () => frame(DATA, 0, 1)],
    ['padded DATA', () => frame(DATA, PADDED, 1, Buffer.concat([Buffer.of(255), Buffer.alloc(255)]))],
    ['WINDOW_UPDATE', () => frame(WINDOW_UPDATE, 0, 0, word(1))],
    ['unknown', () => frame(99, 0, 0, Buffer.alloc(1000))]
  ])('floods with %s frames', async (_, flood) => {
    const { served, tick } = await timed(1e9)
    const peer = await underAttack(served, async peer => {
      peer.send(
        frame(
          HEADERS,
          END_HEADERS,
          1,
          block([
            [':method', 'PUT'],
            [':scheme', 'https'],
            [':path', '/'],
            [':authority', 'localhost']
          ])
        )
      )
      const ticking = setInterval(() => void tick(0.03), 5)
      await peer.flood(ROUNDS, round => Buffer.concat(Array.from({ length: 64 }, () => flood(round))))
      clearInterval(ticking)
    })
    await peer.untilClosed()
  })

  test('sends fields that grow when they are decoded (HPACK bomb)', async () => {
    const served = await serve(() => 'x', { tls })
    // An entry of the dynamic table, and thousands of bytes that refer to it (RFC 7541 sections 6.2.1 and 6.1).
    const entry = Buffer.concat([
      Buffer.of(0x40, 1),
      Buffer.from('x'),
      Buffer.of(0x7f, 0x80 | ((3900 - 127) & 127), (3900 - 127) >> 7),
      Buffer.alloc(3900, 97)
    ])
    const peer = await underAttack(served, async peer => {
      await peer.flood(2000, round =>
        frame(
          HEADERS,
          END_HEADERS | END_STREAM,
          id(round),
          Buffer.concat([get('/'), round === 0 ? entry : Buffer.alloc(0), Buffer.alloc(8000, 0xbe)])
        )
      )
    })
    await peer.untilClosed()
  })

  test('sends header lists beyond the limit', async () => {
    const served = await serve(() => 'x', { tls })
    const peer = await underAttack(served, async peer => {
      peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, get('/', ['x', 'y'.repeat(16_200)])))
      expect((await peer.until(RST_STREAM, 1)).payload.readUInt32BE()).toBe(ENHANCE_YOUR_CALM)
      await peer.flood(2000, round => frame(HEADERS, END_HEADERS | END_STREAM, id(round + 1), get('/', ['x', 'y'.repeat(16_200)])))
    })
    await peer.untilClosed()
  })

  test('asks for much and reads nothing (zero window)', async () => {
    const { served, tick, begun } = await timed()
    const nothing = Buffer.concat([Buffer.of(0, 4), word(0)])
    const peer = await underAttack(
      served,
      async peer => {
        for (let round = 0; round < 100; round++) peer.send(frame(HEADERS, END_HEADERS | END_STREAM, id(round), get('/big')))
        await eventually('some are answered', () => begun() > 10)
        await new Promise(resolve => setTimeout(resolve, 50))
        // The others wait for those to be read.
        expect(begun()).toBeLessThan(64)
        await tick(70)
      },
      nothing
    )
    await peer.until(RST_STREAM)
    // Each lot that begins has its minute; then nothing is left, and the connection is idle.
    for (let minutes = 0; minutes < 12; minutes++) {
      await tick(61)
      await new Promise(resolve => setTimeout(resolve, 5))
    }
    await peer.untilClosed()
  })

  test('sends nothing after its handshake', async () => {
    const { served, tick } = await timed()
    const peer = new FramePeer(served.port)
    await peer.until(SETTINGS)
    // It has greeted: it may be idle for a minute.
    await tick(90)
    await peer.until(GOAWAY)
    await tick(5)
    await peer.untilClosed()
    expect(peer.goodbye).toBe(0)
  })
})

describe('nghttp2 refuses', () => {
  test.each([
    ['fields of the connection', get('/', ['connection', 'close'])],
    ['Transfer-Encoding', get('/', ['transfer-encoding', 'chunked'])],
    ['names in capital letters', get('/', ['X-Name', 'y'])],
    ['a second path', get('/', [':path', '/b'])],
    [
      'extended CONNECT',
      block([
        [':method', 'CONNECT'],
        [':protocol', 'websocket'],
        [':scheme', 'https'],
        [':path', '/'],
        [':authority', 'localhost']
      ])
    ]
  ])('%s', async (_, fields) => {
    let served = 0
    const { port } = await serve(() => String(++served), { tls })
    const peer = new FramePeer(port)
    await peer.until(SETTINGS)
    peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, fields))
    await peer.until(RST_STREAM, 1)
    expect(served).toBe(0)
    // The connection lives on.
    peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, get('/')))
    await peer.until(DATA, 3)
    expect(served).toBe(1)
  })

  test('more streams than are announced', async () => {
    const { port, app } = await serve(() => new Promise(() => undefined), { tls, http2: { streams: 5 } })
    const peer = new FramePeer(port)
    await peer.until(SETTINGS)
    for (let round = 0; round < 6; round++) peer.send(frame(HEADERS, END_HEADERS | END_STREAM, id(round), get('/')))
    await peer.untilClosed()
    await eventually('all have ended', () => app.counters()['http']?.connections === 0)
  })
})

/** A server whose second is a tick. */
const timed = async (idleTimeout = 60_000): Promise<{ served: Served; tick: (seconds?: number) => Promise<void>; begun: () => number }> => {
  const clock = virtualClock()
  let begun = 0
  const served = await serve(
    async context => {
      if (context.path === '/other') return 'x'
      begun++
      if (context.method === 'PUT') return String((await context.bytes()).length)
      return new Uint8Array(MIB)
    },
    { tls, clock, limits: { requestTimeout: 1e9, idleTimeout } }
  )
  return { served, tick: async (seconds = 1) => clock.advance(1000 * seconds), begun: () => begun }
}
