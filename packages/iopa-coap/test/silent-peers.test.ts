// Peers that take and give nothing back must not keep others out.
import type { DatagramChannel } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { CODE, formatCode } from '../src/codec/codes.ts'
import { decode, encodeEmpty } from '../src/codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { rawRequest } from './raw-peer.ts'
import { SERVER, type VirtualHome, virtualHome } from './virtual-home.ts'

const bind = async (home: VirtualHome, address: string, acknowledges = false): Promise<{ channel: DatagramChannel; inbox: ReceivedMessage[] }> => {
  const channel = await home.network.machine(address).bind({ host: address, port: 0 })
  const inbox: ReceivedMessage[] = []
  channel.open({
    message: bytes => {
      const message = decode(bytes) as ReceivedMessage
      inbox.push(message)
      if (acknowledges && message.type === TYPE.CON) channel.send(encodeEmpty(TYPE.ACK, message.id), 5683, SERVER)
    },
    error: () => undefined
  })
  return { channel, inbox }
}

const asked = async (home: VirtualHome, address: string, path = '/count/new', code: number = CODE.POST): Promise<string> => {
  const { channel, inbox } = await bind(home, address)
  channel.send(rawRequest(code, { path }), 5683, SERVER)
  await home.clock.runUntil(() => inbox.length > 0)
  await channel.close()
  return formatCode(inbox[0]!.code)
}

const addressOf = (n: number): string => `10.2.${n >> 8}.${n & 255}`

describe.each([
  ['everybody is trusted', false],
  ['strangers are bounded', 3]
] as const)('silent endpoints, where %s', (_, amplification) => {
  test('keep no newcomer out: those that never acknowledged anything are forgotten first', async () => {
    const home = await virtualHome({ coap: { amplification, limits: { connections: 300 } } })
    // One that is idle and well-behaved, whose request must not be handled twice.
    const good = await bind(home, '10.0.0.9')
    const post = rawRequest(CODE.POST, { path: '/count/good' })
    good.channel.send(post, 5683, SERVER)
    for (let n = 0; n < 299; n++) {
      const { channel } = await bind(home, addressOf(n))
      for (let i = 0; i < 5; i++) channel.send(rawRequest(CODE.GET, { token: `${i}`, path: `/late/${n}` }), 5683, SERVER)
    }
    await home.clock.advance(8000)
    for (let n = 0; n < 40; n++) expect(await asked(home, `10.3.0.${n + 1}`)).toBe('2.04')
    good.channel.send(post, 5683, SERVER)
    await home.clock.advance(1000)
    expect(home.handled.get('good')).toBe(1)
    await home.close()
  })

  test('lose the answers that wait behind one that was never acknowledged', async () => {
    const home = await virtualHome({ coap: { amplification } })
    const { channel, inbox } = await bind(home, '10.0.0.9')
    for (let i = 0; i < 40; i++) channel.send(rawRequest(CODE.GET, { token: `${i}`, path: `/late/${i}` }), 5683, SERVER)
    await home.clock.advance(110_000)
    const before = inbox.length
    await home.clock.advance(4_000_000)
    expect(inbox.length).toBe(before)
    await home.close()
  })

  test('that observe are forgotten too, and their observations with them', async () => {
    const home = await virtualHome({ coap: { amplification, limits: { connections: 50 } } })
    for (let n = 0; n < 50; n++) {
      const { channel } = await bind(home, addressOf(n))
      channel.send(rawRequest(CODE.GET, { path: '/state', options: [[OPTION.OBSERVE, 0]] }), 5683, SERVER)
    }
    await home.clock.advance(100)
    expect(await asked(home, '10.3.0.1')).toBe('5.03')
    home.setState('state 1')
    await home.clock.advance(4000)
    for (let n = 0; n < 20; n++) expect(await asked(home, `10.3.1.${n + 1}`)).toBe('2.04')
    await home.clock.advance(100)
    expect(home.app.live).toBeLessThanOrEqual(30)
    await home.close()
  })

  test('of one address have a share of what is worked on, and no more', async () => {
    const home = await virtualHome({ coap: { amplification, limits: { inFlight: 400 } } })
    for (let n = 0; n < 200; n++) {
      const { channel } = await bind(home, '10.0.0.9')
      for (let i = 0; i < 5; i++) channel.send(rawRequest(CODE.GET, { token: `${i}`, path: `/late/${n}` }), 5683, SERVER)
    }
    await home.clock.advance(100)
    expect(await asked(home, '10.3.0.1')).toBe('2.04')
    await home.close()
  })
})

describe('a peer that answers', () => {
  test('keeps its queue when one message of it is lost for good', async () => {
    const home = await virtualHome()
    const { channel, inbox } = await bind(home, '10.0.0.9', true)
    for (let i = 0; i < 40; i++) channel.send(rawRequest(CODE.GET, { token: `${i}`, path: `/late/${i}` }), 5683, SERVER)
    await home.clock.advance(10_000)
    expect(inbox.filter(({ code }) => code === CODE.CONTENT).length).toBe(40)
    await home.close()
  })
})

describe('newcomers', () => {
  test('find room behind any number of observers that are older', async () => {
    const home = await virtualHome({ coap: { limits: { connections: 300 } } })
    for (let n = 0; n < 200; n++) {
      const { channel } = await bind(home, addressOf(n), true)
      channel.send(rawRequest(CODE.GET, { path: '/state', options: [[OPTION.OBSERVE, 0]] }), 5683, SERVER)
    }
    for (let n = 200; n < 300; n++) {
      const { channel } = await bind(home, addressOf(n))
      channel.send(rawRequest(CODE.GET, { path: '/state' }), 5683, SERVER)
    }
    await home.clock.advance(2000)
    for (let n = 0; n < 400; n++) expect(await asked(home, `10.4.${n >> 8}.${n & 255}`)).toBe('2.04')
    home.setState('state 1')
    await home.clock.advance(100)
    expect(home.app.live).toBe(200)
    await home.close()
  })

  test('are refused while every peer is kept, and served again when one has ended', async () => {
    const home = await virtualHome({ coap: { limits: { connections: 100 } } })
    const peers = []
    for (let n = 0; n < 100; n++) {
      const peer = await bind(home, addressOf(n), true)
      peers.push(peer)
      peer.channel.send(rawRequest(CODE.GET, { path: '/state', options: [[OPTION.OBSERVE, 0]] }), 5683, SERVER)
    }
    await home.clock.advance(100)
    expect(await asked(home, '10.3.0.1')).toBe('5.03')
    expect(await asked(home, '10.3.0.2')).toBe('5.03')
    peers[70]!.channel.send(rawRequest(CODE.GET, { path: '/state', options: [[OPTION.OBSERVE, 1]] }), 5683, SERVER)
    await home.clock.advance(100)
    expect(await asked(home, '10.3.0.3')).toBe('2.04')
    await home.close()
  })
})
