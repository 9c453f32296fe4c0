import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parsePattern } from '../../src/patterns/pattern.ts'
import { expandPattern, matchPattern } from '../../src/patterns/pattern-paths.ts'
import { acceptsSegment, compareSegments, type MixedSegment, type PatternSegment, placeParams } from '../../src/patterns/pattern-segment.ts'

const segmentOf = (raw: string): PatternSegment => parsePattern(`/${raw}`).segments[0] as PatternSegment
const mixedOf = (raw: string): MixedSegment => segmentOf(raw) as MixedSegment
const match = (pattern: string, path: string) => {
  const params = matchPattern(parsePattern(pattern), path)
  return params && { ...params }
}

describe('text beside a parameter', () => {
  test.each([
    ['/compare/{base}...{head}', '/compare/main...topic', { base: 'main', head: 'topic' }],
    ['/compare/{base}...{head}', '/compare/v1.0...v1.1', { base: 'v1.0', head: 'v1.1' }],
    ['/compare/{base}...{head}', '/compare/main....topic', { base: 'main', head: '.topic' }],
    ['/compare/{base}...{head}', '/compare/main..topic', undefined],
    ['/compare/{base}...{head}', '/compare/...topic', undefined],
    ['/compare/{base}...{head}', '/compare/main...', undefined],
    ['/{name}.{ext}', '/a.tar.gz', { name: 'a', ext: 'tar.gz' }],
    ['/{name}.{ext}', '/.profile', undefined],
    ['/{id}.json', '/12.json', { id: '12' }],
    ['/{id}.json', '/.json', undefined],
    ['/{id}.json', '/12', undefined],
    ['/{id}.json', '/12.jsonx', undefined],
    // The parameter ends at the first ".json", so that text is left.
    ['/{id}.json', '/12.json.json', undefined],
    ['/{id}aa', '/xaaa', undefined],
    ['/v{version}/x', '/v2/x', { version: '2' }],
    ['/v{version}/x', '/v/x', undefined],
    ['/v{version}/x', '/2/x', undefined],
    ['/@{user}', '/@ann', { user: 'ann' }],
    ['/@{user}', '/ann', undefined],
    ['/ab{x}ba', '/aba', undefined],
    ['/ab{x}ba', '/abxba', { x: 'x' }],
    ['/{id:[0-9]+}.json', '/12.json', { id: '12' }],
    ['/{id:[0-9]+}.json', '/x.json', undefined],
    ['/{a:.+}-{b}', '/1-2-3', { a: '1', b: '2-3' }],
    ['/{y:[0-9]{4}}-{m:[0-9]{2}}-{d:[0-9]{2}}', '/2026-11-30', { y: '2026', m: '11', d: '30' }],
    ['/{y:[0-9]{4}}-{m:[0-9]{2}}-{d:[0-9]{2}}', '/2026-11-3', undefined],
    ['/jobs/{id}:cancel', '/jobs/7:cancel', { id: '7' }],
    ['/100%{x}', '/100%25', { x: '25' }],
    ['/灯{id}😀', '/灯é😀', { id: 'é' }],
    ['/{__proto__}.{constructor}', '/a.b', { ['__proto__']: 'a', constructor: 'b' }],
    ['/{a}?/{b}.x/{c}?', '/q.x/r', { b: 'q', c: 'r' }],
    ['/{a}?/{b}.x/{c}?', '/q.x/r.x', { b: 'q', c: 'r.x' }],
    ['/{a}?/{b}.x/{c}?', '/q/r.x', { a: 'q', b: 'r' }],
    ['/{a}-{b}/{rest*}', '/1-2/3/4', { a: '1', b: '2', rest: '3/4' }]
  ])('%s with %s: %j', (pattern, path, expected) => {
    expect(match(pattern, path)).toEqual(expected)
  })

  test('bounds the segment, not the parameter', () => {
    expect(match('/{a}.x', `/${'a'.repeat(1022)}.x`)).toEqual({ a: 'a'.repeat(1022) })
    expect(match('/{a}.x', `/${'a'.repeat(1023)}.x`)).toBeUndefined()
  })

  test('answers hostile segments in time', () => {
    const many = parsePattern(`/${Array.from({ length: 64 }, (_, at) => `{p${at}}`).join('-')}`)
    const long = parsePattern(`/{a}${'a'.repeat(500)}b{c}${'a'.repeat(500)}`)
    const checked = parsePattern('/{a:[a-]+(?:x[a-]+)*}.{b:[a-]+}.{c:[a-]+}.json')
    const segments = ['-', 'a', 'a-', '-a', 'a.', '%', '%2d', '😀', '\u0000'].map(part => part.repeat(Math.floor(1024 / part.length)))
    const start = process.cpuUsage()
    for (const segment of segments) for (const pattern of [many, long, checked]) matchPattern(pattern, `/${segment}`)
    expect(process.cpuUsage(start).user / 1000).toBeLessThan(200)
    expect(Object.keys(matchPattern(many, `/${Array(64).fill('a').join('-')}`) ?? {})).toHaveLength(64)
  })

  test('reads the text once', () => {
    const reads: [number, number][] = []
    class Counted extends String {
      override indexOf(literal: string, from = 0): number {
        const end = super.indexOf(literal, from)
        reads.push([from, end])
        return end
      }
    }
    const text = new Counted('1-2-3-4')
    const starts: number[] = []
    const ends: number[] = []
    expect(placeParams(mixedOf('{a}-{b}-{c}'), text as string, starts, ends, 1, 10)).toBe(true)
    expect(reads).toEqual([
      [0, 1],
      [2, 3]
    ])
    expect([starts, ends]).toEqual([
      [undefined, 10, 12, 14],
      [undefined, 11, 13, 17]
    ])
  })

  test('matches as a regex without a second choice does, and expands to what is read back', () => {
    const literal = fc.string({ unit: fc.constantFrom('a', '.', '-'), minLength: 1, maxLength: 3 })
    const constraint = fc.constantFrom('', '', ':[a-]+', ':[.a]+', ':..')
    const segment = fc
      .tuple(fc.option(literal, { nil: '' }), fc.array(fc.tuple(constraint, literal), { minLength: 1, maxLength: 3 }), fc.boolean())
      .map(
        ([prefix, params, open]) =>
          prefix + params.map(([regex, text], at) => `{p${at}${regex}}${open && at === params.length - 1 ? '' : text}`).join('')
      )
      .filter(raw => !/^\{[^}]*\}$/.test(raw))
    const text = fc.string({ unit: fc.constantFrom('a', 'a', '.', '-', 'b'), minLength: 1, maxLength: 9 })
    const triples = fc.array(fc.tuple(text, text, text), { minLength: 4, maxLength: 4 })
    let matched = 0
    let refused = 0
    fc.assert(
      fc.property(segment, fc.array(text, { minLength: 4, maxLength: 4 }), triples, (raw, texts, given) => {
        const mixed = mixedOf(raw)
        const pattern = parsePattern(`/${raw}`)
        const valuesOf = (triple: readonly string[]) => Object.fromEntries(mixed.params.map(({ name }, at) => [name, triple[at] as string]))
        const joined = given.map(triple => mixed.params.reduce((path, { literal: behind }, at) => path + triple[at] + behind, mixed.prefix))
        for (const each of [...texts, ...joined].filter(item => !/^\.\.?$/.test(item))) {
          const expected = referenceMatch(mixed, each)
          const found = matchPattern(pattern, `/${each}`)
          expect(found && { ...found }, `${raw} ${each}`).toEqual(expected)
          expect(acceptsSegment(mixed, each)).toBe(expected !== undefined)
          if (expected === undefined) continue
          matched++
          expect(expandPattern(pattern, expected)).toBe(`/${each}`)
        }
        for (const [at, triple] of given.entries()) {
          const values = valuesOf(triple)
          if (JSON.stringify(referenceMatch(mixed, joined[at] as string)) === JSON.stringify(values)) continue
          refused++
          expect(() => expandPattern(pattern, values), `${raw} ${JSON.stringify(values)}`).toThrow(/does not match|read back shorter|'\.' or '\.\.'/)
        }
      }),
      { numRuns: 150 }
    )
    // Otherwise the property says nothing.
    expect([matched > 50, refused > 50]).toEqual([true, true])
  })
})

