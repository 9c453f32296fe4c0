import { isDeepStrictEqual } from 'node:util'
import { isControlMethod, type MixedParam, type MixedSegment, matchPattern, type Pattern, type PatternSegment, parsePattern } from '@iopa/transport'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { routeTable } from '../src/route-table.ts'

/*
 * The naive matcher: try every form of every route, segment by segment, and keep the one that is most specific from the left.
 * It shares the parser with the table and nothing else.
 */
interface NaiveRoute {
  readonly method: string | undefined
  readonly pattern: string
}

const RANK = { static: 0, mixed: 1, param: 3, tail: 4 }

/** What decides between two segments at one place, in this order. */
const rankOf = (segment: PatternSegment): readonly (number | string)[] => {
  const constraint = ({ constraint: given }: Pick<MixedParam, 'constraint'>): (number | string)[] =>
    given ? [0, given.breadth, given.source] : [1, 0, '']
  if (segment.kind === 'param' && segment.constraint) return [2, ...constraint(segment)]
  if (segment.kind !== 'mixed') return [RANK[segment.kind]]
  const text = [segment.prefix, ...segment.params.map(({ literal }) => literal)]
  return [RANK.mixed, -text.join('').length, segment.params.length, ...segment.params.flatMap(constraint), segment.shape]
}

const isBefore = (one: readonly PatternSegment[], two: readonly PatternSegment[]): boolean => {
  for (let i = 0; i < Math.min(one.length, two.length); i++) {
    const a = rankOf(one[i]!)
    const b = rankOf(two[i]!)
    for (let k = 0; k < Math.max(a.length, b.length); k++) if (a[k] !== b[k]) return a[k]! < b[k]!
  }
  return one.length < two.length
}

const trim = <T>(list: readonly T[], isEmpty: (item: T) => boolean): readonly T[] =>
  list.length > 1 && isEmpty(list.at(-1)!) ? list.slice(0, -1) : list

const parsed = new Map<string, Pattern>()
const patternOf = (text: string): Pattern => {
  const known = parsed.get(text) ?? parsePattern(text)
  parsed.set(text, known)
  return known
}

const trimmed = new Map<Pattern, readonly (readonly PatternSegment[])[]>()
const formsOf = (pattern: string, ignoreSlash: boolean): readonly (readonly PatternSegment[])[] => {
  const known = patternOf(pattern)
  if (!ignoreSlash) return known.variants
  const forms = trimmed.get(known) ?? known.variants.map(form => trim(form, segment => segment.kind === 'static' && segment.value === ''))
  trimmed.set(known, forms)
  return forms
}

const shapes = new WeakMap<readonly PatternSegment[], string>()
const shapeOf = (form: readonly PatternSegment[]): string => {
  const shape = shapes.get(form) ?? JSON.stringify(form.map(segment => (segment.kind === 'static' ? ['text', segment.value] : rankOf(segment))))
  shapes.set(form, shape)
  return shape
}

const quoted = (literal: string): string => literal.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** A mixed segment as a regex: no character of a parameter begins the text that ends it. */
const regexes = new WeakMap<MixedSegment, RegExp>()
const regexOf = (segment: MixedSegment): RegExp => {
  const parts = segment.params.map(({ literal }) => (literal === '' ? '([^]+)' : `((?:(?!${quoted(literal)})[^])+)${quoted(literal)}`))
  const regex = regexes.get(segment) ?? new RegExp(`^${quoted(segment.prefix)}${parts.join('')}$`)
  regexes.set(segment, regex)
  return regex
}
const mixedParams = (segment: MixedSegment, text: string): readonly [string, string][] | undefined => {
  const { params } = segment
  const found = regexOf(segment).exec(text)?.slice(1)
  if (found === undefined || params.some(({ constraint }, i) => constraint?.regex.test(found[i]!) === false)) return undefined
  return params.map(({ name }, i) => [name, found[i]!])
}

const paramsOf = (form: readonly PatternSegment[], path: string, ignoreSlash: boolean): Record<string, string> | undefined => {
  const raw = path.slice(1).split('/')
  const segments = ignoreSlash ? trim(raw, text => text === '') : raw
  const params: Record<string, string> = {}
  for (const [i, segment] of form.entries()) {
    const text = segments[i]
    if (segment.kind === 'tail') {
      if (text === undefined && !(ignoreSlash && i === segments.length)) return undefined
      params[segment.name] = raw.slice(i).join('/')
      return params
    }
    if (text === undefined) return undefined
    if (segment.kind === 'static') {
      if (segment.value !== text) return undefined
    } else if (segment.kind === 'mixed') {
      const found = mixedParams(segment, text)
      if (found === undefined) return undefined
      Object.assign(params, Object.fromEntries(found))
    } else {
      if (text === '' || (segment.constraint && !segment.constraint.regex.test(text))) return undefined
      params[segment.name] = text
    }
  }
  return form.length === segments.length ? params : undefined
}

const naiveFind = (
  routes: readonly NaiveRoute[],
  method: string,
  path: string,
  ignoreSlash: boolean
): { route: NaiveRoute; params: Record<string, string> } | undefined => {
  let best: { route: NaiveRoute; form: readonly PatternSegment[]; params: Record<string, string> } | undefined
  for (const route of routes) {
    if (route.method === undefined ? isControlMethod(method) : route.method !== method) continue
    for (const form of formsOf(route.pattern, ignoreSlash)) {
      const params = paramsOf(form, path, ignoreSlash)
      if (params === undefined) continue
      const isBetter =
        best === undefined ||
        isBefore(form, best.form) ||
        (shapeOf(form) === shapeOf(best.form) && route.method !== undefined && best.route.method === undefined)
      if (isBetter) best = { route, form, params }
    }
  }
  return best
}

