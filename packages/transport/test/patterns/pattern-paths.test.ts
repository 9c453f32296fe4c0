import { encodePath, expandPattern, matchPattern, parsePattern } from '@iopa/transport'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

const match = (pattern: string, path: string) => {
  const params = matchPattern(parsePattern(pattern), path)
  return params && { ...params }
}
const expand = (pattern: string, values: Record<string, string | number | undefined> = {}): string => expandPattern(parsePattern(pattern), values)

describe('matchPattern', () => {
  test.each([
    ['/', '/', {}],
    ['/lights', '/lights', {}],
    ['/lights', '/lights/', undefined],
    ['/lights/', '/lights/', {}],
    ['/lights/:id', '/lights/hall', { id: 'hall' }],
    ['/lights/:id', '/lights/', undefined],
    ['/lights/{id:[0-9]+}', '/lights/12', { id: '12' }],
    ['/lights/{id:[0-9]+}', '/lights/x', undefined],
    ['/{lang:en|de}?/lights', '/lights', {}],
    ['/{lang:en|de}?/lights', '/de/lights', { lang: 'de' }],
    ['/{lang:en|de}?/{page}', '/en', { page: 'en' }],
    ['/{a}?/{b}?', '/1', { a: '1' }],
    // As in a router, literal text comes before a parameter.
    ['/{a}?/x/{b}?', '/x/x', { b: 'x' }],
    ['/files/{rest*}', '/files', undefined],
    ['/files/{rest*}', '/files/', { rest: '' }],
    ['/files/{rest*}?', '/files', {}],
    ['/files/*', '/files/a/b', { '*': 'a/b' }],
    ['/{__proto__}', '/x', { ['__proto__']: 'x' }],
    ['/a', 'a', undefined],
    ['/:id', `/${'x'.repeat(1025)}`, undefined],
    ['/*', '/a'.repeat(65), undefined]
  ])('matches %s with %s: %j', (pattern, path, expected) => {
    expect(match(pattern, path)).toEqual(expected)
  })
})

describe('expandPattern', () => {
  test.each([
    ['/', {}, '/'],
    ['/lights/:id', { id: 'hall' }, '/lights/hall'],
    ['/lights/:id', { id: 12 }, '/lights/12'],
    ['/lights/:id', { id: 'grün 1%' }, '/lights/grün 1%'],
    ['/lights/{id}?', {}, '/lights'],
    ['/{id}?', {}, '/'],
    ['/{lang:en|de}?/lights', { lang: undefined }, '/lights'],
    ['/files/{rest*}', { rest: 'a/b' }, '/files/a/b'],
    ['/files/{rest*}', { rest: '' }, '/files/']
  ])('expands %s with %j to %s', (pattern, values, path) => {
    expect(expand(pattern, values)).toBe(path)
  })

  test.each([
    ['/lights/:id', {}, /'id' is missing/],
    ['/lights/:id', { id: '' }, /'id' is text within one segment/],
    ['/lights/:id', { id: 'a/b' }, /'id' is text within one segment/],
    ['/lights/:id', { id: '..' }, /segment '\.' or '\.\.'/],
    ['/lights/:id', { id: 'a\0' }, /NUL/],
    ['/lights/:id', { id: '\ud800' }, /not valid Unicode/],
    ['/lights/{id:[0-9]+}', { id: 'x' }, /'id' does not match \[0-9\]\+/],
    ['/lights/:toString', {}, /'toString' is missing/],
    ['/files/{rest*}', { rest: 'a//b' }, /empty segment/],
    ['/files/{rest*}', { rest: '../b' }, /segment '\.' or '\.\.'/],
    ['/{a}?/{b}?', { b: '1' }, /read back as something else/]
  ])('refuses %s with %j', (pattern, values, sentence) => {
    expect(() => expand(pattern, values)).toThrow(sentence)
    expect(() => expand(pattern, values)).toThrow(expect.objectContaining({ status: 400 }))
  })

  test('gives the path from which matchPattern reads the same parameters', () => {
    const segment = fc.string({ minLength: 1, maxLength: 8, unit: 'grapheme' })
    fc.assert(
      fc.property(segment, segment, fc.option(segment, { nil: undefined }), (a, b, c) => {
        const pattern = parsePattern('/x/:a/{b}/{c}?')
        let path: string
        try {
          path = expandPattern(pattern, { a, b, c })
        } catch {
          return
        }
        expect({ ...matchPattern(pattern, path) }).toEqual(c === undefined ? { a, b } : { a, b, c })
        expect(decodeURIComponent(encodePath(path))).toBe(path)
      })
    )
  })
})
