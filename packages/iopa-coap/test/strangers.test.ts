// Peers off loopback that have not shown yet that they receive at their address: what they may have, and what they may cost a victim.

import { seededRandom } from '@iopa/testing'
import type { DatagramChannel } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { CODE, formatCode } from '../src/codec/codes.ts'
import { decode, encodeEmpty } from '../src/codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { type RawRequest, rawRequest } from './raw-peer.ts'
import { SERVER, type VirtualHome, type VirtualHomeOptions, virtualHome } from './virtual-home.ts'

const guarded = (options: VirtualHomeOptions = {}): Promise<VirtualHome> => virtualHome({ ...options, coap: { amplification: 3, ...options.coap } })

/** A peer that says what a test tells it to, and counts bytes both ways. */
class Stranger {
  readonly inbox: ReceivedMessage[] = []
  sent = 0
  received = 0
  /** Acknowledges every confirmable message at once. */
  acknowledges = false
  readonly #channel: DatagramChannel

  constructor(channel: DatagramChannel) {
    this.#channel = channel
    channel.open({
      message: bytes => {
        this.received += bytes.length
        const message = decode(bytes) as ReceivedMessage
        this.inbox.push(message)
        if (this.acknowledges && message.type === TYPE.CON) this.send(encodeEmpty(TYPE.ACK, message.id))
      },
      error: () => undefined
    })
  }

  static async at(home: VirtualHome, address: string, port = 0): Promise<Stranger> {
    return new Stranger(await home.network.machine(address).bind({ host: address, port }))
  }

  get ratio(): number {
    return this.received / this.sent
  }

  get notifications(): ReceivedMessage[] {
    return this.inbox.filter(({ type, options }) => type !== TYPE.ACK && options.has(OPTION.OBSERVE))
  }

  send(bytes: Uint8Array): void {
    this.sent += bytes.length
    this.#channel.send(bytes, 5683, SERVER)
  }

  async ask(home: VirtualHome, code: number, request: RawRequest): Promise<ReceivedMessage> {
    const before = this.inbox.length
    this.send(rawRequest(code, request))
    await home.clock.runUntil(() => this.inbox.length > before)
    return this.inbox.at(-1)!
  }
}

describe('a stranger that observes', () => {
  test.each([
    ['confirmable', TYPE.CON],
    ['non-confirmable', TYPE.NON]
  ])('gets a notification that it has to acknowledge, and then every state (%s)', async (_, type) => {
    const home = await guarded()
    const peer = await Stranger.at(home, '10.0.0.7')
    const first = await peer.ask(home, CODE.GET, { type, path: '/state', options: [[OPTION.OBSERVE, 0]] })
    expect([formatCode(first.code), first.options.has(OPTION.OBSERVE), first.options.has(OPTION.ECHO)]).toEqual(['2.05', true, true])
    peer.acknowledges = true
    for (let state = 1; state <= 5; state++) {
      home.setState(`state ${state}`)
      await home.clock.runUntil(() => Buffer.from(peer.inbox.at(-1)!.payload).toString() === `state ${state}`)
    }
    expect(peer.notifications.filter(message => message !== first)[0]!.type).toBe(TYPE.CON)
    await home.close()
  })

  test('gets two datagrams on trust at most until it acknowledges one, whatever changes', async () => {
    const home = await guarded()
    const peer = await Stranger.at(home, '10.0.0.7')
    for (const token of ['a', 'b', 'c', 'd']) await peer.ask(home, CODE.GET, { token, path: '/state', options: [[OPTION.OBSERVE, 0]] })
    expect(peer.ratio).toBeLessThanOrEqual(3)
    for (let state = 1; state <= 200; state++) {
      home.setState(`state ${state}`)
      await home.clock.advance(1000)
    }
    expect(peer.received - 2 * 64).toBeLessThanOrEqual(3 * peer.sent)
    expect(home.app.live).toBe(0)
    await home.close()
  })

  test('cannot be multiplied by ports of one address', async () => {
    const home = await guarded()
    const peers = await Promise.all(Array.from({ length: 200 }, () => Stranger.at(home, '10.0.0.7')))
    for (const peer of peers) peer.send(rawRequest(CODE.GET, { path: '/state', options: [[OPTION.OBSERVE, 0]] }))
    await home.clock.advance(100)
    for (let state = 1; state <= 200; state++) {
      home.setState(`state ${state}`)
      await home.clock.advance(1000)
    }
    const received = peers.reduce((sum, peer) => sum + peer.received, 0)
    const sent = peers.reduce((sum, peer) => sum + peer.sent, 0)
    expect(received - 16 * 64).toBeLessThanOrEqual(3 * sent)
    await home.close()
  })

  test('is given whole blocks when it has acknowledged a notification', async () => {
    const home = await guarded()
    const peer = await Stranger.at(home, '10.0.0.7')
    await peer.ask(home, CODE.GET, { path: '/state', options: [[OPTION.OBSERVE, 0]] })
    expect((await peer.ask(home, CODE.GET, { path: '/long-state' })).payload.length).toBeLessThanOrEqual(64)
    peer.acknowledges = true
    home.setState('state 1')
    await home.clock.advance(100)
    expect((await peer.ask(home, CODE.GET, { path: '/long-state' })).payload.length).toBe(1024)
    await home.close()
  })

  test('is not verified by acknowledgements that it guesses', async () => {
    const home = await guarded()
    const peer = await Stranger.at(home, '10.0.0.7')
    await peer.ask(home, CODE.GET, { path: '/state', options: [[OPTION.OBSERVE, 0]] })
    home.setState('state 1')
    await home.clock.advance(100)
    const { id } = peer.notifications[0]!
    for (let guess = 1; guess < 20; guess++) peer.send(encodeEmpty(TYPE.ACK, (id + 30 + guess) & 0xffff))
    peer.send(encodeEmpty(TYPE.ACK, id))
    await home.clock.advance(100)
    expect((await peer.ask(home, CODE.GET, { path: '/long-state' })).payload.length).toBeLessThanOrEqual(64)
    await home.close()
  })
})

