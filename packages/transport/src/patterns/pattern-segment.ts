import type { Constraint } from './constraint.ts'

/** One segment of a pattern: literal text, a parameter that fills the segment, parameters with text beside them, or a tail that takes the rest of the path. */
export type PatternSegment =
  | { readonly kind: 'static'; readonly value: string }
  | { readonly kind: 'param'; readonly name: string; readonly constraint?: Constraint; readonly optional?: boolean }
  | MixedSegment
  | { readonly kind: 'tail'; readonly name: string; readonly optional?: boolean }

/** Parameters with text beside them, as in `{base}...{head}`. */
export interface MixedSegment {
  readonly kind: 'mixed'
  /** The text before the first parameter; may be empty. */
  readonly prefix: string
  readonly params: readonly MixedParam[]
  /** The segment without the names of its parameters: segments of one shape match the same text in the same way. */
  readonly shape: string
}

/** A parameter with text beside it; it is not empty. */
export interface MixedParam {
  readonly name: string
  readonly constraint?: Constraint
  /** The text behind it. The parameter ends where this first occurs; empty only for the last one, which takes the rest of the segment. */
  readonly literal: string
}

/** Most segments of a pattern or a path. */
export const MAX_SEGMENTS = 64
/** Longest segment of a pattern or a path, in UTF-16 code units. */
export const MAX_SEGMENT_LENGTH = 1024

/** True for a segment that a path may leave out. */
export const isOptionalSegment = (segment: PatternSegment): boolean => 'optional' in segment && segment.optional === true

/** The names of the parameters in a segment, in order. */
export const paramNames = (segment: PatternSegment): readonly string[] =>
  segment.kind === 'static' ? [] : segment.kind === 'mixed' ? segment.params.map(({ name }) => name) : [segment.name]

/**
 * Where the parameters of a mixed segment start and end in `text`, written from `at` on with `offset` added; false where the text does not match.
 * Reads the text once: no parameter is tried with a second end.
 */
export const placeParams = (
  { prefix, params }: MixedSegment,
  text: string,
  starts: number[],
  ends: number[],
  at: number,
  offset: number
): boolean => {
  const last = params[params.length - 1] as MixedParam
  if (!text.startsWith(prefix) || !text.endsWith(last.literal)) return false
  let start = prefix.length
  for (let i = 0; i < params.length; i++) {
    const { literal, constraint } = params[i] as MixedParam
    const end = literal === '' ? text.length : text.indexOf(literal, start)
    if (end <= start || constraint?.test(text.slice(start, end)) === false) return false
    starts[at + i] = offset + start
    ends[at + i] = offset + end
    start = end + literal.length
  }
  return start === text.length
}

/** True where a segment of a pattern matches a segment of a path; a tail matches any. */
export const acceptsSegment = (segment: PatternSegment, text: string): boolean => {
  if (segment.kind === 'static') return text === segment.value
  if (segment.kind === 'tail') return true
  if (text === '' || text.length > MAX_SEGMENT_LENGTH) return false
  return segment.kind === 'mixed' ? placeParams(segment, text, [], [], 0, 0) : segment.constraint?.test(text) !== false
}

const RANK = { static: 0, mixed: 1, param: 3, tail: 4 }

const rankOf = (segment: PatternSegment): number => (segment.kind === 'param' && segment.constraint !== undefined ? 2 : RANK[segment.kind])

const lengthOfText = ({ prefix, params }: MixedSegment): number => params.reduce((sum, { literal }) => sum + literal.length, prefix.length)

const compareText = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1)

const compareConstraints = (a: Constraint | undefined, b: Constraint | undefined): number =>
  a === undefined || b === undefined ? Number(a === undefined) - Number(b === undefined) : a.breadth - b.breadth || compareText(a.source, b.source)

const compareMixed = (a: MixedSegment, b: MixedSegment): number => {
  let order = lengthOfText(b) - lengthOfText(a) || a.params.length - b.params.length
  for (let i = 0; order === 0 && i < a.params.length; i++) order = compareConstraints(a.params[i]?.constraint, b.params[i]?.constraint)
  return order || compareText(a.shape, b.shape)
}

/**
 * The order in which segments at one place are tried, the more specific first; 0 where both match the same text. Static text comes first, then
 * mixed segments, constrained parameters, plain parameters and tails. Of mixed segments: more text first, then fewer parameters, then, from the
 * left, constrained parameters before plain ones and narrower constraints before wider ones, then by shape.
 */
export const compareSegments = (a: PatternSegment, b: PatternSegment): number => {
  if (a === b) return 0
  if (a.kind === 'mixed' && b.kind === 'mixed') return compareMixed(a, b)
  if (a.kind === 'static' && b.kind === 'static') return compareText(a.value, b.value)
  if (a.kind === 'param' && b.kind === 'param') return compareConstraints(a.constraint, b.constraint)
  return rankOf(a) - rankOf(b)
}
