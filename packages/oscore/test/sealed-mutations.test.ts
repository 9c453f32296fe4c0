// A peer that has the keys and is hostile: what it seals is changed before, with lengths that are right and that are not. IOPA_MUTATIONS=100000 is a long run.
import { type VirtualClock, virtualClock } from '@iopa/testing'
import { isIopaError, type MessageOption, type PlainMessage } from '@iopa/transport'
import { expect, test } from 'vitest'
import { SecurityContext } from '../src/contexts/security-context.ts'
import { FreshNumbers } from '../src/contexts/sequence-numbers.ts'
import { ALGORITHMS } from '../src/crypto/algorithms.ts'
import { cborBytes } from '../src/crypto/cbor.ts'
import { encodePartialIv } from '../src/crypto/nonce.ts'
import { decodeOscoreOption, encodeOscoreOption, type OscoreHeader } from '../src/messages/oscore-option.ts'
import { decodePlaintext, encodePlaintext } from '../src/messages/plaintext.ts'
import { below, COUNT, mutated, Outcomes, pick, random, TIMEOUT } from './mutation.ts'
import { CLIENT, exchange, GET, isOpened, MemoryStore, NO_BYTES, open, protect, SERVER, startPeer } from './peers.ts'

/** Options that are outside alone, and that an opened request has from there. */
const OUTER: ReadonlySet<number> = new Set([3, 7, 16, 35, 39])

const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, () => below(256))

/** A context with the keys of one side; its numbers are far above those of the peer that is not hostile. */
const hostile = (of: typeof CLIENT, idContext?: Uint8Array): SecurityContext =>
  new SecurityContext({
    keys: {
      algorithm: ALGORITHMS['AES-CCM-16-64-128'],
      masterSecret: of.masterSecret,
      masterSalt: of.masterSalt!,
      senderId: of.senderId,
      recipientId: of.recipientId,
      idContext
    },
    user: { id: 'hostile' },
    numbers: new FreshNumbers(2 ** 30),
    kidContext: undefined,
    fresh: true
  })

/** Options that the code looks at, with values that fit and that do not: Observe, blocks inside, Echo, OSCORE within OSCORE. */
const someOptions = (): MessageOption[] =>
  Array.from({ length: below(5) }, (): MessageOption => {
    const number = pick([6, 9, 11, 14, 23, 27, 28, 35, 60, 252, 258, 292, below(65_536)])
    return [number, bytes(pick([0, 1, 2, 3, 4, 8, below(300)]))]
  }).sort(([one], [another]) => one - another)

/** What is sealed: a message, one whose bytes were changed, or no message at all. */
const somePlaintext = (codes: readonly number[]): Uint8Array => {
  const code = random() < 0.8 ? pick(codes) : below(256)
  const plaintext = encodePlaintext(code, random() < 0.3 ? [] : someOptions(), bytes(pick([0, 0, 5, 1024])))
  const kind = random()
  return kind < 0.5 ? plaintext : kind < 0.9 ? mutated(plaintext) : bytes(below(40))
}

/** The message of a sealed plaintext. What the outer options say, blocks and Observe too, decides nothing. */
const message = (code: number, header: Partial<OscoreHeader>, payload: Uint8Array): PlainMessage => ({
  code,
  options: [...someOptions().filter(([number]) => number !== 9), [9, encodeOscoreOption(header)] as const].sort(([one], [another]) => one - another),
  payload
})

const requestOf = (context: SecurityContext, plaintext: Uint8Array, kidContext?: Uint8Array): PlainMessage => {
  const partialIv = encodePartialIv(context.numbers.next() as number)
  const sealed = context.seal(context.ownNonce(partialIv), context.authenticatedData(context.senderId, partialIv), plaintext)
  return message(pick([2, 5]), { partialIv, kidContext, kid: context.senderId }, sealed)
}

const isPlainRequest = (plaintext: Uint8Array): boolean => {
  const { code = 0, options = [] } = decodePlaintext(plaintext) ?? {}
  return code > 0 && code < 0x20 && !options.some(([number]) => number === 9)
}

const isPlainResponse = (plaintext: Uint8Array): boolean => {
  const { code = 0, options = [] } = decodePlaintext(plaintext) ?? {}
  return [2, 4, 5].includes(code >> 5) && !options.some(([number]) => number === 9)
}

const storedPair = async (clock: VirtualClock) => {
  const client = await startPeer({ contexts: [CLIENT], store: new MemoryStore() }, clock)
  const server = await startPeer({ contexts: [SERVER], store: new MemoryStore() }, clock)
  await clock.advance(1000)
  return { client, server }
}