describe('our client off loopback', () => {
  test('fetches a large answer in blocks that grow as soon as it has sent an Echo back', async () => {
    const home = await guarded()
    const client = await home.connect()
    const answer = await home.clock.runUntil(client.get('/long-state'))
    expect((await answer.text()).length).toBe(20_000)
    const requests = home.network.trace.filter(({ to }) => to.address === SERVER).length
    expect(requests).toBeLessThan(35)
    await home.clock.runUntil(client.get('/long-state'))
    expect(home.network.trace.filter(({ to }) => to.address === SERVER).length - requests).toBe(20)
    await home.close()
  })
})

describe('what a victim gets', () => {
  test('is at most three times what was sent in its name, with separate answers and all their repetitions', async () => {
    const home = await guarded()
    const peer = await Stranger.at(home, '10.0.0.7')
    for (let i = 0; i < 20; i++) peer.send(rawRequest(CODE.GET, { token: `${i}`, path: `/late/${i}` }))
    await home.clock.advance(4_000_000)
    expect(peer.inbox.some(({ code }) => code === CODE.CONTENT)).toBe(true)
    expect(peer.ratio).toBeLessThanOrEqual(3)
    await home.close()
  })

  test('is at most three times that for any mixture of requests', async () => {
    const random = seededRandom(7)
    const below = (n: number): number => Math.floor(random() * n)
    const home = await guarded()
    const client = await home.connect()
    await home.clock.runUntil(client.put('/body/large', new Uint8Array(5000).fill(65)))
    const paths = ['/state', '/body/large', '/late/x', '/tagged', '/nowhere', '/.well-known/core', '/long-state', '/count/1', '/']
    for (let run = 0; run < 25; run++) {
      const peer = await Stranger.at(home, `10.1.0.${run + 1}`)
      for (let step = 0; step < 30; step++) {
        const options: [number, number][] = []
        if (below(4) === 0) options.push([OPTION.BLOCK2, (below(9) << 4) | below(7)])
        if (below(6) === 0) options.push([OPTION.SIZE2, 0])
        const request = rawRequest([CODE.GET, CODE.POST, CODE.PUT, CODE.FETCH, 31][below(5)]!, {
          type: below(3) === 0 ? TYPE.NON : TYPE.CON,
          token: 'token678'.slice(below(9)),
          path: paths[below(paths.length)]!,
          options
        })
        // A request counts as eleven bytes at least.
        peer.sent += Math.max(0, 11 - request.length)
        peer.send(request)
        if (below(3) === 0) peer.send(request)
        if (below(5) === 0) await home.clock.advance(below(9000))
      }
      await home.clock.advance(400_000)
      expect(peer.ratio).toBeLessThanOrEqual(3)
    }
    await home.close()
  }, 60_000)
})
