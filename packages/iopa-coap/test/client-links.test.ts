import net from 'node:net'
import { App, reply } from '@iopa/appbuilder'
import { cbor } from '@iopa/cbor'
import { coap } from '@iopa/coap'
import { router } from '@iopa/router'
import { systemClock } from '@iopa/transport'
import { datagramNetwork } from '@iopa/transport/node'
import { describe, expect, test } from 'vitest'
import { blockValue } from '../src/codec/block.ts'
import { CODE } from '../src/codec/codes.ts'
import { decode, encode, encodeEmpty } from '../src/codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { Options } from '../src/codec/options.ts'
import { firstToAnswer } from '../src/messages/addresses.ts'
import { transmission } from '../src/messages/parameters.ts'
import { startEtsi } from './etsi-app.ts'
import { eventually } from './eventually.ts'
import { RawPeer, rawRequest } from './raw-peer.ts'
import { CLIENT, SERVER, virtualHome } from './virtual-home.ts'

/** Accepts connections and never says what it can do. */
const mute = async () => {
  const sockets = new Set<net.Socket>()
  const server = net.createServer(socket => void sockets.add(socket.on('error', () => undefined).resume()))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  return {
    port,
    sockets,
    [Symbol.asyncDispose]: () =>
      new Promise<void>(resolve => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      })
  }
}

describe('a connection to a server that never sends its CSM', () => {
  test('is given up after the timeout of the client', async () => {
    await using server = await mute()
    await using app = new App({ logger: false }).use(coap())
    const start = Date.now()
    await expect(app.connect(`coap+tcp://127.0.0.1:${server.port}`, { timeout: 300 })).rejects.toMatchObject({ status: 504, code: 'timeout' })
    expect(Date.now() - start).toBeLessThan(5000)
    await eventually(() => [...server.sockets].every(({ destroyed, readableEnded }) => destroyed || readableEnded), 'the connection is closed')
  })

  test('is given up when the signal of the client aborts', async () => {
    await using server = await mute()
    await using app = new App({ logger: false }).use(coap())
    const stop = new AbortController()
    setTimeout(() => stop.abort(new Error('enough')), 100)
    await expect(app.connect(`coap+tcp://127.0.0.1:${server.port}`, { signal: stop.signal })).rejects.toThrow('enough')
  })

  test('holds no request beyond its own signal', async () => {
    await using server = await startEtsi({ udp: false, tcp: true })
    await using app = new App({ logger: false }).use(coap())
    await using client = await app.connect(`coap+tcp://127.0.0.1:${server.port}`)
    expect((await client.get('/test')).status).toBe(200)
    const { port } = server
    await server.close()
    const silent = net.createServer(socket => void socket.on('error', () => undefined))
    await new Promise<void>(resolve => silent.listen(port, '127.0.0.1', resolve))
    const stop = new AbortController()
    setTimeout(() => stop.abort(new Error('enough')), 100)
    await expect(client.get('/test', { signal: stop.signal })).rejects.toThrow()
    silent.close()
  })
})

describe('a body under a content type of CBOR', () => {
  test('is CBOR by the codec of the app, and text where a handler gives that', async () => {
    await using app = new App({ logger: false, codecs: [cbor()] }).use(router()).use(coap({ port: 0 }))
    app.get('/value', () => reply(200, { a: 1 }, { 'content-type': 'application/cbor' }))
    app.get('/text', () => reply(200, 'as it is', { 'content-type': 'application/cbor' }))
    app.get('/senml', () => reply(200, [{ n: 'x' }], { 'content-type': 'application/senml+cbor' }))
    const [listener] = await app.listen()
    const peer = await RawPeer.to(Number(listener!.url.port))
    const value = await peer.ask(CODE.GET, { path: '/value' })
    expect([value.options.uint(OPTION.CONTENT_FORMAT), Buffer.from(value.payload).toString('hex')]).toEqual([60, 'a1616101'])
    const senml = await peer.ask(CODE.GET, { path: '/senml' })
    expect([senml.options.uint(OPTION.CONTENT_FORMAT), Buffer.from(senml.payload).toString('hex')]).toEqual([112, '81a1616e6178'])
    expect(Buffer.from((await peer.ask(CODE.GET, { path: '/text' })).payload).toString()).toBe('as it is')
    peer.close()
  })
})

describe('an answer in blocks', () => {
  test.each([
    ['longer than its block', 0, false, 20, undefined],
    ['longer than its block, with more to follow', 0, true, 32, undefined],
    ['shorter than its block, with more to follow', 1, true, 16, undefined],
    ['longer in its last block', 0, true, 16, 17]
  ] as const)('that is %s is refused', async (_, szx, more, first, last) => {
    const home = await virtualHome()
    const channel = await home.network.machine('10.0.0.7').bind({ host: '10.0.0.7', port: 5683 })
    channel.open({
      message: (bytes, address, port) => {
        const { id, token, options } = decode(bytes) as ReceivedMessage
        const num = (options.uint(OPTION.BLOCK2) ?? 0) >> 4
        const answer = {
          type: TYPE.ACK,
          code: CODE.CONTENT,
          id,
          token,
          options: new Options().add(OPTION.BLOCK2, blockValue(num, num === 0 && more, szx))
        }
        channel.send(encode({ ...answer, payload: new Uint8Array(num === 0 ? first : (last ?? 1)) }), port, address)
      },
      error: () => undefined
    })
    const app = new App({ logger: false, clock: home.clock }).use(coap({ clock: home.clock, network: home.network.machine(CLIENT) }))
    const client = await home.clock.runUntil(app.connect('coap://10.0.0.7'))
    await expect(home.clock.runUntil(client.get('/x'))).rejects.toMatchObject({ status: 502, code: 'bad-block' })
    await home.clock.runUntil(app.close())
    await home.close()
  })
})

