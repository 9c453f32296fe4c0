import { seededRandom, virtualClock } from '@iopa/testing'
import type { PlainMessage, RefusedRequest } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { ReplayWindow } from '../src/contexts/replay-window.ts'
import { text } from './bytes.ts'
import { CLIENT, exchange, GET, isOpened, MemoryStore, mustOpen, open, protect, SERVER, startPeer } from './peers.ts'

describe('a replay window', () => {
  test('accepts each number once, and none older than 32 before the newest', () => {
    const random = seededRandom(7)
    const window = new ReplayWindow()
    const received = new Set<number>()
    let newest = -1
    for (let step = 0; step < 20_000; step++) {
      const number = Math.max(0, newest + Math.floor(random() * 50) - 40 + (random() < 0.01 ? 100 : 0))
      const expected = !received.has(number) && number > newest - 32
      if (window.accepts(number) !== expected) expect.fail(`${number} of ${newest}: ${expected}`)
      if (!expected) continue
      window.add(number)
      received.add(number)
      newest = Math.max(newest, number)
    }
  })

  test('works up to 2^40', () => {
    const window = new ReplayWindow(2 ** 40 - 40)
    expect([2 ** 40 - 41, 2 ** 40 - 40, 2 ** 40 - 39, 2 ** 40 - 1].map(number => window.accepts(number))).toEqual([false, false, true, true])
    window.add(2 ** 40 - 1)
    expect([2 ** 40 - 1, 2 ** 40 - 2, 2 ** 40 - 33].map(number => window.accepts(number))).toEqual([false, true, false])
  })
})

const stored = async () => {
  const clock = virtualClock({ start: 1_000_000 })
  const store = new MemoryStore()
  const client = await startPeer({ contexts: [CLIENT], store: new MemoryStore() }, clock)
  const server = await startPeer({ contexts: [SERVER], store }, clock)
  await clock.advance(1000)
  return { clock, client, server, store }
}

const refusal = (opening: unknown): PlainMessage => (opening as RefusedRequest).refusal
const said = (opening: unknown): string => `${refusal(opening).code.toString(16)} ${text(refusal(opening).payload)}`
const maxAge = (opening: unknown): Uint8Array | undefined => refusal(opening).options.find(([number]) => number === 14)?.[1]

describe('a server', () => {
  test('refuses a request that it has received before, at once and later', async () => {
    const { client, server } = await stored()
    const { sent } = await exchange(client, server, GET('light'))
    const { message } = await protect(client, GET('light'))
    expect(isOpened(await open(server, message))).toBe(true)
    for (const again of [message, ...sent]) expect(said(await open(server, again))).toBe('81 Replay detected')
    for (let count = 0; count < 40; count++) await exchange(client, server, GET('light'))
    const opening = await open(server, message)
    expect(said(opening)).toBe('81 Replay detected')
    expect(maxAge(opening)).toHaveLength(0)
  })

  test('accepts requests that overtook one another', async () => {
    const { client, server } = await stored()
    await exchange(client, server, GET('light'))
    const messages = await Promise.all(Array.from({ length: 32 }, async () => (await protect(client, GET('light'))).message))
    for (const message of messages.reverse()) expect(isOpened(await open(server, message))).toBe(true)
    for (const message of messages) expect(isOpened(await open(server, message))).toBe(false)
  })

  test('says what is wrong with a request, as RFC 8613 has it', async () => {
    const { client, server } = await stored()
    await exchange(client, server, GET('light'))
    const { message } = await protect(client, GET('light'))
    const withOption = (...value: number[]): PlainMessage => ({ ...message, options: [[9, Uint8Array.from(value)]] })
    const [, value] = message.options[0]!
    expect(said(await open(server, withOption(0x09, 0x70, 0x55)))).toBe('81 Security context not found')
    expect(said(await open(server, withOption(0x19, 0x70, 1, 7, 0x01)))).toBe('81 Security context not found')
    expect(said(await open(server, { ...message, payload: message.payload.map(byte => byte ^ 1) }))).toBe('80 Decryption failed')
    expect(said(await open(server, { ...message, payload: message.payload.subarray(0, 5) }))).toBe('80 Decryption failed')
    for (const malformed of [
      withOption(),
      withOption(0x00),
      withOption(0x89, 0x14, 0x01),
      withOption(0x0e, 1, 2, 3, 4, 5, 6, 1),
      withOption(0x08, 0x01),
      withOption(0x01, 0x14),
      withOption(0x0a, 0x00, 0x14, 0x01),
      withOption(0x19, 0x14, 0x05, 0x01),
      withOption(0x0d, 0x14),
      { ...message, payload: new Uint8Array(0) },
      { ...message, options: [...message.options, [9, value] as const] }
    ]) {
      const opening = await open(server, malformed)
      expect(said(opening)).toBe('82 Failed to decode COSE')
      expect(maxAge(opening)).toHaveLength(0)
    }
    expect(isOpened(await open(server, message))).toBe(true)
  })

  test('challenges each request after a restart until one brings the Echo of this start', async () => {
    const { clock, client, server, store } = await stored()
    const { sent } = await exchange(client, server, GET('light'))
    const lost = (await protect(client, GET('light'))).message
    await server.close()
    const restarted = await startPeer({ contexts: [SERVER], store }, clock)
    await clock.advance(1000)
    // Neither replays nor the Echo of the start before make a handler run.
    for (const old of [...sent, lost]) expect(await open(restarted, old)).toMatchObject({ code: 'oscore-not-fresh' })
    expect(text((await exchange(client, restarted, GET('light'))).answer.payload)).toBe('hello')
    for (const old of [...sent, lost]) expect(isOpened(await open(restarted, old))).toBe(false)
  })

  test('answers the same request with the same challenge, and makes 16 of them in a second', async () => {
    const { clock, client, server, store } = await stored()
    const messages = await Promise.all(Array.from({ length: 30 }, async () => (await protect(client, GET('light'))).message))
    const before = store.last
    const first = await open(server, messages[0]!)
    expect(await open(server, messages[0]!)).toBe(first)
    const codes = await Promise.all(messages.slice(1).map(async message => ((await open(server, message)) as RefusedRequest).code))
    expect(codes.filter(code => code === 'oscore-not-fresh')).toHaveLength(15)
    expect(codes.filter(code => code === 'oscore-busy')).toHaveLength(14)
    expect(store.last).toBe(before)
    await clock.advance(1000)
    expect(await open(server, messages[29]!)).toMatchObject({ code: 'oscore-not-fresh' })
  })
})

