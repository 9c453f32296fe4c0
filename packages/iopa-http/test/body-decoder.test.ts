import { seededRandom } from '@iopa/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type BodyDecoder, ChunkedBody, SizedBody } from '../src/message/body-decoder.ts'
import { ByteCollector } from '../src/server/request-body.ts'

/** What a decoder makes of bytes that come in pieces of `size`, and how many of them it has taken. */
const decode = (decoder: BodyDecoder, text: string, size = text.length): { readonly body: string; readonly taken: number } => {
  const bytes = Buffer.from(text, 'latin1')
  let body = ''
  let taken = 0
  const sink = {
    push: (piece: Uint8Array): boolean => {
      body += Buffer.from(piece).toString('latin1')
      return true
    }
  }
  for (let from = 0; from < bytes.length && !decoder.done; from += size) taken += decoder.decode(bytes.subarray(from, from + size), 0, sink)
  return { body, taken }
}

const codeOf = (text: string, size?: number): unknown => {
  try {
    decode(new ChunkedBody(1000), text, size)
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'none'
}

describe('a body with a length', () => {
  test('ends at its length, wherever the bytes are cut', () => {
    for (const size of [1, 3, 100]) {
      const decoder = new SizedBody(5)
      expect(decode(decoder, 'helloGET /', size)).toEqual({ body: 'hello', taken: 5 })
      expect(decoder.done).toBe(true)
    }
  })
})

describe('a body in chunks', () => {
  test('returns the content of its chunks, wherever they and the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 40 })), fc.integer({ min: 1, max: 50 }), (chunks, size) => {
        const text = `${chunks.map(chunk => `${chunk.length.toString(16)};a="b\\"c"\r\n${chunk}\r\n`).join('')}0\r\nX: y\r\n\r\n`
        expect(decode(new ChunkedBody(1000), `${text}GET`, size)).toEqual({ body: chunks.join(''), taken: text.length })
      }),
      { numRuns: 300 }
    )
  })

  test('stops when its reader has enough, and continues from there', () => {
    const decoder = new ChunkedBody(1000)
    const bytes = Buffer.from('1\r\na\r\n1\r\nb\r\n0\r\n\r\n')
    const seen: string[] = []
    const sink = { push: (piece: Uint8Array): boolean => seen.push(String(piece)) === 0 }
    expect(decoder.decode(bytes, 0, sink)).toBe(4)
    expect(seen).toEqual(['a'])
    expect(decoder.decode(bytes, 4, sink)).toBe(10)
    expect(decoder.decode(bytes, 10, sink)).toBe(bytes.length)
    expect(decoder.done).toBe(true)
  })

  test('is refused if its framing is ambiguous', () => {
    const refused = [
      ['an empty size', '\r\n'],
      ['a sign', '+3\r\nabc\r\n'],
      ['a prefix', '0x3\r\nabc\r\n'],
      ['a space before the size', ' 3\r\nabc\r\n'],
      ['a space behind the size', '3 \r\nabc\r\n'],
      ['a space in an extension', '3; a\r\nabc\r\n'],
      ['a quoted string without its end', '3;a="b\r\nabc\r\n'],
      ['a size beyond all numbers', `${'f'.repeat(14)}\r\n`],
      ['LF behind the size', '3\nabc'],
      ['CR without LF', '3\rabc'],
      ['a chunk longer than its size', '3\r\nabcd\r\n'],
      ['LF behind the chunk', '3\r\nabc\n'],
      ['a control character', '3;\x01\r\n'],
      ['a trailer that is no field', '0\r\nx\r\n\r\n'],
      ['a trailer with a space before its colon', '0\r\nX : y\r\n\r\n'],
      ['a trailer with a deletion', '0\r\nX: \x7f\r\n\r\n'],
      ['a length as trailer', '0\r\nContent-Length: 3\r\n\r\n'],
      ['a coding as trailer', '0\r\nTransfer-Encoding: chunked\r\n\r\n'],
      ['a host as trailer', '0\r\nHost: a\r\n\r\n']
    ]
    for (const [name, text] of refused) for (const size of [1, 100]) expect(codeOf(text as string, size), name).toBe('malformed-request')
    for (const text of ['3;a\r\nabc\r\n', '3;a=b;c="d;e"\r\nabc\r\n', '000003\r\nabc\r\n', '0\r\nX:\ty\r\n\r\n'])
      expect(codeOf(text), text).toBe('none')
  })

  test('limits the bytes of discarded trailers and extensions', () => {
    expect(codeOf(`3;${'a'.repeat(17_000)}`)).toBe('chunk-extensions-too-large')
    expect(codeOf(`1;${'a'.repeat(100)}\r\nx\r\n`.repeat(170))).toBe('chunk-extensions-too-large')
    expect(codeOf(`1;${'a'.repeat(100)}\r\nx\r\n`.repeat(150))).toBe('none')
    expect(codeOf(`0\r\nX: ${'x'.repeat(1000)}`, 10)).toBe('headers-too-large')
    expect(codeOf(`0\r\n${'X: y\r\n'.repeat(200)}\r\n`)).toBe('headers-too-large')
  })
})

describe('gathered bytes', () => {
  test('are those of all pieces; a single piece is not copied, and none is overwritten', () => {
    const single = Uint8Array.of(1, 2, 3)
    const alone = new ByteCollector()
    alone.add(single)
    expect(alone.take()).toBe(single)

    const collector = new ByteCollector()
    const around = Uint8Array.of(0, 1, 2, 3, 9)
    collector.add(around.subarray(1, 4))
    for (let value = 4; value < 5000; value++) collector.add(Uint8Array.of(value))
    expect([...collector.take()]).toEqual(Array.from({ length: 4999 }, (_, at) => (at + 1) & 255))
    expect([...around]).toEqual([0, 1, 2, 3, 9])
    expect(collector.take().buffer.byteLength).toBeLessThan(20_000)
  })

  test('return pieces of every size in order, in a new array', () => {
    const random = seededRandom(7)
    for (let run = 0; run < 200; run++) {
      const pieces = Array.from({ length: Math.floor(random() * 40) }, () => {
        const size = [0, 1, 10, 1000, 4095, 4096, 20_000][Math.floor(random() * 7)] as number
        return new Uint8Array(size).fill(Math.floor(random() * 256))
      })
      const collector = new ByteCollector()
      for (const piece of pieces) collector.add(piece)
      const all = collector.take()
      expect(Buffer.compare(Buffer.concat(pieces), all), `run ${run}`).toBe(0)
      expect(collector.length).toBe(all.length)
      if (pieces.filter(({ length }) => length > 0).length > 1) expect(all.buffer.byteLength).toBe(all.length)
    }
  })

  test('hold little more than the bytes of small pieces, also between long ones', () => {
    const collector = new ByteCollector()
    const held = process.memoryUsage().arrayBuffers
    const long = new Uint8Array(4096)
    const one = new Uint8Array(1)
    for (let piece = 0; piece < 1000; piece++) {
      collector.add(long)
      for (let small = 0; small < 20; small++) collector.add(one)
    }
    // The long pieces are one array here.
    expect(process.memoryUsage().arrayBuffers - held).toBeLessThan(1e6)
    expect(collector.take().length).toBe(1000 * (4096 + 20))
  })
})
