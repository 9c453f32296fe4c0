import { checkPath, decodePath, encodePath, joinPath } from '@iopa/context/host'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

const statusOf = (run: () => unknown): number | undefined => {
  try {
    run()
    return undefined
  } catch (error) {
    return (error as { status: number }).status
  }
}

describe('the canonical path', () => {
  test.each([
    ['/', '/'],
    ['/a/b', '/a/b'],
    ['/a/', '/a/'],
    ['/a%20b/%C3%A4', '/a b/ä'],
    ['/app.min.js', '/app.min.js'],
    ['/a../..b/c.', '/a../..b/c.'],
    ['/...', '/...'],
    ['/.well-known/core', '/.well-known/core'],
    ['/a%3Fb', '/a?b'],
    ['/%2541', '/%41']
  ])('decodes %s once', (raw, path) => {
    expect(decodePath(raw)).toBe(path)
  })

  test.each([
    '',
    'a',
    '/a//b',
    '//a',
    '/%E0%A4%A',
    '/%',
    '/%zz',
    '/%00',
    '/a%00b',
    '/\0',
    '/%2e%2e',
    '/..',
    '/a/../b',
    '/a.b/..',
    '/a.b/.',
    '/a.b/./c',
    '/a.b//c',
    '/a./%2e',
    '/./a',
    '/%2E',
    '/a%2Fb',
    '/a%5Cb',
    '/a\\b',
    '/%C0%AF',
    '/%ED%A0%80'
  ])('refuses %j with 400', raw => {
    expect(statusOf(() => decodePath(raw))).toBe(400)
  })

  test('refuses too many segments and too long ones with 414', () => {
    expect(statusOf(() => decodePath('/a'.repeat(64)))).toBeUndefined()
    expect(statusOf(() => decodePath('/a'.repeat(65)))).toBe(414)
    expect(statusOf(() => decodePath('/a'.repeat(1000)))).toBe(414)
    expect(statusOf(() => decodePath(`/${'a'.repeat(1024)}`))).toBeUndefined()
    expect(statusOf(() => decodePath(`/${'a'.repeat(1025)}`))).toBe(414)
    expect(statusOf(() => decodePath(`/${'%41'.repeat(1024)}`))).toBeUndefined()
    expect(statusOf(() => decodePath('/'.padEnd(10_000_000, 'a')))).toBe(414)
  })

  test('never decodes a path that is not encoded, and holds it to the same rules', () => {
    expect(checkPath('/100%')).toBe('/100%')
    for (const path of ['a', '//', '/a//b', '/..', '/a\\b', '/\0', '/\ud800']) expect(statusOf(() => checkPath(path))).toBe(400)
  })

  test('joins decoded segments, of which none may hold a slash', () => {
    expect(joinPath([])).toBe('/')
    expect(joinPath(['a', ''])).toBe('/a/')
    expect(statusOf(() => joinPath(['a/b']))).toBe(400)
    expect(statusOf(() => joinPath(['', 'a']))).toBe(400)
  })

  test('encodes to what it decodes from', () => {
    const segment = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
      .filter(text => !/[/\\\0]/.test(text) && text !== '.' && text !== '..' && text.isWellFormed())
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 8 }), segments => {
        const path = joinPath(segments)
        expect(decodePath(encodePath(path))).toBe(path)
        expect(checkPath(path)).toBe(path)
      })
    )
  })

  test('gives a path or an error of 400 or 414 for any text', () => {
    // Code points by themselves: `fc.string({ unit: 'binary' })` first builds a table of all of them, for two seconds.
    const text = fc.array(fc.integer({ min: 0, max: 0x10ffff })).map(points => String.fromCodePoint(...points))
    fc.assert(
      fc.property(text, raw => {
        expect([undefined, 400, 414]).toContain(statusOf(() => decodePath(`/${raw}`)))
      })
    )
  })
})