describe('a peer without a store (appendix B.2)', () => {
  test('derives new keys at its first exchange, and after either side starts again', async () => {
    let client = await startPeer({ contexts: [CLIENT] })
    let server = await startPeer({ contexts: [SERVER] })
    const first = await exchange(client, server, GET('light'))
    expect(first.sent).toHaveLength(2)
    expect((await exchange(client, server, GET('light'))).sent).toHaveLength(1)
    server = await startPeer({ contexts: [SERVER] })
    expect((await exchange(client, server, GET('light'))).sent).toHaveLength(2)
    expect((await exchange(client, server, GET('light'))).sent).toHaveLength(1)
    client = await startPeer({ contexts: [CLIENT] })
    expect((await exchange(client, server, GET('light'))).sent).toHaveLength(2)
    for (const old of first.sent) {
      const opening = await open(server, old)
      expect(isOpened(opening)).toBe(false)
      expect(old.options.some(([, value]) => value.length > 10)).toBe(true)
    }
  })

  test('keeps nothing of a first request that is repeated, however often', async () => {
    const clock = virtualClock()
    const client = await startPeer({ contexts: [CLIENT] }, clock)
    const server = await startPeer({ contexts: [SERVER] }, clock)
    const { sent } = await exchange(client, server, GET('light'))
    const answers = new Set<string>()
    const codes: string[] = []
    for (let count = 0; count < 40; count++) {
      const opening = (await open(server, sent[0]!)) as RefusedRequest
      codes.push(opening.code)
      answers.add(text(opening.refusal.payload))
    }
    // One of the 16 of this second went to the client.
    expect(codes.filter(code => code === 'oscore-new-keys')).toHaveLength(15)
    expect(codes.filter(code => code === 'oscore-busy')).toHaveLength(25)
    expect(said(await open(server, sent[1]!))).toBe('81 Replay detected')
    // The context in use is as it was.
    expect((await exchange(client, server, GET('light'))).sent).toHaveLength(1)
  })

  test('does not take a second request for a token that has expired, or was used', async () => {
    const clock = virtualClock()
    const client = await startPeer({ contexts: [CLIENT] }, clock)
    const server = await startPeer({ contexts: [SERVER] }, clock)
    const first = await protect(client, GET('light'))
    const opening = (await open(server, first.message)) as RefusedRequest
    const answer = await first.open(opening.refusal)
    expect(answer).toMatchObject({ code: 0x81 })
    await clock.advance(121_000)
    const second = await protect(client, { ...GET('light'), options: [...GET('light').options, ...answer!.options] })
    // It counts as a first request, and begins a new exchange.
    expect(await open(server, second.message)).toMatchObject({ code: 'oscore-new-keys' })
    expect((await exchange(client, server, GET('light'))).answer.code).toBe(0x45)
  })

  test('answers a peer that names no context, and gives it R2', async () => {
    const server = await startPeer({ contexts: [SERVER] })
    const clock = virtualClock({ start: 5000 })
    const fixed = await startPeer({ contexts: [CLIENT], store: new MemoryStore() }, clock)
    await clock.advance(1000)
    const opening = await open(server, (await protect(fixed, GET('light'))).message)
    expect(opening).toMatchObject({ code: 'oscore-new-keys', refusal: { code: 0x44 } })
  })

  test('opens what was in flight when the keys changed', async () => {
    const client = await startPeer({ contexts: [CLIENT] })
    const server = await startPeer({ contexts: [SERVER] })
    await exchange(client, server, GET('light'))
    const inFlight = await protect(client, GET('light'))
    const opened = await mustOpen(server, inFlight.message)
    const restarted = await startPeer({ contexts: [SERVER] })
    await exchange(client, restarted, GET('light'))
    const response = await opened.protect({ code: 0x45, options: [], payload: Buffer.from('late') }, 'response')
    expect(text((await inFlight.open(response))!.payload)).toBe('late')
  })
})
