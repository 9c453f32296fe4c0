import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { router } from '@iopa/router'
import { type VirtualNetworkOptions, virtualClock, virtualNetwork } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { FrameReader, isMessage } from '../src/codec/stream-codec.ts'
import { Signalling } from '../src/streams/signalling.ts'
import { collectGarbage, heapUsed } from './heap.ts'
import { rawFrame } from './raw-stream-peer.ts'

const SERVER = '10.0.0.1'
const hello = new Signalling({ maxMessageSize: 8 * 1024 * 1024, blockWise: true }).hello()

/** A server and a client over connections of a virtual network. */
const house = async (conditions: Omit<VirtualNetworkOptions, 'clock'> = {}) => {
  const clock = virtualClock()
  const network = virtualNetwork({ clock, ...conditions })
  const handled = new Map<string, number>()
  let state = 0
  let current: App | undefined
  const serve = async (): Promise<App> => {
    const app = new App({ logger: false, clock }).use(router()).use(
      coap({
        host: SERVER,
        port: 5683,
        udp: false,
        tcp: true,
        allowUnauthenticated: true,
        limits: { inFlightPerConnection: 1000 },
        network: network.machine(SERVER)
      })
    )
    app.post('/count/:id', async context => {
      const { id } = context.params
      handled.set(id, (handled.get(id) ?? 0) + 1)
      return reversed(await context.bytes())
    })
    app.get('/state', () => `state ${state}`)
    app.get('/large-state', () => `state ${state}`.padEnd(300_000))
    app.get('/megabyte', () => new Uint8Array(1024 * 1024))
    await app.listen()
    current = app
    return app
  }
  await serve()
  const clientApp = new App({ logger: false, clock }).use(coap({ network: network.machine('10.0.0.2') }))
  return {
    clock,
    network,
    handled,
    serve,
    server: () => current!,
    connect: () => clock.runUntil(clientApp.connect(`coap+tcp://${SERVER}`)),
    setState(value: number) {
      state = value
      current!.notify('/state')
      current!.notify('/large-state')
    },
    close: () => clock.runUntil(Promise.all([clientApp.close({ timeout: 100 }), current!.close({ timeout: 100 })]))
  }
}

const reversed = (bytes: Uint8Array): Uint8Array => bytes.slice().reverse()

