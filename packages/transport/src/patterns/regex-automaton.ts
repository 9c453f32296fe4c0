import type { RegexNode } from './regex-syntax.ts'

/** The position automaton (Glushkov) of a regex: one state for each atom, after its counted repetitions are written out. */
export interface Automaton {
  /** Characters that tell the atoms apart, as code points. */
  readonly alphabet: readonly number[]
  /** For each position, which letters of the alphabet it accepts. */
  readonly letters: readonly Uint8Array[]
  /** For each position, those that may come next. */
  readonly follow: readonly (readonly number[])[]
  readonly first: readonly number[]
  readonly last: ReadonlySet<number>
}

interface Fragment {
  readonly nullable: boolean
  readonly first: readonly number[]
  readonly last: readonly number[]
}

/** Positions a regex may have: with a segment of 1 KiB, at most 262,144 steps a match. */
const MAX_POSITIONS = 256
const EMPTY: Fragment = { nullable: true, first: [], last: [] }
const AMBIGUOUS_LOOP = 'a repeated part holds a repetition that can split its text in several ways, as (a+)+ does; keep one of the two'

/** Builds the automaton; throws where the structure alone is ambiguous, or the regex too large. */
export const automatonOf = (root: RegexNode, source: string): Automaton => {
  const alphabet = alphabetOf(source)
  const known = new Map<string, Uint8Array>()
  const letters: Uint8Array[] = []
  const follow: Set<number>[] = []

  const link = (from: readonly number[], to: readonly number[]): void => {
    for (const position of from) {
      const next = follow[position]!
      for (const target of to) {
        if (next.has(target)) throw new Error(AMBIGUOUS_LOOP)
        next.add(target)
      }
    }
  }

  const join = (left: Fragment, right: Fragment): Fragment => {
    link(left.last, right.first)
    return {
      nullable: left.nullable && right.nullable,
      first: left.nullable ? [...left.first, ...right.first] : left.first,
      last: right.nullable ? [...left.last, ...right.last] : right.last
    }
  }

  const build = (node: RegexNode): Fragment => {
    switch (node.kind) {
      case 'atom': {
        if (letters.length === MAX_POSITIONS)
          throw new Error(`it is too large; use at most ${MAX_POSITIONS} characters, counted repetitions included`)
        let accepted = known.get(node.source)
        if (accepted === undefined) known.set(node.source, (accepted = lettersOf(node.source, alphabet)))
        const position = letters.push(accepted) - 1
        follow.push(new Set())
        return { nullable: false, first: [position], last: [position] }
      }
      case 'sequence':
        return node.nodes.reduce<Fragment>((left, right) => join(left, build(right)), EMPTY)
      case 'choice': {
        const options = node.nodes.map(build)
        if (options.filter(option => option.nullable).length > 1) throw new Error('more than one of its alternatives may be empty; leave that to one')
        return {
          nullable: options.some(option => option.nullable),
          first: options.flatMap(option => option.first),
          last: options.flatMap(option => option.last)
        }
      }
      case 'repeat':
        return repeat(node.node, node.min, node.max)
    }
  }

  const repeat = (node: RegexNode, min: number, max: number): Fragment => {
    const one = build(node)
    if (one.nullable) throw new Error('it repeats something that may be empty; let each repetition match at least one character')
    if (max === Number.POSITIVE_INFINITY && min <= 1) {
      link(one.last, one.first)
      return { ...one, nullable: min === 0 }
    }
    // x{2,4} is x(x(x(x)?)?)?, less one `?` for each that must be there; nested, so that the count itself is not ambiguous.
    const rest = max === 1 ? EMPTY : repeat(node, Math.max(min - 1, 0), max - 1)
    const all = max === 1 ? one : join(one, rest)
    return { ...all, nullable: min === 0 }
  }

  const whole = build(root)
  return { alphabet, letters, follow: follow.map(next => [...next]), first: whole.first, last: new Set(whole.last) }
}

/** True when some text has two paths through the automaton: the product of the automaton with itself meets again after it has parted. */
export const isAmbiguous = ({ letters, follow, first, last }: Automaton): boolean => {
  const parted = new Set<number>()
  const waiting: (readonly [number, number])[] = []
  const overlap = (a: number, b: number): boolean => letters[a]!.some((accepts, letter) => accepts === 1 && letters[b]![letter] === 1)
  const part = (a: number, b: number): void => {
    const pair = a < b ? a * MAX_POSITIONS + b : b * MAX_POSITIONS + a
    if (parted.has(pair) || !overlap(a, b)) return
    parted.add(pair)
    waiting.push([a, b])
  }
  for (const next of [first, ...follow])
    next.forEach((a, index) => {
      for (const b of next.slice(index + 1)) part(a, b)
    })
  for (let pair = waiting.pop(); pair !== undefined; pair = waiting.pop()) {
    const [a, b] = pair
    if (last.has(a) && last.has(b)) return true
    for (const nextA of follow[a]!) {
      for (const nextB of follow[b]!) {
        if (nextA === nextB) return true
        part(nextA, nextB)
      }
    }
  }
  return false
}

// ASCII, all that \s and `.` know beyond it, and some letters of other scripts.
const COMMON = '\u0085\u00a0é\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000中\ufeff😀'
const HEX_ESCAPE = /\\(?:u\{([0-9A-Fa-f]+)\}|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2}))/gu

/** Every character that the source mentions, and its neighbours: where two classes overlap, they do so at an end of one of them. */
const alphabetOf = (source: string): number[] => {
  const points = new Set(Array(128).keys())
  const escaped = [...source.matchAll(HEX_ESCAPE)].map(([, braced, four, two]) => Number.parseInt(braced ?? four ?? two ?? '', 16))
  const plain = [...(COMMON + source)].map(char => char.codePointAt(0)!)
  for (const point of [...escaped, ...plain]) for (const near of [point - 1, point, point + 1]) if (near >= 0 && near <= 0x10ffff) points.add(near)
  return [...points].sort((a, b) => a - b)
}

const lettersOf = (atom: string, alphabet: readonly number[]): Uint8Array => {
  const regex = new RegExp(`^${atom}$`, 'u')
  // The ends of a Unicode property are not in the source; beyond ASCII it is taken to match whatever another atom does.
  const property = /\\[pP]/.test(atom)
  return Uint8Array.from(alphabet, point => ((property && point > 127) || regex.test(String.fromCodePoint(point)) ? 1 : 0))
}