/** `toEqual()` at a fraction of its cost, which of a million comparisons is most of the time. */
const expectEqual = (actual: unknown, expected: unknown, what: string): void => {
  if (!isDeepStrictEqual(actual, expected)) expect(actual, what).toEqual(expected)
}

const collides = (earlier: readonly NaiveRoute[], later: NaiveRoute, ignoreSlash: boolean): boolean => {
  const shapes = new Set(formsOf(later.pattern, ignoreSlash).map(shapeOf))
  return earlier.some(route => route.method === later.method && formsOf(route.pattern, ignoreSlash).some(form => shapes.has(shapeOf(form))))
}

const TEXTS = ['a', 'b', 'aa', 'a1', '1', '12', 'ä', 'a.b', '1.b', '1.12', 'aa.1', 'a..b', 'a.b.b', '.b', 'a.']
const text = fc.constantFrom(...TEXTS)
const piece = (index: number): fc.Arbitrary<string> =>
  fc.oneof(
    { arbitrary: text, weight: 4 },
    { arbitrary: fc.constant(`{p${index}}`), weight: 2 },
    { arbitrary: fc.constantFrom('[0-9]+', '[a-z]+', '[a-z0-9]+', 'a|12', '.').map(regex => `{p${index}:${regex}}`), weight: 2 },
    {
      arbitrary: fc.constantFrom(
        `{p${index}}.b`,
        `{p${index}}.{q${index}}`,
        `{p${index}}..{q${index}}`,
        `{p${index}:[0-9]+}.{q${index}}`,
        `{p${index}}.{q${index}:[0-9]+}`,
        `a{p${index}}`,
        `a{p${index}:[0-9]|a}`,
        `{p${index}}1`,
        `a{p${index}}b`
      ),
      weight: 3
    },
    { arbitrary: fc.constantFrom(`{p${index}}?`, `:p${index}?`, `{p${index}:[0-9]}?`), weight: 1 }
  )
const pattern = fc
  .tuple(piece(0), piece(1), piece(2), fc.integer({ min: 0, max: 3 }), fc.constantFrom('', '', '', '/', '/*', '/{rest*}', '/{rest*}?'))
  .map(
    ([a, b, c, count, end]) =>
      [a, b, c]
        .slice(0, count)
        .map(part => `/${part}`)
        .join('') + end || '/'
  )
const method = fc.constantFrom('GET', 'GET', 'PUT', undefined)
const path = fc
  .tuple(fc.array(text, { maxLength: 4 }), fc.boolean())
  .map(([parts, slash]) => parts.map(part => `/${part}`).join('') + (slash ? '/' : '') || '/')

const property = (ignoreSlash: boolean): void => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ method, pattern }), { maxLength: 14 }),
      fc.array(path, { minLength: 4, maxLength: 12 }),
      fc.infiniteStream(fc.nat()),
      (given, paths, dice) => {
        const options = { trailingSlash: ignoreSlash ? 'ignore' : 'strict' } as const
        const table = routeTable<NaiveRoute>(options)
        const routes: NaiveRoute[] = []
        for (const route of given) {
          const add = (): unknown => table.add(route.method, route.pattern, route)
          if (collides(routes, route, ignoreSlash)) expect(add, route.pattern).toThrow('matches the same paths as')
          else {
            add()
            routes.push(route)
          }
        }
        const shuffled = routeTable<NaiveRoute>(options)
        const keyed = routes.map(route => ({ route, key: dice.next().value as number })).sort((a, b) => a.key - b.key)
        for (const { route } of keyed) shuffled.add(route.method, route.pattern, route)

        for (const each of paths) {
          for (const name of ['GET', 'PUT', 'DATA']) {
            const expected = naiveFind(routes, name, each, ignoreSlash)
            for (const actual of [table.find(name, each), shuffled.find(name, each)]) {
              if (actual?.route.value !== expected?.route) expect(actual?.route.value, `${name} ${each}`).toBe(expected?.route)
              expectEqual(actual && { ...actual.params }, expected?.params, `${name} ${each}`)
            }
            if (expected !== undefined && !ignoreSlash) {
              // Of a pattern with optional segments, another form may have lost to a route of its own.
              const alone = naiveFind([{ ...expected.route, method: 'GET' }], 'GET', each, false)
              expectEqual({ ...matchPattern(patternOf(expected.route.pattern), each) }, alone?.params, each)
            }
          }
          const methods = routes.filter(
            route => route.method !== undefined && formsOf(route.pattern, ignoreSlash).some(form => paramsOf(form, each, ignoreSlash))
          )
          expectEqual(table.methods(each), [...new Set(methods.map(route => route.method))].sort(), each)
        }
      }
    ),
    { numRuns: Number(process.env['IOPA_ROUTER_RUNS'] ?? 200) }
  )
}

test('the trie finds the same as trying every route, in any order of registration', () => property(false))
test('the trie finds the same as trying every route with trailingSlash: ignore', () => property(true))
