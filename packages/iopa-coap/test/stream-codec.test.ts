import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CODE } from '../src/codec/codes.ts'
import type { ReceivedMessage } from '../src/codec/message.ts'
import { type Message, TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { Options } from '../src/codec/options.ts'
import { encodeFrame, FrameReader, isMessage, sizeOfFrame } from '../src/codec/stream-codec.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
const message = (code: number, payload: number | Uint8Array = 0, token = '', options = new Options()): Message => ({
  type: TYPE.NON,
  id: 0,
  code,
  token: unhex(token),
  options,
  payload: typeof payload === 'number' ? new Uint8Array(payload).fill(7) : payload
})
const same = (received: unknown, sent: Message): void => {
  const { code, token, options, payload } = received as ReceivedMessage
  expect([code, hex(token), [...options].map(([number, value]) => [number, hex(value)]), hex(payload)]).toEqual([
    sent.code,
    hex(sent.token),
    [...sent.options].map(([number, value]) => [number, hex(value)]),
    hex(sent.payload)
  ])
}

describe('frames over a byte stream (RFC 8323 section 3.2)', () => {
  test('writes the length of options and payload, not of code and token', () => {
    expect(hex(encodeFrame(message(CODE.GET)))).toBe('0001')
    expect(hex(encodeFrame(message(CODE.CONTENT, 0, 'aabb')))).toBe('0245aabb')
    // The CSM that libcoap opens with: Max-Message-Size 8388864 and Block-Wise-Transfer.
    expect(hex(encodeFrame(message(CODE.CSM, 0, '', new Options().add(2, 8388864).add(4))))).toBe('50e12380010020')
  })

  test.each([
    [12, 2],
    [13, 3],
    [268, 3],
    [269, 4],
    [65804, 4],
    [65805, 6],
    [70000, 6]
  ])('takes the form of the length that %d bytes need', (body, overhead) => {
    const sent = message(CODE.CONTENT, body - 1)
    const bytes = encodeFrame(sent)
    expect(bytes.length).toBe(body + overhead)
    expect(sizeOfFrame(sent)).toBe(bytes.length)
    const frames = new FrameReader(100_000).push(bytes)
    expect(frames).toHaveLength(1)
    same(frames[0], sent)
  })

  test('gives back every message, however the stream is cut', () => {
    const option = fc.tuple(fc.constantFrom(OPTION.URI_PATH, OPTION.URI_QUERY, OPTION.ETAG, 2049, 65000), fc.uint8Array({ maxLength: 300 }))
    const any = fc
      .record({
        code: fc.integer({ min: 1, max: 255 }),
        token: fc.uint8Array({ maxLength: 8 }),
        options: fc.array(option, { maxLength: 4 }),
        payload: fc.oneof(
          fc.uint8Array({ maxLength: 40 }),
          fc.integer({ min: 0, max: 70_000 }).map(length => new Uint8Array(length).fill(0xff))
        )
      })
      .map(
        ({ code, token, options, payload }): Message => ({
          type: TYPE.NON,
          id: 0,
          code,
          token,
          payload,
          options: options.reduce((all, [number, value]) => all.add(number, value), new Options())
        })
      )
    fc.assert(
      fc.property(fc.array(any, { maxLength: 5 }), fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 20 }), (messages, cuts) => {
        const stream = Buffer.concat(messages.map(encodeFrame))
        const reader = new FrameReader(200_000)
        const frames = []
        for (let at = 0, i = 0; at < stream.length; i++) {
          const end = at + cuts[i % cuts.length]!
          frames.push(...reader.push(Uint8Array.from(stream.subarray(at, end))))
          at = end
        }
        expect(frames).toHaveLength(messages.length)
        for (const [i, sent] of messages.entries()) same(frames[i], sent)
        expect(reader.buffered).toBe(0)
      }),
      { numRuns: 60 }
    )
  })

  test('waits for the last byte of a frame that comes byte by byte', () => {
    const bytes = encodeFrame(message(CODE.PUT, 300, '0102030405060708'))
    const reader = new FrameReader(1152)
    for (const byte of bytes.subarray(0, -1)) expect(reader.push(Uint8Array.of(byte))).toEqual([])
    expect(reader.push(bytes.subarray(-1))).toHaveLength(1)
  })

  test('skips a frame over the limit, tells its code and token, and reads on behind it', () => {
    const reader = new FrameReader(1152)
    const large = encodeFrame(message(CODE.POST, 5000, 'abcd'))
    const small = encodeFrame(message(CODE.GET, 0, '01'))
    const stream = Buffer.concat([small, large, small])
    const frames = [...reader.push(Uint8Array.from(stream.subarray(0, 1200))), ...reader.push(Uint8Array.from(stream.subarray(1200)))]
    expect(frames.map(frame => isMessage(frame))).toEqual([true, false, true])
    expect(frames[1]).toEqual({ oversized: true, code: CODE.POST, token: unhex('abcd'), size: large.length })
    expect(reader.buffered).toBe(0)
  })

  test('holds nothing of a frame that claims four gigabytes', () => {
    const reader = new FrameReader(1152)
    expect(reader.push(unhex('f0ffffffff02'))).toEqual([expect.objectContaining({ oversized: true, size: 0xffffffff + 65805 + 6 })])
    for (let i = 0; i < 100; i++) expect(reader.push(new Uint8Array(65536))).toEqual([])
    expect(reader.buffered).toBe(0)
  })

  test.each([
    ['a reserved token length', '0f01'],
    ['an option that ends behind the frame', '2001b401'],
    ['a reserved option nibble', '1001f0'],
    ['a payload marker without payload', '1001ff']
  ])('gives up at %s and takes nothing after it', (_, bytes) => {
    const reader = new FrameReader(1152)
    const frames = reader.push(Uint8Array.from(Buffer.concat([unhex('0001'), unhex(bytes), unhex('0001')])))
    expect(frames).toHaveLength(2)
    expect(frames[1]).toEqual({ malformed: expect.any(String) })
    expect(reader.push(unhex('0001'))).toEqual([])
  })

  test('takes any bytes without throwing, and holds no more than one frame', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 50 }), chunks => {
        const reader = new FrameReader(64)
        for (const chunk of chunks) reader.push(chunk)
        expect(reader.buffered).toBeLessThanOrEqual(64)
      }),
      { numRuns: 2000 }
    )
  })
})
