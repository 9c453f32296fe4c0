import { systemClock } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { CODE, formatCode } from '../src/codec/codes.ts'
import { decode } from '../src/codec/datagram-codec.ts'
import type { ReceivedMessage } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { AmplificationGuard, EchoValues } from '../src/exchanges/amplification.ts'
import type { Exchange, Remote } from '../src/exchanges/exchange.ts'
import { type RawRequest, rawRequest } from './raw-peer.ts'
import { CLIENT, SERVER, virtualHome } from './virtual-home.ts'

/** A peer off loopback, at an address that nobody has verified. */
const stranger = async (amplification?: false) => {
  const home = await virtualHome({ coap: { amplification: amplification ?? 3 } })
  const channel = await home.network.machine(CLIENT).bind({ host: CLIENT, port: 0 })
  const inbox: ReceivedMessage[] = []
  const sizes: number[] = []
  channel.open({
    message: bytes => {
      sizes.push(bytes.length)
      inbox.push(decode(bytes) as ReceivedMessage)
    },
    error: () => {}
  })
  const ask = async (code: number, request: RawRequest): Promise<{ answer: ReceivedMessage; ratio: number }> => {
    const bytes = rawRequest(code, request)
    channel.send(bytes, 5683, SERVER)
    const before = inbox.length
    await home.clock.runUntil(() => inbox.length > before)
    return { answer: inbox.at(-1)!, ratio: sizes.at(-1)! / bytes.length }
  }
  const fill = async (): Promise<void> => {
    const client = await home.connect()
    await home.clock.runUntil(client.put('/body/large', new Uint8Array(5000).fill(65)))
  }
  return { home, ask, fill, channel, inbox }
}

describe('amplification (RFC 9175 section 2.4)', () => {
  test('keeps what a stranger gets within three times what it sent, in blocks, and still gives all of it', async () => {
    const { home, ask, fill } = await stranger()
    await fill()
    let body = Buffer.alloc(0)
    for (let num = 0, more = true, szx = 6; more; ) {
      const { answer, ratio } = await ask(CODE.GET, { path: '/body/large', options: num === 0 ? [] : [[OPTION.BLOCK2, (num << 4) | szx]] })
      expect(formatCode(answer.code)).toBe('2.05')
      // The least block is 16 bytes, whatever was asked.
      expect(ratio <= 3 || answer.payload.length <= 16).toBe(true)
      const block = answer.options.uint(OPTION.BLOCK2)!
      szx = block & 7
      more = (block & 8) !== 0
      body = Buffer.concat([body, answer.payload])
      num = body.length / 2 ** (szx + 4)
    }
    expect(body.length).toBe(5000)
    await home.close()
  })

  test('lets a stranger observe, offers it an Echo, and takes the echo as proof', async () => {
    const { home, ask, fill } = await stranger()
    await fill()
    const observing = await ask(CODE.GET, { path: '/state', options: [[OPTION.OBSERVE, 0]] })
    expect(formatCode(observing.answer.code)).toBe('2.05')
    expect(observing.answer.options.has(OPTION.OBSERVE)).toBe(true)
    expect(observing.ratio).toBeLessThanOrEqual(3)
    const echo = observing.answer.options.get(OPTION.ECHO)!
    expect(echo.length).toBeGreaterThan(0)
    const size = async (value?: Uint8Array): Promise<number> =>
      (await ask(CODE.GET, { path: '/body/large', options: value === undefined ? [] : [[OPTION.ECHO, value]] })).answer.payload.length
    // One that ignores the Echo gets small blocks, as often as it asks.
    for (let i = 0; i < 3; i++) expect(await size()).toBeLessThanOrEqual(64)
    expect(await size(Uint8Array.from(echo, byte => byte ^ 1))).toBeLessThanOrEqual(64)
    expect(await size(echo)).toBe(1024)
    expect(await size()).toBe(1024)
    await home.close()
  })

  test('gives a peer that has proven its address whole blocks', async () => {
    const { home, ask, fill } = await stranger()
    await fill()
    const refused = await ask(CODE.GET, { path: '/state', options: [[OPTION.OBSERVE, 0]] })
    await ask(CODE.GET, {
      path: '/state',
      options: [
        [OPTION.OBSERVE, 0],
        [OPTION.ECHO, refused.answer.options.get(OPTION.ECHO)!]
      ]
    })
    const { answer } = await ask(CODE.GET, { path: '/body/large' })
    expect(answer.payload.length).toBe(1024)
    await home.close()
  })

  test('does not take the echo of another peer', async () => {
    const { home, ask, fill } = await stranger()
    await fill()
    const { answer } = await ask(CODE.GET, { path: '/state', options: [[OPTION.OBSERVE, 0]] })
    const channel = await home.network.machine('10.0.0.9').bind({ host: '10.0.0.9', port: 0 })
    const inbox: ReceivedMessage[] = []
    channel.open({ message: bytes => inbox.push(decode(bytes) as ReceivedMessage), error: () => {} })
    channel.send(rawRequest(CODE.GET, { path: '/body/large', options: [[OPTION.ECHO, answer.options.get(OPTION.ECHO)!]] }), 5683, SERVER)
    await home.clock.runUntil(() => inbox.length > 0)
    expect(inbox[0]!.payload.length).toBeLessThanOrEqual(64)
    await home.close()
  })

  test('observes through our own client, which echoes by itself', async () => {
    const { home } = await stranger()
    const client = await home.connect()
    const texts: string[] = []
    void (async () => {
      for await (const answer of client.observe('/state')) texts.push(await answer.text())
    })().catch(() => {})
    await home.clock.runUntil(() => texts.length === 1)
    home.setState('state 1')
    await home.clock.runUntil(() => texts.length === 2)
    expect(texts).toEqual(['state 0', 'state 1'])
    await home.close()
  })

  test('can be turned off', async () => {
    const { home, ask, fill } = await stranger(false)
    await fill()
    expect((await ask(CODE.GET, { path: '/body/large' })).answer.payload.length).toBe(1024)
    expect(formatCode((await ask(CODE.GET, { path: '/state', options: [[OPTION.OBSERVE, 0]] })).answer.code)).toBe('2.05')
    await home.close()
  })
})