/** No character of a parameter begins the text that ends it. */
const referenceMatch = ({ prefix, params }: MixedSegment, text: string): Record<string, string> | undefined => {
  const quoted = (literal: string): string => literal.replace(/[.-]/g, '\\$&')
  const parts = params.map(({ literal }) => (literal === '' ? '(.+)' : `((?:(?!${quoted(literal)}).)+)${quoted(literal)}`))
  const found = new RegExp(`^${quoted(prefix)}${parts.join('')}$`, 's').exec(text)?.slice(1)
  if (found === undefined || params.some(({ constraint }, at) => constraint?.test(found[at] as string) === false)) return undefined
  return Object.fromEntries(params.map(({ name }, at) => [name, found[at] as string]))
}

describe('expandPattern', () => {
  test.each([
    ['/compare/{base}...{head}', { base: 'main', head: 'topic' }, '/compare/main...topic'],
    ['/compare/{base}...{head}', { base: 'a', head: '..b' }, '/compare/a.....b'],
    ['/{name}.{ext}', { name: 'a', ext: 'tar.gz' }, '/a.tar.gz'],
    ['/v{version}/x', { version: 2 }, '/v2/x'],
    ['/{id:[0-9]+}.json', { id: 12 }, '/12.json']
  ])('%s with %j is %s', (pattern, values, path) => {
    expect(expandPattern(parsePattern(pattern), values)).toBe(path)
  })

  test.each([
    ['/{name}.{ext}', { name: 'a.b', ext: 'c' }, `'name' ends at the first ".", and would be read back shorter`],
    ['/compare/{base}...{head}', { base: 'a.', head: 'b' }, `'base' ends at the first "...", and would be read back shorter`],
    ['/{id}aa', { id: 'xa' }, `'id' ends at the first "aa"`],
    ['/{name}.{ext}', { name: 'a' }, `'ext' is missing`],
    ['/{name}.{ext}', { name: '', ext: 'c' }, `'name' is text within one segment`],
    ['/{name}.{ext}', { name: 'a', ext: 'b/c' }, `'ext' is text within one segment`],
    ['/{id:[0-9]+}.json', { id: 'x' }, `'id' does not match [0-9]+`],
    ['/.{x}', { x: '.' }, `'.' or '..'`],
    ['/{x}.a', { x: '\ud83d' }, 'not valid Unicode']
  ])('refuses %s with %j', (pattern, values, sentence) => {
    expect(() => expandPattern(parsePattern(pattern), values)).toThrow(sentence)
    expect(() => expandPattern(parsePattern(pattern), values)).toThrow(expect.objectContaining({ status: 400 }))
  })
})

