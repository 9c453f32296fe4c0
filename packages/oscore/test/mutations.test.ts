// Bytes of valid messages are changed: nothing of that is accepted, and nothing throws anything but an IopaError. IOPA_MUTATIONS=100000 is a long run.
import { type VirtualClock, virtualClock } from '@iopa/testing'
import { type ActiveProtection, isIopaError, type MessageOption, type PlainMessage, type ProtectedRequest } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { decodeOscoreOption, encodeOscoreOption } from '../src/messages/oscore-option.ts'
import { decodePlaintext, encodePlaintext } from '../src/messages/plaintext.ts'
import { splitProxyUri } from '../src/messages/proxy-uri.ts'
import { below, COUNT, mutated, Outcomes, random, TIMEOUT } from './mutation.ts'
import { CLIENT, CONTENT, exchange, GET, isOpened, MemoryStore, mustOpen, plain, protect, SERVER, SOURCE, startPeer } from './peers.ts'

const mutatedMessage = (message: PlainMessage): PlainMessage => {
  const which = below(3)
  const options = message.options.map(([number, value]): MessageOption => (number === 9 && which !== 0 ? [9, mutated(value)] : [number, value]))
  return { code: random() < 0.1 ? below(256) : message.code, options, payload: which !== 1 ? mutated(message.payload) : message.payload }
}

const protectedPart = ({ options, payload }: PlainMessage): string =>
  JSON.stringify([
    options.filter(([number]) => number === 9).map(([, value]) => Buffer.from(value).toString('hex')),
    Buffer.from(payload).toString('hex')
  ])

const pair = async (stored: boolean): Promise<{ client: ActiveProtection; server: ActiveProtection; clock: VirtualClock }> => {
  const clock = virtualClock({ start: 1_000_000 })
  const store = () => (stored ? { store: new MemoryStore() } : {})
  const client = await startPeer({ contexts: [CLIENT], ...store() }, clock)
  const server = await startPeer({ contexts: [SERVER], ...store() }, clock)
  await clock.advance(1000)
  return { client, server, clock }
}

describe.each([
  ['stored', true],
  ['derived', false]
])('mutations with %s contexts', (_, stored) => {
  test(`of requests are refused (${COUNT})`, TIMEOUT, async () => {
    const { client, server } = await pair(stored)
    const first = (await protect(client, GET('light'))).message
    await exchange(client, server, GET('light'))
    const later = (await protect(client, GET('light', [[3, Buffer.from('host')]]))).message
    for (let count = 0; count < COUNT; count++) {
      const original = count % 2 === 0 ? first : later
      const message = mutatedMessage(original)
      const opening = await server.open(message, SOURCE)
      if (opening === undefined || !isOpened(opening)) continue
      // Only what is equal in the protected part may be accepted, and that once.
      expect(protectedPart(message)).toBe(protectedPart(later))
    }
    // Nothing that was refused has moved the window.
    expect((await exchange(client, server, GET('light'))).sent).toHaveLength(1)
  })

  test(`of responses are refused (${COUNT})`, TIMEOUT, async () => {
    const { client, server, clock } = await pair(stored)
    await exchange(client, server, GET('light'))
    let request: ProtectedRequest | undefined
    let response: PlainMessage | undefined
    for (let count = 0; count < COUNT; count++) {
      if (request === undefined || response === undefined) {
        await clock.advance(10)
        request = await protect(client, GET('light', [[6, new Uint8Array(0)]]))
        const opened = await mustOpen(server, request.message)
        response = await opened.protect(CONTENT('payload', [[6, Uint8Array.of(1)]]), count % 2 === 0 ? 'response' : 'notification')
      }
      const message = mutatedMessage(response)
      try {
        const answer = await request.open(message)
        if (answer !== undefined) expect(protectedPart(message)).toBe(protectedPart(response))
        if (answer !== undefined) request = undefined
      } catch (error) {
        if (!isIopaError(error)) throw error
      }
    }
  })
})

test(`of the responses that ask for a fresh request, or for new keys, are refused (${COUNT})`, TIMEOUT, async () => {
  const outcomes = new Outcomes()
  for (const [kind, stored] of [
    ['Echo', true],
    ['R2', false]
  ] as const) {
    const { client, server, clock } = await pair(stored)
    for (let count = 0; count < COUNT; count += 20) {
      await clock.advance(100)
      const request = await protect(client, GET('light'))
      const opening = await server.open(request.message, SOURCE)
      if (opening === undefined || isOpened(opening)) throw new Error('the server asks for nothing')
      for (let at = 0; at < 20; at++) {
        const message = mutatedMessage(opening.refusal)
        try {
          const answer = await request.open(message)
          outcomes.count(kind, answer === undefined ? 'dropped' : 'opened')
          if (answer !== undefined) expect(protectedPart(message)).toBe(protectedPart(opening.refusal))
        } catch (error) {
          if (!isIopaError(error)) throw error
          outcomes.count(kind, error.code)
        }
      }
      // With keys that it has taken the client sends in another context.
      if (!stored) await client.close()
      if (!stored) break
    }
    if (stored) expect((await exchange(client, server, GET('light'))).answer.code).toBe(0x45)
  }
  outcomes.print()
  expect(outcomes.of('Echo')).toEqual(expect.arrayContaining(['bad-answer', 'opened']))
  expect(outcomes.of('R2')).toContain('bad-answer')
})

test(`what is decrypted is decoded or refused, whatever it is (${COUNT})`, TIMEOUT, () => {
  const message: PlainMessage = {
    code: 0x45,
    options: [
      [4, Uint8Array.of(1, 2)],
      [12, new Uint8Array(0)],
      [300, new Uint8Array(300)],
      [65_000, Uint8Array.of(7)]
    ],
    payload: Buffer.from('payload')
  }
  const bytes = encodePlaintext(message.code, message.options, message.payload)
  expect(plain(decodePlaintext(bytes)!)).toEqual(plain(message))
  for (let count = 0; count < COUNT; count++) {
    const decoded = decodePlaintext(mutated(mutated(bytes)))
    if (decoded === undefined) continue
    const again = decodePlaintext(encodePlaintext(decoded.code, decoded.options, decoded.payload))
    expect(JSON.stringify(plain(again!))).toBe(JSON.stringify(plain(decoded)))
  }
})

test(`an OSCORE option is decoded to what is encoded as the same bytes, or refused (${COUNT})`, TIMEOUT, () => {
  for (let count = 0; count < COUNT; count++) {
    const bytes = Uint8Array.from({ length: below(16) }, (_, at) => (at === 0 ? below(64) : below(256)))
    const header = decodeOscoreOption(bytes)
    if (header !== undefined) expect(Buffer.compare(encodeOscoreOption(header), bytes)).toBe(0)
  }
})

test(`a Proxy-Uri is split or refused, whatever it is (${COUNT})`, TIMEOUT, () => {
  const bytes = Buffer.from('coap://example.com:5683/a%20b/c?q=1&r=%2f')
  for (let count = 0; count < COUNT; count++) {
    try {
      splitProxyUri(mutated(mutated(bytes)))
    } catch (error) {
      if (!isIopaError(error)) throw error
    }
  }
})
