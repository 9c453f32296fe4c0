import { isOptionalSegment, MAX_SEGMENTS, type PatternSegment, paramNames } from './pattern-segment.ts'
import { invalid, parseSegment } from './segment-parser.ts'

/** A pattern in parsed form. */
export interface Pattern {
  readonly text: string
  /** All its segments, those that may be left out included. */
  readonly segments: readonly PatternSegment[]
  /** What it stands for: one list for each way of leaving out optional segments, the fullest first. */
  readonly variants: readonly (readonly PatternSegment[])[]
}

// Each optional segment doubles the paths a pattern stands for.
const MAX_OPTIONALS = 4
/** Most parameters of a pattern; a router keeps room for as many. */
const MAX_PARAMS = MAX_SEGMENTS

/** Parses a pattern such as `/lights/{id:[0-9]+}`. @throws IopaError 500 that says what to write instead. */
export const parsePattern = (text: string): Pattern => {
  if (typeof text !== 'string' || text[0] !== '/') throw invalid(String(text), 'begin it with "/"')
  if (!text.isWellFormed()) throw invalid(text, 'remove the lone surrogate; no path has one')
  const raws = splitSegments(text)
  if (raws.length > MAX_SEGMENTS) throw invalid(text, `use at most ${MAX_SEGMENTS} segments`)
  const segments = raws.map((raw, index) => parseSegment(text, raw, index === raws.length - 1))
  const names = segments.flatMap(paramNames)
  if (names.length > MAX_PARAMS) throw invalid(text, `use at most ${MAX_PARAMS} parameters`)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw invalid(text, `give each parameter its own name; "${twice}" is used twice`)
  if (segments.filter(isOptionalSegment).length > MAX_OPTIONALS) throw invalid(text, `use at most ${MAX_OPTIONALS} optional segments`)
  return { text, segments, variants: variantsOf(segments) }
}

/** Splits on `/` outside braces, for a regex may contain one. */
const splitSegments = (text: string): string[] => {
  const raws: string[] = []
  let depth = 0
  let start = 1
  for (let i = 1; i < text.length; i++) {
    const char = text[i]
    if (char === '{') depth++
    else if (char === '}' && --depth < 0) throw invalid(text, 'a "}" has no "{" before it')
    else if (char === '/' && depth === 0) {
      raws.push(text.slice(start, i))
      start = i + 1
    }
  }
  if (depth > 0) throw invalid(text, 'close its "{" with "}", and write a brace that a regex matches as \\x7b or \\x7d')
  raws.push(text.slice(start))
  return raws
}

/** The fullest variant first, then those that leave out what stands further right: of two of one shape the first is taken. */
const variantsOf = (segments: readonly PatternSegment[]): readonly (readonly PatternSegment[])[] =>
  segments
    .reduceRight<readonly (readonly PatternSegment[])[]>(
      (rest, segment) => [...rest.map(variant => [segment, ...variant]), ...(isOptionalSegment(segment) ? rest : [])],
      [[]]
    )
    // Without any segment the root is left.
    .map(variant => (variant.length === 0 ? [{ kind: 'static', value: '' }] : variant))