describe('an address', () => {
  const network = datagramNetwork()

  test('of several is the first at which a server answers, and the first of all where none does', async () => {
    await using server = await startEtsi()
    expect(await firstToAnswer(['::1', '127.0.0.1'], { port: server.port, network, clock: systemClock })).toBe('127.0.0.1')
    expect(await firstToAnswer(['127.0.0.2', '127.0.0.1'], { port: server.port, network, clock: systemClock })).toBe('127.0.0.1')
    await server.close()
    expect(await firstToAnswer(['127.0.0.2', '127.0.0.1'], { port: server.port, network, clock: systemClock })).toBe('127.0.0.2')
    const stop = new AbortController()
    const waiting = firstToAnswer(['127.0.0.2', '127.0.0.1'], { port: server.port, network, clock: systemClock, signal: stop.signal })
    stop.abort(new Error('enough'))
    await expect(waiting).rejects.toThrow('enough')
  })

  test('of IPv4 that is written as IPv6 is that of IPv4', async () => {
    await using server = await startEtsi()
    await using app = new App({ logger: false }).use(coap())
    await using client = await app.connect(`coap://[::ffff:127.0.0.1]:${server.port}`, { timeout: 3000 })
    expect((await client.get('/test')).status).toBe(200)
    await using named = await app.connect(`coap://localhost:${server.port}`, { timeout: 3000 })
    expect((await named.get('/test')).status).toBe(200)
  })
})

describe('a path', () => {
  test('without a slash is below that of the URL', async () => {
    await using server = await startEtsi()
    await using app = new App({ logger: false }).use(coap())
    for (const base of ['/path', '/path/']) {
      await using client = await app.connect(`coap://127.0.0.1:${server.port}${base}`)
      for (const path of ['sub1', '/sub1', 'sub1?x=1']) expect(await (await client.get(path)).text()).toBe('sub sub1')
      expect((await client.get('')).status).toBe(200)
    }
  })
})

describe('transmission parameters', () => {
  test.each([
    { maxRetransmit: 1.5 },
    { nstart: 2.5 },
    { maxRetransmit: Number.POSITIVE_INFINITY },
    { maxRetransmit: 40 },
    { ackTimeout: Number.POSITIVE_INFINITY },
    { ackTimeout: '2000' as never }
  ])('of %o are refused', parameters => {
    expect(() => transmission(parameters)).toThrow(expect.objectContaining({ code: 'bad-option' }))
  })
})

describe('a client', () => {
  test('sends no more large bodies at once than a server keeps of one endpoint', async () => {
    const home = await virtualHome({ coap: { transmission: { nstart: 30 } }, client: { transmission: { nstart: 30 } } })
    const client = await home.connect()
    const answers = await home.clock.runUntil(Promise.all(Array.from({ length: 50 }, (_, n) => client.put(`/body/${n}`, new Uint8Array(5000)))))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([204]))
    await home.close()
  })

  test.each([
    ['says goodbye', 1000],
    ['vanishes', 0]
  ])('observes again as soon as a request shows that a server is back that %s', async (_, timeout) => {
    const home = await virtualHome()
    const { clock, network } = home
    const start = async (state: string): Promise<App> => {
      const channel = network.machine('10.0.0.8')
      const app = new App({ logger: false, clock })
        .use(router())
        .use(coap({ host: '10.0.0.8', allowUnauthenticated: true, amplification: false, clock, network: channel }))
      app.get('/state', () => state)
      await app.listen()
      return app
    }
    const first = await start('before')
    const clients = new App({ logger: false, clock }).use(
      coap({ clock, network: network.machine(CLIENT), transmission: { ackTimeout: 500, maxRetransmit: 1 } })
    )
    const client = await clock.runUntil(clients.connect('coap://10.0.0.8'))
    const seen: string[] = []
    void (async () => {
      for await (const answer of client.observe('/state')) seen.push(await answer.text())
    })().catch(() => undefined)
    await clock.runUntil(() => seen.length === 1)
    await clock.runUntil(first.close({ timeout }))
    if (timeout === 0) await expect(clock.runUntil(client.get('/state'))).rejects.toMatchObject({ code: 'timeout' })
    const second = await start('after')
    const before = clock.now()
    expect(await (await clock.runUntil(client.get('/state'))).text()).toBe('after')
    await clock.runUntil(() => seen.includes('after'))
    expect(clock.now() - before).toBeLessThan(2000)
    await clock.runUntil(clients.close())
    await clock.runUntil(second.close({ timeout: 1000 }))
    await home.close()
  })
})

describe('an observer that gets non-confirmable notifications', () => {
  test.each([1, 2, 5])('is forgotten when it resets the one that came %i before the last', async back => {
    const home = await virtualHome()
    const channel = await home.network.machine('10.0.0.7').bind({ host: '10.0.0.7', port: 0 })
    const inbox: ReceivedMessage[] = []
    channel.open({ message: bytes => inbox.push(decode(bytes) as ReceivedMessage), error: () => undefined })
    channel.send(rawRequest(CODE.GET, { type: TYPE.NON, path: '/state', options: [[OPTION.OBSERVE, 0]] }), 5683, SERVER)
    await home.clock.advance(100)
    for (let state = 1; state <= 8; state++) {
      home.setState(`state ${state}`)
      await home.clock.advance(100)
    }
    expect(home.app.live).toBe(1)
    channel.send(encodeEmpty(TYPE.RST, inbox.at(-1 - back)!.id), 5683, SERVER)
    await home.clock.advance(100)
    expect(home.app.live).toBe(0)
    await home.close()
  })
})