test(`requests are opened where they are requests, and refused elsewhere (${COUNT})`, TIMEOUT, async () => {
  const { client, server } = await storedPair(virtualClock({ start: 1_000_000 }))
  await exchange(client, server, GET('light'))
  const peer = hostile(CLIENT)
  const outcomes = new Outcomes()
  for (let count = 0; count < COUNT; count++) {
    const plaintext = somePlaintext([1, 2, 3, 5])
    const request = requestOf(peer, plaintext)
    const opening = await open(server, request)
    outcomes.count('request', isOpened(opening) ? 'opened' : opening.code)
    if (isOpened(opening) !== isPlainRequest(plaintext)) expect.fail(Buffer.from(plaintext).toString('hex'))
    // Whatever it was, its number is used.
    expect(await open(server, request)).toMatchObject({ code: 'oscore-replayed' })
    if (!isOpened(opening)) continue
    const withinOf = ({ options }: PlainMessage): string =>
      JSON.stringify(options.filter(([number]) => !OUTER.has(number)).map(([number, value]) => [number, ...value]))
    expect(withinOf(opening.message)).toBe(withinOf(decodePlaintext(plaintext)!))
    opening.end()
  }
  outcomes.print()
  expect(outcomes.of('request')).toEqual(['opened', 'oscore-malformed'])
})

test(`requests after a start run no handler but with the Echo of this start (${COUNT})`, TIMEOUT, async () => {
  const clock = virtualClock({ start: 1_000_000 })
  const outcomes = new Outcomes()
  for (let count = 0; count < COUNT; ) {
    const { server } = await storedPair(clock)
    const peer = hostile(CLIENT)
    const first = requestOf(peer, encodePlaintext(1, [], NO_BYTES))
    const challenge = await open(server, first)
    if (isOpened(challenge)) throw new Error('a request without an Echo was opened')
    const { partialIv } = decodeOscoreOption(first.options.find(([number]) => number === 9)![1])!
    const header = decodeOscoreOption(challenge.refusal.options.find(([number]) => number === 9)![1])!
    const answer = peer.unseal(peer.peerNonce(header.partialIv!), peer.authenticatedData(peer.senderId, partialIv!), challenge.refusal.payload)!
    const echo = decodePlaintext(answer)!.options[0]![1]
    for (let at = 0; at < 50; at++, count++) {
      if (random() < 0.1) await clock.advance(100)
      const isRight = random() < 0.02
      const given = isRight ? echo : mutated(echo)
      const repeats = random() < 0.1
      const plaintext = encodePlaintext(
        1,
        repeats
          ? [
              [252, given],
              [252, given]
            ]
          : [[252, given]],
        NO_BYTES
      )
      const opening = await open(server, requestOf(peer, random() < 0.8 ? plaintext : mutated(plaintext)))
      outcomes.count('Echo', isOpened(opening) ? 'opened' : opening.code)
      if (!isOpened(opening)) continue
      const value = opening.message.options.filter(([number]) => number === 252)
      expect(value.map(([, proof]) => Buffer.compare(proof, echo))).toEqual([0])
      break
    }
    await server.close()
  }
  outcomes.print()
  expect(outcomes.of('Echo')).toEqual(['opened', 'oscore-busy', 'oscore-malformed', 'oscore-not-fresh'])
})

test(`first and second requests of appendix B.2 leave the context in use as it is (${COUNT})`, TIMEOUT, async () => {
  const clock = virtualClock({ start: 1_000_000 })
  const client = await startPeer({ contexts: [CLIENT] }, clock)
  const server = await startPeer({ contexts: [SERVER] }, clock)
  await exchange(client, server, GET('light'))
  const outcomes = new Outcomes()
  for (let count = 0; count < COUNT; count++) {
    await clock.advance(20)
    // Of every length, as CBOR that is right, and that is not.
    const id = bytes(pick([0, 1, 8, 15, 16, 17, 24, 128, 129, below(256)]))
    const kidContext = random() < 0.7 ? (id.length < 256 ? cborBytes(id) : id) : mutated(cborBytes(id)).subarray(0, 255)
    const context = hostile(CLIENT, id)
    const request = requestOf(context, somePlaintext([1, 5]), kidContext.subarray(0, 255))
    const opening = await open(server, request)
    outcomes.count('B.2', isOpened(opening) ? 'opened' : opening.code)
    if (isOpened(opening)) expect.fail('an R2 that this server has not given')
    if (count % 50 === 0) expect((await exchange(client, server, GET('light'))).sent).toHaveLength(1)
  }
  outcomes.print()
  expect(outcomes.of('B.2')).toEqual(
    expect.arrayContaining(['oscore-malformed', 'oscore-new-keys', 'oscore-undecryptable', 'oscore-unknown-context'])
  )
})

