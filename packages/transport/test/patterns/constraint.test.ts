import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { constraintOf } from '../../src/patterns/constraint.ts'
import { parseRegex, type RegexNode } from '../../src/patterns/regex-syntax.ts'

const verdictOn = (source: string): 'accepted' | 'ambiguous' | 'refused' => {
  try {
    constraintOf('/{id}', source)
    return 'accepted'
  } catch (error) {
    return /several ways|more than one way/.test((error as Error).message) ? 'ambiguous' : 'refused'
  }
}

describe('the regex of a parameter', () => {
  test.each([
    '[0-9]+',
    '\\d{1,3}',
    '[a-z]{1,64}',
    'en|de|fr',
    'v\\d+(?:\\.\\d+)?',
    '[a-z0-9]+(?:-[a-z0-9]+)*',
    '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}',
    '[^.]+\\.json',
    '.*\\.json',
    '.+\\.(?:png|jpe?g)',
    '(?:\\d{1,3}\\.){3}\\d{1,3}',
    '\\p{L}+',
    'café|cafè',
    '[\\u0400-\\u04ff]+|[a-z]+',
    '\\d+?',
    '\\w+(?:-\\w+)*',
    '[^=]*=.*',
    '\\d{2,}x',
    '(?:[a-z]{1,63}\\.)+[a-z]{2,63}'
  ])('accepts %s, and answers a hostile segment in time', source => {
    const { regex } = constraintOf('/{id}', source)
    for (const part of ['0', 'a', 'a-', 'a.', '0.', 'en', '.', 'é']) {
      const start = process.cpuUsage()
      regex.test(`${part.repeat(1023 / part.length)}!`)
      expect(process.cpuUsage(start).user / 1000).toBeLessThan(200)
    }
  })

  test.each([
    '(?:a+)+',
    '(a+)+b',
    '([a-z]+)*',
    '(a|a)*',
    '(a|aa)+',
    '(?:a|b|ab)*c',
    '(?:aa?)*b',
    '(?:\\w+\\s?)*x',
    '(?:\\w+-?)+',
    '\\d+\\d+x',
    'a*a*a*a*b',
    '.*.*=.*',
    '[a-z]+[a-z0-9]*',
    '\\s*[ \\t]*x',
    '\\p{L}+é*x',
    '[а-я]+[б-г]*x',
    '(?:.|\\n)*[^x]*'
  ])('refuses %s, because a text can match it in several ways', source => {
    expect(() => constraintOf('/lights/{id}', source)).toThrow(/is refused: .*several ways|is refused: .*more than one way/)
    expect(() => constraintOf('/lights/{id}', source)).toThrow('"/lights/{id}"')
  })

  test.each([
    ['', 'it is empty'],
    ['(a*)*', 'it repeats something that may be empty'],
    ['(?:x?){50}x{50}', 'it repeats something that may be empty'],
    ['(?:a?|b?)c', 'more than one of its alternatives may be empty'],
    ['^[0-9]+$', 'leave out "^" and "$"'],
    ['(.*)\\1', 'back references'],
    ['\\bx', '\\b'],
    ['(?=a)b', '(?:...)'],
    ['(?<!a)b', '(?:...)'],
    ['(?<n>a)', '(?:...)'],
    ['a{0}', 'repeats something no times'],
    ['a{257}', 'too large'],
    ['(?:[a-z]{16}){17}', 'too large'],
    ['(a', '"(" is not closed'],
    ['a)', '")" has no "("'],
    ['[a', '"[" is not closed'],
    ['[b-a]', 'out of order'],
    ['+', 'Nothing to repeat']
  ])('refuses %j with advice', (source, advice) => {
    expect(() => constraintOf('/{id}', source)).toThrow(advice)
  })

  test('matches a whole segment, by Unicode characters', () => {
    const { regex } = constraintOf('/{id}', '[0-9]+|[^0-9]')
    expect(['12', 'x', '😀', '12x', 'x12', ''].map(text => regex.test(text))).toEqual([true, true, true, false, false, false])
  })

  test('is never accepted if a text matches it in two ways', () => {
    const atom = fc.constantFrom('a', 'b', '[ab]', 'c')
    const { regex } = fc.letrec<{ regex: string; piece: string }>(tie => ({
      piece: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        atom,
        fc.tuple(atom, fc.constantFrom('*', '+', '?', '{2}', '{1,2}', '{2,}')).map(parts => parts.join('')),
        fc.tuple(tie('regex'), fc.constantFrom('', '*', '+', '?', '{1,2}')).map(([inner, mark]) => `(?:${inner})${mark}`)
      ),
      regex: fc
        .array(
          fc.array(tie('piece'), { minLength: 1, maxLength: 3 }).map(pieces => pieces.join('')),
          { minLength: 1, maxLength: 2 }
        )
        .map(options => options.join('|'))
    }))
    const texts = ['']
    for (let i = 0; i < texts.length && texts[i]!.length < 6; i++) for (const letter of 'abc') texts.push(texts[i] + letter)
    let accepted = 0
    fc.assert(
      fc.property(
        regex.filter(source => source.length < 24),
        source => {
          const tree = parseRegex(source)
          const several = texts.some(text => ways(tree, text) > 1)
          const verdict = verdictOn(source)
          if (verdict === 'accepted') accepted++
          if (several) expect(verdict, source).not.toBe('accepted')
        }
      ),
      { numRuns: 250 }
    )
    // Otherwise the property says nothing.
    expect(accepted).toBeGreaterThan(30)
  })

  test('is accepted if every text has one way to match', () => {
    const unambiguous = fc.uniqueArray(fc.constantFrom('aa', 'ab', 'ba', 'bb', 'ca', 'cb', 'cc'), { minLength: 1, maxLength: 4 })
    // Words of one length are a code: any sequence of them splits in one way.
    fc.assert(
      fc.property(unambiguous, words => {
        expect(verdictOn(`(?:${words.join('|')})+`)).toBe('accepted')
      })
    )
  })
})

