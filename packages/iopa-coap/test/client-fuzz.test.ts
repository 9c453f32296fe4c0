import { App } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { seededRandom, virtualClock, virtualNetwork } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import { decode, encode, isMalformed } from '../src/codec/datagram-codec.ts'
import type { Message } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { Options } from '../src/codec/options.ts'
import { encodeFrame, FrameReader, isMessage } from '../src/codec/stream-codec.ts'
import { Signalling } from '../src/streams/signalling.ts'
import { below, mutate, type Random, validDatagram } from './mutation.ts'

const runs = Math.ceil(Number(process.env['IOPA_FUZZ'] ?? 5000) / 10)
const SERVER = '10.0.0.1'
const CODES = [
  CODE.CONTENT,
  CODE.CONTENT,
  CODE.CHANGED,
  CODE.CREATED,
  CODE.VALID,
  CODE.CONTINUE,
  CODE.UNAUTHORIZED,
  CODE.REQUEST_ENTITY_INCOMPLETE,
  CODE.REQUEST_ENTITY_TOO_LARGE,
  0xa3,
  CODE.EMPTY
]

/** An answer that may or may not fit the request: options that make the client go on, in every combination. */
const answerTo = (request: Message, random: Random): Message => {
  const options = new Options()
  const maybe = (chance: number, number: number, value: number | Uint8Array): void => {
    if (random() < chance) options.add(number, value)
  }
  maybe(0.2, OPTION.ETAG, Uint8Array.of(below(random, 3)))
  maybe(0.3, OPTION.OBSERVE, below(random, 20))
  maybe(0.2, OPTION.LOCATION_PATH, Uint8Array.of(0x61, below(random, 256)))
  maybe(0.3, OPTION.CONTENT_FORMAT, below(random, 300))
  maybe(0.2, OPTION.MAX_AGE, below(random, 5))
  maybe(0.4, OPTION.BLOCK2, below(random, 128))
  maybe(0.3, OPTION.BLOCK1, below(random, 128))
  maybe(0.1, OPTION.ECHO, Uint8Array.of(1, 2, 3))
  maybe(0.05, 2049, 1)
  const payload = Uint8Array.from({ length: below(random, 40) }, () => below(random, 256))
  const code = CODES[below(random, CODES.length)]!
  return {
    type: below(random, 4),
    code,
    id: random() < 0.8 ? request.id : below(random, 65_536),
    token: code === CODE.EMPTY ? new Uint8Array() : request.token,
    options: code === CODE.EMPTY ? new Options() : options,
    payload: code === CODE.EMPTY ? new Uint8Array() : payload
  }
}

/** Sends every kind of request and counts how they end. */
const exercise = async (scheme: 'coap' | 'coap+tcp', random: Random) => {
  const faults: unknown[] = []
  const onFault = (fault: unknown): void => {
    faults.push(fault)
  }
  process.on('unhandledRejection', onFault)
  const clock = virtualClock()
  const network = virtualNetwork({ clock, traceLength: 10 })
  let other = validDatagram(random)
  const spoil = (bytes: Uint8Array): Uint8Array => {
    const spoilt = random() < 0.4 ? mutate(bytes, other, random) : bytes
    other = bytes
    return spoilt
  }
  if (scheme === 'coap') {
    const channel = await network.machine(SERVER).bind({ host: SERVER, port: 5683 })
    channel.open({
      message: (bytes, address, port) => {
        const request = decode(bytes)
        if (isMalformed(request)) return
        for (let i = 1 + below(random, 3); i > 0; i--) channel.send(spoil(encode(answerTo(request, random))), port, address)
      },
      error: () => {}
    })
  } else {
    await network.machine(SERVER).listen({ host: SERVER, port: 5683 }, channel => {
      const reader = new FrameReader(1024 * 1024)
      channel.open({
        data: chunk => {
          for (const frame of reader.push(chunk)) {
            if (!isMessage(frame) || frame.code >> 5 === 7) continue
            const answer = encodeFrame(answerTo(frame, random))
            channel.write(random() < 0.9 ? answer : mutate(answer, other, random))
          }
        },
        end: () => channel.end(),
        drain: () => {},
        close: () => {}
      })
      channel.write(new Signalling({ maxMessageSize: 1152 + below(random, 5000), blockWise: random() < 0.5 }).hello())
    })
  }
  const app = new App({ logger: false, clock }).use(
    coap({ network: network.machine('10.0.0.2'), transmission: { ackTimeout: 500, maxRetransmit: 2 } })
  )
  const client = await clock.runUntil(app.connect(`${scheme}://${SERVER}`, { timeout: 5000 }))
  const ends = { answered: 0, failed: 0 }
  const settled = (work: Promise<unknown>): Promise<void> =>
    work.then(
      () => void ends.answered++,
      (error: unknown) => {
        ends.failed++
        // Never a TypeError, never something of the runtime.
        expect((error as Error).name).toBe('IopaError')
      }
    )
  const observe = async (): Promise<void> => {
    const abort = new AbortController()
    clock.setTimeout(() => abort.abort(), 3000)
    for await (const answer of client.observe('/o', { signal: abort.signal })) void answer
  }
  for (let i = 0; i < runs; i += 20) {
    const work = Array.from({ length: 20 }, (_, at) =>
      settled(
        at % 5 === 0
          ? observe()
          : at % 5 === 1
            ? client.put('/p', new Uint8Array(below(random, 5000)))
            : at % 5 === 2
              ? client.post('/q', 'x')
              : client.get('/g')
      )
    )
    await clock.runUntil(Promise.all(work))
  }
  await clock.advance(60_000)
  await clock.runUntil(app.close({ timeout: 100 }))
  await clock.runUntil(client.close())
  process.off('unhandledRejection', onFault)
  return { ends, faults, pending: () => clock.pending }
}

describe('a client against anything', () => {
  for (const scheme of ['coap', 'coap+tcp'] as const) {
    test(`settles ${runs} requests over ${scheme} whose server answers at random, never with a fault of its own`, {
      timeout: 60_000 + 20 * runs
    }, async () => {
      const { ends, faults, pending } = await exercise(scheme, seededRandom(5))
      expect(faults).toEqual([])
      expect(ends.answered + ends.failed).toBeGreaterThanOrEqual(runs)
      expect(ends.answered).toBeGreaterThan(runs / 20)
      expect(ends.failed).toBeGreaterThan(runs / 20)
      expect(pending()).toBe(0)
    })
  }
})
