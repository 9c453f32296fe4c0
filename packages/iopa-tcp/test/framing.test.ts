import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type FramingOption, framingOf } from '../src/framing-option.ts'
import { lineFraming } from '../src/line-framing.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (frame: Uint8Array): string => new TextDecoder().decode(frame)

/** The bytes of every frame that comes of the chunks, and of the end of the stream when `end`. */
const cut = (option: FramingOption, chunks: Iterable<Uint8Array>, { limit = 1024, end = false } = {}): Uint8Array[] => {
  const reader = framingOf(option).reader(limit)
  const frames: Uint8Array[] = []
  for (const chunk of chunks) {
    reader.push(chunk)
    for (let frame = reader.next(); frame; frame = reader.next()) frames.push(frame)
  }
  const last = end && reader.end()
  return (last ? [...frames, last] : frames).map(frame => new Uint8Array(frame))
}
const singly = (data: Uint8Array): Uint8Array[] => Array.from(data, byte => Uint8Array.of(byte))
const join = (pieces: readonly Uint8Array[]): Uint8Array => Uint8Array.from(pieces.flatMap(piece => [...piece]))
const framed = (option: FramingOption, payloads: readonly Uint8Array[]): Uint8Array => {
  const framing = framingOf(option)
  return join(payloads.flatMap(payload => [framing.prefix(payload.length), payload, framing.suffix].filter(piece => piece !== null)))
}
/** The same bytes in chunks that end at any place. */
const chunked = (data: Uint8Array, cuts: readonly number[]): Uint8Array[] => {
  const places = [...new Set(cuts.map(place => place % (data.length + 1)))].sort((a, b) => a - b)
  return [...places, data.length].map((place, i) => data.subarray(i ? places[i - 1] : 0, place))
}

const PREFIXED: FramingOption[] = ([1, 2, 4] as const).flatMap(size =>
  (['big', 'little'] as const).map(endian => ({ type: 'lengthPrefixed', bytes: size, endian }) as const)
)

describe('lines', () => {
  test('end at a line feed, with or without a preceding carriage return', () => {
    expect(cut('lines', [bytes('one\ntwo\r\n\nfo\rur\r\r\n')]).map(text)).toEqual(['one', 'two', '', 'fo\rur\r'])
  })

  test('may be split anywhere', () => {
    expect(cut('lines', singly(bytes('one\r\ntwo\n'))).map(text)).toEqual(['one', 'two'])
  })

  test('wait for their end, or for the end of the stream', () => {
    expect(cut('lines', [bytes('one\ntw'), bytes('o')]).map(text)).toEqual(['one'])
    expect(cut('lines', [bytes('one\ntw'), bytes('o\r')], { end: true }).map(text)).toEqual(['one', 'two'])
    expect(cut('lines', [bytes('one\n')], { end: true }).map(text)).toEqual(['one'])
  })

  test('pass up to the limit; longer ones get 413, complete or not', () => {
    expect(cut('lines', [bytes(`${'a'.repeat(8)}\n`)], { limit: 8 })).toHaveLength(1)
    for (const chunks of [
      [bytes('a'.repeat(10))],
      [bytes(`${'a'.repeat(10)}\n`)],
      singly(bytes('a'.repeat(10))),
      [bytes('a'.repeat(7)), bytes('aaa\n')]
    ]) {
      expect(() => cut('lines', chunks, { limit: 8 })).toThrow(expect.objectContaining({ status: 413, code: 'frame-too-long' }))
    }
  })

  test('over the limit do not affect earlier lines', () => {
    const reader = framingOf('lines').reader(4)
    reader.push(bytes('ok\ntoo long\n'))
    expect(text(reader.next()!)).toBe('ok')
    expect(() => reader.next()).toThrow(expect.objectContaining({ status: 413 }))
  })
})