/** In how many ways a tree matches exactly a text: the definition, by trying all splits. */
const ways = (node: RegexNode, text: string): number => {
  const counts = known.get(node) ?? new Map<string, number>()
  known.set(node, counts)
  const count = counts.get(text) ?? countWays(node, text)
  counts.set(text, count)
  return count
}
/** What has been counted: the texts are prefixes of each other, so that their parts come again and again. */
const known = new WeakMap<RegexNode, Map<string, number>>()

const countWays = (node: RegexNode, text: string): number => {
  switch (node.kind) {
    case 'atom':
      return [...text].length === 1 && new RegExp(`^${node.source}$`, 'u').test(text) ? 1 : 0
    case 'choice':
      return node.nodes.reduce((sum, option) => sum + ways(option, text), 0)
    case 'sequence': {
      const [head, ...rest] = node.nodes
      if (head === undefined) return text === '' ? 1 : 0
      if (rest.length === 0) return ways(head, text)
      const behind = derived(node, () => ({ kind: 'sequence', nodes: rest }))
      return splits(text, 0).reduce((sum, [left, right]) => {
        const first = ways(head, left)
        return first === 0 ? sum : sum + first * ways(behind, right)
      }, 0)
    }
    case 'repeat': {
      const stop = node.min === 0 && text === '' ? 1 : 0
      if (node.max === 0) return stop
      // What repeats from none to endlessly is the same behind one match.
      const more =
        node.min === 0 && node.max === Number.POSITIVE_INFINITY
          ? node
          : derived(node, () => ({ ...node, min: Math.max(node.min - 1, 0), max: node.max - 1 }))
      return splits(text, 1).reduce((sum, [left, right]) => {
        const first = ways(node.node, left)
        return first === 0 ? sum : sum + first * ways(more, right)
      }, stop)
    }
  }
}

const followers = new WeakMap<RegexNode, RegexNode>()
const derived = (node: RegexNode, make: () => RegexNode): RegexNode => {
  const follower = followers.get(node) ?? make()
  followers.set(node, follower)
  return follower
}

const splits = (text: string, from: number): [string, string][] =>
  Array.from({ length: Math.max(text.length - from + 1, 0) }, (_, i) => [text.slice(0, from + i), text.slice(from + i)])
