import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EventParser, type ServerEvent } from '../src/events/event-parser.ts'

const parse = (text: string, sizes: readonly number[] = []): ServerEvent[] => {
  const parser = new EventParser(10_000)
  const bytes = new TextEncoder().encode(text)
  const events: ServerEvent[] = []
  let from = 0
  for (const size of [...sizes, bytes.length]) {
    events.push(...parser.push(bytes.subarray(from, from + size)))
    from += size
  }
  return events
}

const data = (text: string): string[] => parse(text).map(event => event.data)

// The examples of HTML section 9.2.6, and its rules one by one.
describe('an event stream', () => {
  test('joins the data lines of an event by LF', () => expect(data('data: YHOO\ndata: +2\ndata: 10\n\n')).toEqual(['YHOO\n+2\n10']))
  test('ignores comments and unknown fields', () => expect(data(': test\ndata: a\nfoo: bar\nid\n\n')).toEqual(['a']))
  test('removes one space before a value', () => expect(data('data:test\n\ndata: test\n\ndata:  test\n\n')).toEqual(['test', 'test', ' test']))
  test('gives events with empty data, and none without data', () =>
    expect(data('data\n\ndata\ndata\n\nevent: x\n\nid: 1\n\ndata:')).toEqual(['', '\n']))
  test('ends lines with CR, LF or both', () => expect(data('data: a\rdata: b\r\n\r\ndata: c\n\r\n:')).toEqual(['a\nb', 'c']))
  test('drops an event without a final empty line', () => expect(data('data: a\n\ndata: b\n')).toEqual(['a']))
  test('skips a byte order mark', () => expect(data('\uFEFFdata: a\n\n')).toEqual(['a']))

  test('keeps the last id, names events, and forgets the name', () => {
    expect(parse('id: 1\nevent: add\ndata: a\n\ndata: b\n\nid\ndata: c\n\nid: x\0y\ndata: d\n\n')).toMatchObject([
      { id: '1', name: 'add', data: 'a' },
      { id: '1', name: 'message', data: 'b' },
      { id: '', name: 'message', data: 'c' },
      { id: '', name: 'message', data: 'd' }
    ])
  })

  test('accepts only digits in retry', () => {
    const parser = new EventParser(100)
    parser.push(new TextEncoder().encode('retry: 50\nretry: x\nretry: -1\nretry: 1e3\n'))
    expect(parser.retry).toBe(50)
  })

  test('gives the same events wherever its bytes are cut', () => {
    const line = fc.oneof(fc.constant(''), fc.stringMatching(/^(?:data|id|event|retry|:x|content-type): ?[ -~küñ€😀]*$/u))
    fc.assert(
      fc.property(fc.array(fc.tuple(line, fc.constantFrom('\n', '\r', '\r\n'))), fc.array(fc.integer({ min: 0, max: 9 })), (lines, sizes) => {
        const text = `${lines.map(([content, end]) => content + end).join('')}\n`
        expect(parse(text, sizes)).toEqual(parse(text))
      }),
      { numRuns: 300 }
    )
  })

  test('refuses an event over the limit, in one line or in many', () => {
    expect(() => parse(`data: ${'x'.repeat(20_000)}\n\n`)).toThrow(RangeError)
    expect(() => parse('data: x\n'.repeat(9_000))).toThrow(RangeError)
    expect(() => parse(':'.repeat(20_000))).toThrow(RangeError)
    expect(parse('data: x\n\n'.repeat(9_000))).toHaveLength(9_000)
  })
})