describe('bag framing', () => {
  test('cuts lines and skips empty ones', () => {
    expect(cut('bag', [bytes('\n{}\r\n\r\n\n{"a":1}\n')]).map(text)).toEqual(['{}', '{"a":1}'])
    expect(cut('bag', singly(bytes('\n{}\r\n\r\n\n{"a":1}\n'))).map(text)).toEqual(['{}', '{"a":1}'])
  })
})

describe('length-prefixed frames', () => {
  test('have four bytes of length, big endian, by default', () => {
    expect(framed('lengthPrefixed', [bytes('abc')])).toEqual(Uint8Array.of(0, 0, 0, 3, 97, 98, 99))
    expect(framed({ type: 'lengthPrefixed', bytes: 2 }, [bytes('abc')])).toEqual(Uint8Array.of(0, 3, 97, 98, 99))
    expect(framed({ type: 'lengthPrefixed', bytes: 2, endian: 'little' }, [bytes('abc')])).toEqual(Uint8Array.of(3, 0, 97, 98, 99))
    expect(framed({ type: 'lengthPrefixed', bytes: 1 }, [bytes('abc')])).toEqual(Uint8Array.of(3, 97, 98, 99))
  })

  test('may be empty', () => {
    expect(cut('lengthPrefixed', [Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0)])).toEqual([new Uint8Array(), new Uint8Array()])
    expect(cut('lengthPrefixed', singly(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0)))).toEqual([new Uint8Array(), new Uint8Array()])
  })

  test('read the highest bit of four bytes as length, not as sign', () => {
    expect(() => cut('lengthPrefixed', [Uint8Array.of(0x80, 0, 0, 0)])).toThrow(expect.objectContaining({ status: 413 }))
  })

  test.each(PREFIXED)('get 413 as soon as a length over the limit is known: %j', option => {
    const over = framed(option, [new Uint8Array(9)])
    for (const chunks of [[over], singly(over), [over.subarray(0, over.length - 9)]]) {
      expect(() => cut(option, chunks, { limit: 8 })).toThrow(expect.objectContaining({ status: 413, code: 'frame-too-long' }))
    }
    expect(cut(option, [framed(option, [new Uint8Array(8)])], { limit: 8 })).toHaveLength(1)
  })

  test('get 400 when the stream ends within a frame', () => {
    expect(() => cut('lengthPrefixed', [Uint8Array.of(0, 0, 0, 3, 97)], { end: true })).toThrow(
      expect.objectContaining({ status: 400, code: 'frame-cut-off' })
    )
    expect(cut('lengthPrefixed', [Uint8Array.of(0, 0, 0, 1, 97)], { end: true })).toHaveLength(1)
  })

  test('refuse payloads longer than the prefix can express', () => {
    expect(framingOf({ type: 'lengthPrefixed', bytes: 1 }).maxPayload).toBe(255)
    expect(framingOf({ type: 'lengthPrefixed', bytes: 2 }).maxPayload).toBe(65_535)
    expect(framingOf('lengthPrefixed').maxPayload).toBe(4_294_967_295)
  })
})

describe('fixed frames', () => {
  test('have one size, wherever the chunks end', () => {
    expect(cut({ type: 'fixed', bytes: 3 }, [bytes('abcdefg'), bytes('hi'), bytes('j')]).map(text)).toEqual(['abc', 'def', 'ghi'])
    expect(() => cut({ type: 'fixed', bytes: 3 }, [bytes('ab')], { end: true })).toThrow(expect.objectContaining({ status: 400 }))
  })
})

describe('raw', () => {
  test('gives the chunks unchanged, split over the limit', () => {
    expect(cut('raw', [bytes('abc'), bytes('de')]).map(text)).toEqual(['abc', 'de'])
    expect(cut('raw', [bytes('abcdefg')], { limit: 3 }).map(text)).toEqual(['abc', 'def', 'g'])
  })
})

