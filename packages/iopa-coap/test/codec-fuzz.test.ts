import { seededRandom } from '@iopa/testing'
import { generate, parse } from 'coap-packet'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatCode } from '../src/codec/codes.ts'
import { decode, encode, isMalformed } from '../src/codec/datagram-codec.ts'
import type { Message } from '../src/codec/message.ts'
import { Options } from '../src/codec/options.ts'
import { mutate, validDatagram } from './mutation.ts'

const runs = Number(process.env['IOPA_FUZZ'] ?? 10_000)
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

const plain = (message: Message) => ({
  type: message.type,
  code: message.code,
  id: message.id,
  token: hex(message.token),
  options: [...message.options].map(([number, value]) => `${number}:${hex(value)}`),
  payload: hex(message.payload)
})

const anyMessage = fc
  .record({
    type: fc.integer({ min: 0, max: 3 }),
    code: fc.integer({ min: 1, max: 255 }),
    id: fc.integer({ min: 0, max: 65_535 }),
    token: fc.uint8Array({ maxLength: 8 }),
    options: fc.array(fc.tuple(fc.integer({ min: 0, max: 65_535 }), fc.uint8Array({ maxLength: 700 })), { maxLength: 8 }),
    payload: fc.uint8Array({ maxLength: 1400 })
  })
  .map(message => ({ ...message, options: message.options.reduce((all, [number, value]) => all.add(number, value), new Options()) }))

describe('the codec against anything', () => {
  test('gives back every message that it wrote', () => {
    fc.assert(
      fc.property(anyMessage, message => {
        const read = decode(encode(message))
        expect(isMalformed(read)).toBe(false)
        expect(plain(read as Message)).toEqual(plain(message))
      }),
      { numRuns: 500 }
    )
  })

  test(`never throws on mutated datagrams, and what it reads it writes as it was (${runs})`, { timeout: 15_000 + runs / 5 }, () => {
    const random = seededRandom(7252)
    let read = 0
    let other = validDatagram(random)
    for (let i = 0; i < runs; i++) {
      const datagram = validDatagram(random)
      const mutant = mutate(datagram, other, random)
      other = datagram
      const message = decode(mutant)
      if (isMalformed(message)) {
        expect(message.id).toBeLessThan(65_536)
        continue
      }
      read++
      // Equal but for a longer form of a delta or a length, which no sender has a reason to choose.
      const written = encode(message)
      if (written.length === mutant.length) {
        if (hex(written) !== hex(mutant)) expect(plain(decode(written) as Message)).toEqual(plain(message))
      } else expect(plain(decode(written) as Message)).toEqual(plain(message))
    }
    expect(read).toBeGreaterThan(runs / 4)
    expect(read).toBeLessThan(runs)
  })
})

describe('the codec beside coap-packet', () => {
  // coap-packet knows options by name and by number; both give the same bytes.
  const isReadable = ({ type, code }: Message): boolean => code >> 5 !== 7 && type <= 3

  test('reads what coap-packet writes', () => {
    fc.assert(
      fc.property(anyMessage.filter(isReadable), message => {
        const bytes = generate(
          {
            code: formatCode(message.code),
            messageId: message.id,
            token: Buffer.from(message.token),
            payload: Buffer.from(message.payload),
            options: [...message.options].map(([number, value]) => ({ name: number as unknown as 'ETag', value: Buffer.from(value) })),
            confirmable: message.type === 0,
            ack: message.type === 2,
            reset: message.type === 3
          },
          70_000
        )
        const read = decode(bytes)
        expect(isMalformed(read)).toBe(false)
        expect(plain(read as Message)).toEqual(plain(message))
      }),
      { numRuns: 500 }
    )
  })

  test('writes what coap-packet reads', () => {
    fc.assert(
      fc.property(anyMessage.filter(isReadable), message => {
        const read = parse(Buffer.from(encode(message)))
        expect(read.messageId).toBe(message.id)
        expect(read.code).toBe(formatCode(message.code))
        expect(hex(read.token)).toBe(hex(message.token))
        expect(hex(read.payload)).toBe(hex(message.payload))
        expect(read.options.map(({ value }) => hex(value))).toEqual([...message.options].map(([, value]) => hex(value)))
        expect([read.confirmable, read.ack, read.reset]).toEqual([message.type === 0, message.type === 2, message.type === 3])
      }),
      { numRuns: 500 }
    )
  })
})