describe('compareSegments', () => {
  const ORDER = [
    'a',
    'b.json',
    '{id:[0-9]+}.json',
    '{id:[0-9a-z]+}.json',
    '.json{id}',
    '{id}.json',
    '{a}...{b}',
    'v{id:[0-9]}',
    'v{id}',
    '{id}v',
    '{a:[0-9]+}.{b:[0-9]+}',
    '{a:[0-9]+}.{b}',
    '{a}.{b:[0-9]+}',
    '{a}.{b}',
    '{id:[0-9]+}',
    '{id:[0-9a-z]+}',
    '{id}',
    '{rest*}'
  ]

  test('orders by text, number of parameters, constraints and shape', () => {
    const sign = (a: number, b: number): number => Math.sign(a - b)
    for (const [i, a] of ORDER.entries())
      for (const [j, b] of ORDER.entries()) expect(Math.sign(compareSegments(segmentOf(a), segmentOf(b))), `${a} ${b}`).toBe(sign(i, j))
  })

  test.each([
    ['{a}.{b}', '{x}.{y}'],
    ['{a:[0-9]+}.json', '{x:[0-9]+}.json'],
    ['{a}', '{b}?'],
    ['{a*}', '*']
  ])('finds no order between %s and %s', (a, b) => {
    expect(compareSegments(segmentOf(a), segmentOf(b))).toBe(0)
  })
})
