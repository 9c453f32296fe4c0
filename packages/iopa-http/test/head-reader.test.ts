import { describe, expect, test } from 'vitest'
import { HeadReader } from '../src/message/head-reader.ts'
import type { RequestHead } from '../src/message/request-head.ts'

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')

/** The heads in a text that comes in pieces of `size` bytes. */
const heads = (text: string, size = text.length, limit = 16_384): RequestHead[] => {
  const reader = new HeadReader(limit)
  const found: RequestHead[] = []
  const all = bytes(text)
  for (let from = 0; from < all.length; from += size) {
    const piece = all.subarray(from, from + size)
    for (let at = 0; at < piece.length; ) {
      at = reader.read(piece, at)
      // The next head overwrites the record.
      if (reader.complete) found.push({ ...reader.head } as RequestHead)
    }
  }
  return found
}

const codeOf = (run: () => unknown): unknown => {
  try {
    run()
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'none'
}

const FULL =
  'POST /a?b HTTP/1.1\r\nHost: example.com\r\nAccept: a/b\r\nACCEPT:c/d\r\nExpect: \t100-continue \r\nConnection: Keep-Alive, close\r\nUpgrade: x\r\ncontent-length: 7\r\nX-Latin: \xe9\r\n\r\n'

describe('HeadReader', () => {
  test('returns the line, the fields as written, and the framing', () => {
    const [head] = heads(FULL)
    expect(head).toMatchObject({ method: 'POST', target: '/a?b', minor: 1 })
    expect(head?.fields.pairs.slice(0, 8)).toEqual(['Host', 'example.com', 'Accept', 'a/b', 'ACCEPT', 'c/d', 'Expect', '100-continue'])
    expect(head?.fields).toMatchObject({ host: 'example.com', hosts: 1, accept: 'a/b, c/d', expectation: '100-continue', length: 7, coding: '' })
    expect(head?.fields).toMatchObject({ closes: true, keepsAlive: true })
    expect(head?.fields.pairs.at(-1)).toBe('\xe9')
  })

  test('returns the same wherever the head is cut, also at the ends of its windows', () => {
    const long = `GET / HTTP/1.0\r\n${Array.from({ length: 90 }, (_, at) => `X-${at}: ${'v'.repeat(97)}\r\n`).join('')}\r\n`
    for (const text of [FULL, long, FULL + FULL + long + FULL, `\r\n\r\n${FULL}`]) {
      const whole = heads(text)
      expect(whole.length).toBeGreaterThan(0)
      for (const size of [1, 2, 3, 7, 100, 4095, 4096, 4097]) expect(heads(text, size)).toEqual(whole)
    }
  })

  test('reports a precondition, wherever the head is cut', () => {
    const conditional = (field: string, size?: number): boolean[] =>
      heads(`PUT / HTTP/1.1\r\nHost: a\r\n${field}\r\n\r\n`.repeat(2), size).map(({ fields }) => fields.conditional)
    for (const size of [1, 7, undefined]) {
      for (const name of ['If-Match', 'if-none-match', 'If-Modified-Since', 'IF-UNMODIFIED-SINCE'])
        expect([name, size, conditional(`${name}: x`, size)]).toEqual([name, size, [true, true]])
      for (const name of ['If-Range', 'If-Matches', 'Transfer-Unknown']) expect(conditional(`${name}: x`, size)).toEqual([false, false])
    }
  })

  test('shares the frozen fields of a repeated head', () => {
    const [first, second, third] = heads(`${FULL}${FULL}${FULL.replace('/a', '/b').replace('example', 'elsewhere')}`)
    expect(second?.fields).toBe(first?.fields)
    expect(third).toMatchObject({ target: '/b?b', fields: { host: 'elsewhere.com' } })
    expect(Object.isFrozen(first?.fields.pairs)).toBe(true)
  })

  test('parses a head again that begins like the previous one and differs later', () => {
    const text = 'GET / HTTP/1.1\r\nA: b\r\n\r\n'
    const found = heads(`${text}GET / HTTP/1.1\r\nA: b\r\nC: d\r\n\r\n${text}GET / HTTP/1.1\r\nA: bc\r\n\r\nGET / HTTP/1.1\r\n\r\n`)
    expect(found.map(head => head.fields.pairs.join())).toEqual(['A,b', 'A,b,C,d', 'A,b', 'A,bc', ''])
  })

  test('reads a head of exactly the limit, and refuses one byte more before its end', () => {
    const head = (length: number): string => `GET / HTTP/1.1\r\nX: ${'x'.repeat(length - 23)}\r\n\r\n`
    for (const size of [1, 50, 10_000]) {
      expect(heads(head(6000), size, 6000)).toHaveLength(1)
      expect(codeOf(() => heads(head(6001), size, 6000))).toBe('headers-too-large')
      expect(codeOf(() => heads(head(9000).slice(0, 6001), size, 6000))).toBe('headers-too-large')
    }
  })

  test('takes time proportional to the length for a head byte by byte', () => {
    const lines = `GET / HTTP/1.1\r\n${`X: ${'x'.repeat(1000)}\r\n`.repeat(250)}X: ${'x'.repeat(500_000)}\r\n\r\n`
    const begun = performance.now()
    expect(heads(lines, 1, 1e6)).toHaveLength(1)
    // Looking at all that is there for each byte would be 280 thousand million steps.
    expect(performance.now() - begun).toBeLessThan(10_000)
  })

  test('refuses at the first wrong byte, not at the end', () => {
    for (const begin of [
      '\x16',
      'GET /\n',
      'GET / HTTP/1.1\r\nA: b\n',
      'GET / HTTP/1.1\r\nA: \0',
      'GET / HTTP/1.1\rX',
      'get / HTTP/1.1\r\n',
      'GET / HTTP/1.1\r\nA : b\r\n'
    ]) {
      for (const size of [1, 100])
        expect(
          codeOf(() => heads(begin, size)),
          JSON.stringify(begin)
        ).toBe('malformed-request')
    }
  })

  test('skips a few empty lines before a head', () => {
    expect(heads(`${'\r\n'.repeat(4)}${FULL}`)).toHaveLength(1)
    expect(codeOf(() => heads(`${'\r\n'.repeat(5)}${FULL}`))).toBe('malformed-request')
    expect(heads(`${FULL}${'\r\n'.repeat(4)}${FULL}${'\r\n'.repeat(4)}`)).toHaveLength(2)
  })

  test('completes a head only with its last byte', () => {
    const reader = new HeadReader(1000)
    expect(reader.begun).toBe(false)
    for (const character of FULL.slice(0, -1)) {
      reader.read(bytes(character), 0)
      expect([reader.begun, reader.complete]).toEqual([true, false])
    }
    reader.read(bytes('\n'), 0)
    expect([reader.begun, reader.complete, reader.head.method]).toEqual([false, true, 'POST'])
  })

  test('refuses unsupported versions', () => {
    for (const [version, code] of [
      ['HTTP/1.2', 'http-version'],
      ['HTTP/0.9', 'http-version'],
      ['HTTP/2.0', 'http-version'],
      ['http/1.1', 'malformed-request'],
      ['HTTP/1.10', 'malformed-request'],
      ['HTTP/1.1 ', 'malformed-request'],
      [' HTTP/1.1', 'malformed-request']
    ]) {
      expect(
        codeOf(() => heads(`GET / ${version}\r\n\r\n`)),
        version
      ).toBe(code)
    }
  })

  test('accepts one numeric length', () => {
    const length = (value: string): unknown => codeOf(() => heads(`POST / HTTP/1.1\r\nContent-Length:${value}\r\n\r\n`))
    for (const value of ['3', ' 3', ' 003', '  3  ', '\t3', ' 9007199254740991']) expect(length(value), value).toBe('none')
    for (const value of ['', '-3', '3a', '3 3', '3,3', '0x3', '3e1', ' 3\t']) expect(length(value), value).toBe('malformed-request')
    expect(length(' 9007199254740992')).toBe('body-too-large')
  })
})