test('every framing returns what it wrote, wherever the chunks end', () => {
  for (const option of [...PREFIXED, 'lengthPrefixed', 'lines', { type: 'fixed', bytes: 5 }] as FramingOption[]) {
    const payload =
      option === 'lines'
        ? fc.uint8Array({ maxLength: 40 }).map(data => data.filter(byte => byte !== 10 && byte !== 13))
        : typeof option === 'object' && 'type' in option && option.type === 'fixed'
          ? fc.uint8Array({ minLength: 5, maxLength: 5 })
          : fc.uint8Array({ maxLength: 40 })
    fc.assert(
      fc.property(fc.array(payload, { maxLength: 20 }), fc.array(fc.nat(), { maxLength: 20 }), (payloads, cuts) => {
        const frames = cut(option, chunked(framed(option, payloads), cuts))
        expect(frames.map(frame => [...frame])).toEqual(payloads.map(frame => [...frame]))
      }),
      { numRuns: 60 }
    )
  }
})

test('ten thousand frames in one chunk are returned one by one', () => {
  expect(cut('lines', [bytes('x\n'.repeat(10_000))])).toHaveLength(10_000)
  expect(cut('lengthPrefixed', [framed('lengthPrefixed', Array(10_000).fill(bytes('x')))])).toHaveLength(10_000)
})

test('a frame of 1 MiB that arrives byte by byte is copied a bounded number of times', () => {
  const limit = 1024 * 1024
  for (const option of ['lines', 'lengthPrefixed'] as const) {
    const data = framed(option, [new Uint8Array(limit).fill(97)])
    const reader = framingOf(option).reader(limit)
    let copied = 0
    const set = Uint8Array.prototype.set
    Uint8Array.prototype.set = function (source: ArrayLike<number>, offset?: number) {
      copied += source.length
      set.call(this, source, offset)
    }
    let frame: Uint8Array | null = null
    try {
      for (let i = 0; i < data.length; i++) {
        reader.push(data.subarray(i, i + 1))
        frame = reader.next()
      }
    } finally {
      Uint8Array.prototype.set = set
    }
    expect(frame?.length).toBe(limit)
    expect(copied).toBeLessThan(4 * limit)
  }
})

test('a custom framing is used unchanged, and an unknown name is refused', () => {
  const own = { ...framingOf('raw'), name: 'own' }
  expect(framingOf(own)).toBe(own)
  expect(() => framingOf('nonsense' as 'raw')).toThrow(/bag, raw, lines, lengthPrefixed/)
  expect(() => framingOf({ type: 'lengthPrefixed', bytes: 3 as 2 })).toThrow(/1, 2 or 4/)
  expect(() => framingOf({ type: 'fixed', bytes: 0 })).toThrow(/positive/)
})

test('a line reader that skips returns the end of a line over the limit, and continues', () => {
  const long = `${'x'.repeat(1000)}${'0123456789'.repeat(30)}END`
  const bytes = Buffer.from(`one\n${long}\ntwo\r\n${'y'.repeat(41)}\n${'z'.repeat(40)}\nthree\n`)
  for (let size = 1; size < bytes.length; size += size < 50 ? 1 : 97) {
    const reader = lineFraming('lines', { empty: false }).reader(40, true)
    const frames: [string, boolean | undefined][] = []
    for (let at = 0; at < bytes.length; at += size) {
      reader.push(bytes.subarray(at, at + size))
      for (let frame = reader.next(); frame !== null; frame = reader.next()) frames.push([Buffer.from(frame).toString(), reader.overlong])
    }
    expect(frames).toEqual([
      ['one', false],
      [long.slice(-128), true],
      ['two', false],
      ['y'.repeat(41), true],
      ['z'.repeat(40), false],
      ['three', false]
    ])
  }
})

test('a line one byte over the limit is too long, unless that byte is a carriage return', () => {
  const reader = framingOf('lines').reader(4)
  reader.push(Buffer.from('1234\r\n'))
  expect(reader.next()?.length).toBe(4)
  reader.push(Buffer.from('12345\n'))
  expect(() => reader.next()).toThrow(expect.objectContaining({ status: 413 }))
})