describe('connections on a scripted network', () => {
  for (const [name, conditions] of [
    ['cut to pieces', { splitting: 7, delay: [1, 9] }],
    ['joined', { coalescing: 0.9, delay: 3 }],
    ['cut and joined', { splitting: 300, coalescing: 0.5, delay: [0, 40] }]
  ] as const) {
    test(`answers 120 requests at once whose bytes are ${name}, each once and to the one who asked`, async () => {
      const { clock, connect, handled, server, close } = await house({ seed: 9, ...conditions })
      const client = await connect()
      const work = Array.from({ length: 120 }, async (_, i) => {
        const body = Uint8Array.from({ length: i * 8 }, (_, at) => (at + i) % 256)
        const answer = await client.post(`/count/${i}`, body)
        expect(Buffer.from(await answer.bytes()).equals(Buffer.from(reversed(body)))).toBe(true)
      })
      await clock.runUntil(Promise.all(work))
      expect(handled.size).toBe(120)
      expect([...handled.values()].every(times => times === 1)).toBe(true)
      await close()
      expect(server().live).toBe(0)
    })
  }

  test('keeps an observation when its connection breaks', async () => {
    const { clock, network, connect, setState, server, close } = await house()
    const client = await connect()
    const texts: string[] = []
    const abort = new AbortController()
    const done = (async () => {
      for await (const answer of client.observe('/state', { signal: abort.signal })) texts.push(await answer.text())
    })()
    await clock.runUntil(() => texts.length === 1)
    setState(1)
    await clock.runUntil(() => texts.length === 2)
    network.disconnect()
    await clock.advance(10)
    expect(server().live).toBe(0)
    setState(2)
    await clock.runUntil(() => texts.includes('state 2'))
    setState(3)
    await clock.runUntil(() => texts.includes('state 3'))
    expect(texts).toEqual(['state 0', 'state 1', 'state 2', 'state 3'])
    abort.abort()
    await clock.runUntil(done)
    await close()
    expect(server().live).toBe(0)
  })

  test('keeps an observation over an orderly restart of the server', async () => {
    const { clock, connect, setState, serve, server, close } = await house()
    const client = await connect()
    const texts: string[] = []
    const abort = new AbortController()
    const done = (async () => {
      for await (const answer of client.observe('/state', { signal: abort.signal })) texts.push(await answer.text())
    })()
    await clock.runUntil(() => texts.length === 1)
    await clock.runUntil(server().close({ timeout: 100 }))
    await clock.advance(10_000)
    await serve()
    setState(1)
    await clock.runUntil(() => texts.includes('state 1'))
    expect(texts).toEqual(['state 0', 'state 1'])
    abort.abort()
    await clock.runUntil(done)
    await close()
    expect(server().live).toBe(0)
  })

  test('tells a request that its connection broke, and sends the next one on a new connection', async () => {
    const { clock, network, connect, close } = await house()
    const client = await connect()
    network.conditions = { ...network.conditions, delay: 100 }
    const failed = client.post('/count/1', 'x').then(
      () => undefined,
      (error: { status: number }) => error
    )
    await clock.advance(50)
    network.disconnect()
    expect(await clock.runUntil(failed)).toMatchObject({ status: 502 })
    expect((await clock.runUntil(client.post('/count/2', 'x'))).status).toBe(200)
    await close()
  })

  test('closes a connection that sends no CSM in time', async () => {
    const { clock, network, server, close } = await house()
    const channel = await clock.runUntil(network.machine('10.0.0.3').connect({ host: SERVER, port: 5683 }))
    let ended = false
    channel.open({ data: () => {}, end: () => (ended = true), drain: () => {}, close: () => (ended = true) })
    await clock.advance(9000)
    expect([ended, server().live]).toEqual([false, 1])
    await clock.advance(5000)
    expect([ended, server().live]).toEqual([true, 0])
    await close()
  })

  test('forgets the half of a body that a broken connection has left, so that others have room', async () => {
    const { clock, network, server, close } = await house()
    const codes: number[] = []
    const begin = async (): Promise<void> => {
      const channel = await clock.runUntil(network.machine('10.0.0.3').connect({ host: SERVER, port: 5683 }))
      const reader = new FrameReader(1024 * 1024)
      const data = (chunk: Uint8Array): void => {
        for (const frame of reader.push(chunk)) if (isMessage(frame) && frame.code >> 5 !== 7) codes.push(frame.code)
      }
      channel.open({ data, end: () => {}, drain: () => {}, close: () => {} })
      channel.write(hello)
      channel.write(rawFrame(CODE.POST, { path: '/count/1', payload: 'x'.repeat(16), options: [[OPTION.BLOCK1, 0x08]] }))
      await clock.advance(10)
    }
    // More than a server keeps of unfinished bodies.
    for (let i = 0; i < 1100; i++) {
      await begin()
      network.disconnect()
    }
    await clock.advance(10)
    expect(server().live).toBe(0)
    await begin()
    expect(codes).toHaveLength(1101)
    expect(new Set(codes)).toEqual(new Set([CODE.CONTINUE]))
    await close()
  })

  test('holds one state for an observer that reads nothing, and tells it the newest one later', async () => {
    const { clock, network, setState, server, close } = await house()
    const channel = await clock.runUntil(network.machine('10.0.0.3').connect({ host: SERVER, port: 5683 }))
    const reader = new FrameReader(8 * 1024 * 1024)
    const states: string[] = []
    const data = (chunk: Uint8Array): void => {
      for (const frame of reader.push(chunk))
        if (isMessage(frame) && frame.code === CODE.CONTENT) states.push(Buffer.from(frame.payload.subarray(0, 12)).toString().trim())
    }
    channel.open({ data, end: () => {}, drain: () => {}, close: () => {} })
    channel.write(hello)
    channel.write(rawFrame(CODE.GET, { path: '/large-state', options: [[OPTION.OBSERVE, 0]] }))
    await clock.advance(100)
    expect(states).toEqual(['state 0'])
    channel.pause()
    collectGarbage()
    const before = heapUsed()
    for (let i = 1; i <= 200; i++) {
      setState(i)
      await clock.advance(10)
    }
    collectGarbage()
    expect(heapUsed() - before).toBeLessThan(16 * 1024 * 1024)
    channel.resume()
    await clock.advance(1000)
    expect(states.at(-1)).toBe('state 200')
    expect(states.length).toBeLessThan(20)
    channel.destroy()
    await close()
    expect(server().live).toBe(0)
  })

  test('holds little for a peer that asks for much and reads nothing', async () => {
    const { clock, network, server, close } = await house()
    const channel = await clock.runUntil(network.machine('10.0.0.3').connect({ host: SERVER, port: 5683 }))
    let received = 0
    channel.open({ data: chunk => (received += chunk.length), end: () => {}, drain: () => {}, close: () => {} })
    channel.write(hello)
    await clock.advance(100)
    channel.pause()
    collectGarbage()
    const before = heapUsed()
    // All in one piece, as one read of the server.
    channel.write(Buffer.concat(Array.from({ length: 500 }, () => rawFrame(CODE.GET, { path: '/megabyte' }))))
    await clock.advance(100)
    collectGarbage()
    expect(heapUsed() - before).toBeLessThan(64 * 1024 * 1024)
    channel.destroy()
    await clock.advance(5000)
    expect(server().live).toBe(0)
    expect(received).toBeGreaterThan(0)
    await close()
  })
})