describe('an Echo value', () => {
  const values = new EchoValues(120_000)
  const value = values.issue('10.0.0.2', 5000, 1_000_000)

  test('is taken from whom it was given to, within its lifetime', () => {
    expect(values.verify(value, '10.0.0.2', 5000, 1_000_000)).toBe(true)
    expect(values.verify(value, '10.0.0.2', 5000, 1_120_000)).toBe(true)
    // The clock of this side may be set a little.
    expect(values.verify(value, '10.0.0.2', 5000, 999_000)).toBe(true)
  })

  test('is nothing from another address or port, later, from the future, of another length, changed, or of another server', () => {
    expect(values.verify(value, '10.0.0.3', 5000, 1_000_000)).toBe(false)
    expect(values.verify(value, '10.0.0.2', 5001, 1_000_000)).toBe(false)
    expect(values.verify(value, '10.0.0.2', 5000, 1_121_000)).toBe(false)
    expect(values.verify(value, '10.0.0.2', 5000, 997_000)).toBe(false)
    expect(values.verify(value.subarray(1), '10.0.0.2', 5000, 1_000_000)).toBe(false)
    expect(values.verify(Uint8Array.from([...value, 0]), '10.0.0.2', 5000, 1_000_000)).toBe(false)
    for (let at = 0; at < value.length; at++) {
      const changed = Uint8Array.from(value)
      changed[at]! ^= 1
      expect(values.verify(changed, '10.0.0.2', 5000, 1_000_000)).toBe(false)
    }
    expect(new EchoValues(120_000).verify(value, '10.0.0.2', 5000, 1_000_000)).toBe(false)
  })
})

describe('an unverified remote', () => {
  const verified = (address: string, factor: number, reliable = false): boolean => {
    let proven = false
    new AmplificationGuard(systemClock, factor).introduce({ address, reliable, verify: () => void (proven = true) } as unknown as Remote)
    return proven
  }

  test('is only one off loopback, without a connection and with a factor', () => {
    expect([verified('127.0.0.1', 3), verified('::1', 3), verified('10.0.0.2', 3, true)]).toEqual([true, true, true])
    expect(verified('10.0.0.2', Number.POSITIVE_INFINITY)).toBe(true)
    expect([verified('10.0.0.2', 3), verified('2001:db8::1', 3)]).toEqual([false, false])
  })

  test('limits the payload to the factor times its request, less header, token, marker and options', () => {
    const exchange = {
      remote: { verified: false, credit: Number.POSITIVE_INFINITY },
      message: { bytes: new Uint8Array(20), tokenStart: 4, tokenEnd: 8 }
    } as unknown as Exchange
    expect(new AmplificationGuard(systemClock, 3).room(exchange, 7)).toBe(60 - 4 - 4 - 1 - 7)
    expect(new AmplificationGuard(systemClock, 1.5).room(exchange, 0)).toBe(30 - 9)
  })
})
