// Two channels that connect to each other at the same moment, each with both roles on one port.
import type { SecuredPeer } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import type { DtlsOptions } from '../src/index.ts'
import { authority, issue } from './certificate-authority.ts'
import { KEY, type World, world } from './channels.ts'

const [ONE, TWO] = [5684, 5685] as const
const PSK: DtlsOptions = { psk: { pair: KEY } }

const pair = async ({ open }: World, options: readonly [DtlsOptions, DtlsOptions] = [PSK, PSK]) => ({
  one: await open(options[0], { accept: true, port: ONE, echo: false }),
  two: await open(options[1], { accept: true, port: TWO, echo: false })
})

const target = (port: number, host = 'localhost') => ({ address: '127.0.0.1', port, host })
const codeOf = (error: { readonly code: string }): string => error.code

describe('two channels that connect to each other', () => {
  test('have one session, whatever order their datagrams arrive in', async () => {
    let tried = 0
    for (const delays of [
      [5, 5],
      [5, 30],
      [30, 5]
    ] as const)
      for (const wait of [0, 1, 6, 11, 16, 31, 70]) {
        const here = world()
        here.network.script = ({ from }) => [delays[from.port === ONE ? 0 : 1]]
        const { one, two } = await pair(here)
        const { signal } = new AbortController()
        const first = one.channel.connect(target(TWO), signal)
        await here.settle(wait)
        // A session that is there already would be replaced.
        const isThere = two.opened.length > 0
        const second = two.channel.connect(target(ONE), signal)
        const [peerOfOne, peerOfTwo] = await here.clock.runUntil(Promise.all([first, second]), 20_000)
        if (isThere) continue
        tried++
        peerOfOne.send(Buffer.from('to two'))
        peerOfTwo.send(Buffer.from('to one'))
        await here.settle(200)
        expect([one.received, two.received].map(received => received.map(({ text }) => text))).toEqual([['to one'], ['to two']])
        if (wait === 0) {
          // One handshake has made way for the other.
          expect(one.opened.length + two.opened.length).toBe(1)
        }
        await Promise.all([one.channel.close(), two.channel.close()])
        await here.settle(30_000)
        expect(here.clock.pending).toBe(0)
      }
    expect(tried).toBeGreaterThan(12)
  })

  test('have one session, or fail in their time, over a network that loses, repeats and reorders', async () => {
    let complete = 0
    for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
      const here = world({ loss: 0.15, duplication: 0.2, reordering: 0.3, lateness: 300, delay: [5, 40], seed })
      const { one, two } = await pair(here)
      const { signal } = new AbortController()
      const calls = [one.channel.connect(target(TWO), signal), two.channel.connect(target(ONE), signal)]
      const [peerOfOne, peerOfTwo] = await here.clock.runUntil(Promise.all(calls.map(call => call.catch(() => undefined))), 60_000)
      here.network.conditions = { ...here.network.conditions, loss: 0 }
      await here.settle(5000)
      if (peerOfOne === undefined || peerOfTwo === undefined) continue
      complete++
      peerOfOne.send(Buffer.from('to two'))
      peerOfTwo.send(Buffer.from('to one'))
      await here.settle(1000)
      expect([one.received, two.received].map(received => received.map(({ text }) => text))).toEqual([['to one'], ['to two']])
      await Promise.all([one.channel.close(), two.channel.close()])
    }
    // Random numbers decide which of them makes way, so not every run is the same.
    expect(complete).toBeGreaterThan(4)
  })

  test('take no client for the server that they connect to', async () => {
    const here = world()
    // The other one proves another identity as a client than a server of the first one must know.
    const keys = { one: KEY, two: Buffer.from('another key') }
    const { one, two } = await pair(here, [
      { psk: keys, identity: 'one' },
      { psk: keys, identity: 'two' }
    ])
    const { signal } = new AbortController()
    const outcomes = await here.clock.runUntil(
      Promise.all(
        [one.channel.connect(target(TWO), signal), two.channel.connect(target(ONE), signal)].map(call =>
          call.then((peer: SecuredPeer) => peer.proof, codeOf)
        )
      ),
      60_000
    )
    expect(outcomes.sort()).toEqual(['handshake-failed', 'psk'])
  })

  test('connect after the handshake of the other one has come to nothing', async () => {
    const here = world()
    const root = authority()
    const lamp = issue({ names: ['localhost'] }, root)
    // As a server it takes clients with the key; as a client it wants a certificate that the first one has not.
    const { one, two } = await pair(here, [PSK, { ...PSK, identity: 'pair', key: lamp.key, cert: lamp.cert }])
    const { signal } = new AbortController()
    // A client that leaves its handshake unfinished.
    here.network.script = ({ from, bytes }) => (from.port === TWO && bytes[13] === 16 ? 'drop' : undefined)
    const leaving = new AbortController()
    const left = two.channel.connect(target(ONE), leaving.signal).catch(() => undefined)
    await here.settle(50)
    const connecting = one.channel.connect(target(TWO), signal)
    await here.settle(50)
    leaving.abort(new Error('left'))
    await left
    const peer = await here.clock.runUntil(connecting, 30_000)
    peer.send(Buffer.from('at last'))
    await here.settle()
    expect(two.received.map(({ text }) => text)).toEqual(['at last'])
  })

  test('do not shake hands with themselves', async () => {
    const here = world()
    const one = await here.open(PSK, { accept: true, port: ONE })
    // What it sends to the other one comes back from there.
    here.network.script = ({ from, to, bytes }) => {
      if (to.port !== TWO) return undefined
      here.network.inject(bytes, { address: '127.0.0.1', port: TWO }, from)
      return 'drop'
    }
    const connecting = one.channel.connect(target(TWO), new AbortController().signal).then(() => 'a session', codeOf)
    expect(await here.clock.runUntil(connecting, 60_000)).toBe('handshake-failed')
    expect(one.opened).toEqual([])
  })

  test('end together with their channel', async () => {
    const here = world()
    const { one, two } = await pair(here)
    const { signal } = new AbortController()
    const calls = Promise.all(
      [one.channel.connect(target(TWO), signal), two.channel.connect(target(ONE), signal)].map(call => call.then(() => '', codeOf))
    )
    await here.settle(2)
    await Promise.all([one.channel.close(), two.channel.close()])
    expect(await calls).toEqual(['handshake-failed', 'handshake-failed'])
    await here.settle(30_000)
    expect(here.clock.pending).toBe(0)
  })
})