test(`a second request of appendix B.2 is opened where it is a request, and once (${COUNT})`, TIMEOUT, async () => {
  const clock = virtualClock({ start: 1_000_000 })
  const server = await startPeer({ contexts: [SERVER] }, clock)
  const outcomes = new Outcomes()
  for (let count = 0; count < COUNT; count++) {
    await clock.advance(100)
    const id = bytes(8)
    const answer = await open(server, requestOf(hostile(CLIENT, id), encodePlaintext(1, [], NO_BYTES), cborBytes(id)))
    if (isOpened(answer)) throw new Error('a first request was opened')
    const { kidContext } = decodeOscoreOption(answer.refusal.options.find(([number]) => number === 9)![1])!
    const token = kidContext!.subarray(1)
    const third = Buffer.concat([random() < 0.8 ? token : mutated(token), bytes(pick([1, 8, 8, 100]))])
    const plaintext = somePlaintext([1, 5])
    const request = requestOf(hostile(CLIENT, third), plaintext, cborBytes(third))
    const opening = await open(server, request)
    outcomes.count('B.2, second', isOpened(opening) ? 'opened' : opening.code)
    if (!isOpened(opening)) continue
    expect(isPlainRequest(plaintext)).toBe(true)
    expect(await open(server, request)).toMatchObject({ code: 'oscore-replayed' })
  }
  outcomes.print()
  expect(outcomes.of('B.2, second')).toEqual(['opened', 'oscore-malformed', 'oscore-new-keys'])
})

test(`responses and notifications are taken where they are such, once, and in their order (${COUNT})`, TIMEOUT, async () => {
  const clock = virtualClock({ start: 1_000_000 })
  const { client } = await storedPair(clock)
  const peer = hostile(SERVER)
  const outcomes = new Outcomes()
  for (let count = 0; count < COUNT; ) {
    await clock.advance(10)
    const observes = random() < 0.5
    const request = await protect(client, GET('light', observes ? [[6, NO_BYTES]] : []))
    const { partialIv: asked } = decodeOscoreOption(request.message.options.find(([number]) => number === 9)![1])!
    const aad = (): Uint8Array => peer.authenticatedData(peer.recipientId, asked!)
    let newest = -1
    let taken = 0
    for (let at = 0; at < 10; at++, count++) {
      const plaintext = somePlaintext([0x45, 0x84, 0xa0])
      const number = random() < 0.2 ? undefined : 2 ** 20 + below(40)
      const partialIv = number === undefined ? undefined : encodePartialIv(number)
      const nonce = partialIv === undefined ? peer.peerNonce(asked!) : peer.ownNonce(partialIv)
      const kid = pick([undefined, undefined, peer.senderId, bytes(1)])
      const response = message(pick([0x44, 0x45]), { partialIv, kid }, peer.seal(nonce, aad(), plaintext))
      const kind = observes ? 'notification' : 'response'
      let answer: PlainMessage | undefined
      try {
        answer = await request.open(response)
        outcomes.count(kind, answer === undefined ? 'dropped' : answer.options.some(([option]) => option === 6) ? 'notified' : 'answered')
      } catch (error) {
        if (!isIopaError(error)) throw error
        outcomes.count(kind, error.code)
        continue
      }
      if (answer === undefined) continue
      expect(isPlainResponse(plaintext)).toBe(true)
      taken++
      if (!answer.options.some(([option]) => option === 6)) break
      expect(observes).toBe(true)
      if (number === undefined) expect(taken).toBe(1)
      else expect(number).toBeGreaterThan(newest)
      newest = number ?? newest
    }
    request.end()
  }
  outcomes.print()
  expect(outcomes.of('response')).toEqual(['answered', 'bad-answer'])
  expect(outcomes.of('notification')).toEqual(['answered', 'bad-answer', 'dropped', 'notified'])
})

test(`an answer that gives new keys is taken where it is a 4.01 under the keys that it leads to (${COUNT})`, TIMEOUT, async () => {
  const outcomes = new Outcomes()
  for (let count = 0; count < COUNT; count++) {
    const client = await startPeer({ contexts: [CLIENT] })
    const request = await protect(client, GET('light'))
    const sent = decodeOscoreOption(request.message.options.find(([number]) => number === 9)![1])!
    const token = bytes(pick([0, 7, 8, 16, 100, 128, 129, 200]))
    const first = sent.kidContext!.subarray(1)
    const second = hostile(SERVER, Buffer.concat([token, first]))
    const partialIv = encodePartialIv(0)
    const plaintext = random() < 0.5 ? encodePlaintext(0x81, someOptions(), NO_BYTES) : somePlaintext([0x81, 0x45])
    const sealed = second.seal(second.ownNonce(partialIv), second.authenticatedData(second.recipientId, sent.partialIv!), plaintext)
    const kidContext = random() < 0.7 ? cborBytes(token) : mutated(cborBytes(token))
    let outcome: string
    try {
      const answer = await request.open(
        message(0x44, { partialIv, kidContext: kidContext.subarray(0, 255) }, random() < 0.9 ? sealed : mutated(sealed))
      )
      outcome = answer === undefined ? 'dropped' : 'again'
      if (outcome === 'again') expect(decodePlaintext(plaintext)?.code).toBe(0x81)
    } catch (error) {
      if (!isIopaError(error)) throw error
      outcome = error.code
    }
    outcomes.count('R2', outcome)
    const next = await protect(client, GET('light'))
    const header = decodeOscoreOption(next.message.options.find(([number]) => number === 9)![1])!
    expect(Buffer.compare(header.kidContext!, sent.kidContext!) === 0).toBe(outcome !== 'again')
  }
  outcomes.print()
  expect(outcomes.of('R2')).toEqual(['again', 'bad-answer'])
})
