import { formatHttpDate, parseHttpDate } from '@iopa/appbuilder/extension'
import { describe, expect, test } from 'vitest'
import { asksForWhole, evaluateConditions, rangeApplies } from '../src/conditions.ts'

const modified = Date.UTC(2024, 4, 17, 12, 30, 15, 640)
const strong = { etag: '"abc"', lastModified: modified }
const weak = { etag: 'W/"abc"', lastModified: modified }
const untagged = { etag: undefined, lastModified: modified }
const exact = formatHttpDate(modified)
const earlier = formatHttpDate(modified - 1000)
const later = formatHttpDate(modified + 1000)

const verdict = (headers: Record<string, string>, current = strong as Parameters<typeof evaluateConditions>[1]) =>
  evaluateConditions(new Map(Object.entries(headers)), current)
const applies = (ifRange: string, current = strong as Parameters<typeof rangeApplies>[1]) => rangeApplies(new Map([['if-range', ifRange]]), current)

describe('asksForWhole', () => {
  const asks = (...pairs: string[]) => asksForWhole({ get: () => undefined, pairs: () => pairs })

  test('is false for a request with a precondition or range, in any case of letters', () => {
    expect(asks()).toBe(true)
    expect(asks('Host', 'x', 'Accept-Encoding', 'gzip', 'Cookie', 'a', 'X-Other', 'If-Match', 'Date', 'Range')).toBe(true)
    for (const name of ['Range', 'If-Match', 'If-Range', 'If-None-Match', 'If-Modified-Since', 'If-Unmodified-Since']) {
      for (const written of [name, name.toLowerCase(), name.toUpperCase()]) expect(asks('Host', 'x', written, 'x'), written).toBe(false)
    }
  })

  test('checks the fields of requests without a header list', () => expect(asksForWhole({ get: () => undefined })).toBe(false))
})

describe('preconditions', () => {
  test('send the file without conditions', () => expect(verdict({})).toBe(200))

  test('answer 304 for If-None-Match with the tag, a list with it, or *', () => {
    for (const value of ['"abc"', 'W/"abc"', '"x", "abc"', '"a,b",W/"abc"', '*', ' * ']) expect(verdict({ 'if-none-match': value }), value).toBe(304)
    for (const value of ['"x"', 'abc', '""', '"ab"', '', '"abc']) expect(verdict({ 'if-none-match': value }), value).toBe(200)
  })

  test('compare If-None-Match weakly', () => {
    expect(verdict({ 'if-none-match': '"abc"' }, weak)).toBe(304)
    expect(verdict({ 'if-none-match': 'W/"abc"' }, weak)).toBe(304)
  })

  test('match only * when the file has no tag', () => {
    expect(verdict({ 'if-none-match': '"abc"' }, untagged)).toBe(200)
    expect(verdict({ 'if-none-match': '*' }, untagged)).toBe(304)
    expect(verdict({ 'if-match': '"abc"' }, untagged)).toBe(412)
    expect(verdict({ 'if-match': '*' }, untagged)).toBe(200)
  })

  test('send for If-Match with the tag, a list with it, or *; answer 412 otherwise', () => {
    for (const value of ['"abc"', '*', ' "bar", "abc"', '"abc", "foo"', '"foo",, "abc" ,']) expect(verdict({ 'if-match': value }), value).toBe(200)
    for (const value of ['"foo"', '  "foo",, "bar" ,', 'abc', '']) expect(verdict({ 'if-match': value }), value).toBe(412)
  })

  test('compare If-Match strongly', () => {
    expect(verdict({ 'if-match': 'W/"abc"' })).toBe(412)
    expect(verdict({ 'if-match': 'W/"abc"' }, weak)).toBe(412)
    expect(verdict({ 'if-match': '"abc"' }, weak)).toBe(412)
  })

  test('compare If-Modified-Since in seconds', () => {
    expect(verdict({ 'if-modified-since': exact })).toBe(304)
    expect(verdict({ 'if-modified-since': later })).toBe(304)
    expect(verdict({ 'if-modified-since': earlier })).toBe(200)
  })

  test('compare If-Unmodified-Since in seconds', () => {
    expect(verdict({ 'if-unmodified-since': exact })).toBe(200)
    expect(verdict({ 'if-unmodified-since': later })).toBe(200)
    expect(verdict({ 'if-unmodified-since': earlier })).toBe(412)
  })

  test('ignore an invalid date', () => {
    for (const date of [
      '2099',
      'tomorrow',
      '',
      '1',
      'Fri, 17 May 2099 12:30:15 +0000',
      'Fri, 17 may 2099 12:30:15 GMT',
      'Fri, 17 May 2099 25:30:15 GMT'
    ]) {
      expect(verdict({ 'if-modified-since': date }), date).toBe(200)
      expect(verdict({ 'if-unmodified-since': date }), date).toBe(200)
    }
  })

  test('prefer a tag condition to a date condition', () => {
    expect(verdict({ 'if-none-match': '"x"', 'if-modified-since': later })).toBe(200)
    expect(verdict({ 'if-match': '"abc"', 'if-unmodified-since': earlier })).toBe(200)
  })

  test('prefer 412 to 304', () => {
    expect(verdict({ 'if-match': '"x"', 'if-none-match': '"abc"' })).toBe(412)
    expect(verdict({ 'if-unmodified-since': earlier, 'if-none-match': '"abc"' })).toBe(412)
  })

  test('allow a range with If-Range only for exactly this representation', () => {
    expect(rangeApplies(new Map(), strong)).toBe(true)
    expect(applies('"abc"')).toBe(true)
    expect(applies('"abcd"')).toBe(false)
    expect(applies('W/"abc"')).toBe(false)
    expect(applies('W/"abc"', weak)).toBe(false)
    expect(applies('"abc"', untagged)).toBe(false)
    expect(applies(exact)).toBe(true)
    expect(applies(later)).toBe(false)
    expect(applies(earlier)).toBe(false)
    expect(applies('nonsense')).toBe(false)
  })

  test('take no noticeable time for hostile headers', () => {
    const begin = performance.now()
    for (const value of ['"'.repeat(16_000), 'W/'.repeat(8_000), '"a",'.repeat(4_000), 'W/"'.repeat(5_000)]) {
      verdict({ 'if-none-match': value })
      verdict({ 'if-match': value })
      applies(value)
    }
    expect(performance.now() - begin).toBeLessThan(200)
  })
})

describe('HTTP-dates', () => {
  test('parse to the same instant in the three forms of RFC 9110', () => {
    const time = Date.UTC(1994, 10, 6, 8, 49, 37)
    for (const text of ['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994'])
      expect(parseHttpDate(text), text).toBe(time)
    expect(formatHttpDate(time)).toBe('Sun, 06 Nov 1994 08:49:37 GMT')
  })

  test('put a two-digit year far in the future into the past', () => {
    expect(new Date(parseHttpDate('Sunday, 06-Nov-99 08:49:37 GMT')!).getUTCFullYear()).toBe(1999)
  })
})
