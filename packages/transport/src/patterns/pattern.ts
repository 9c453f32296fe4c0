import { IopaError } from '@iopa/constants'
import { type Constraint, constraintOf } from './constraint.ts'

/** One segment of a pattern: literal text, a parameter that fills the segment, or a tail that takes the rest of the path. */
export type PatternSegment =
  | { readonly kind: 'static'; readonly value: string }
  | { readonly kind: 'param'; readonly name: string; readonly constraint?: Constraint; readonly optional?: boolean }
  | { readonly kind: 'tail'; readonly name: string; readonly optional?: boolean }

/** A pattern in parsed form. */
export interface Pattern {
  readonly text: string
  /** All its segments, those that may be left out included. */
  readonly segments: readonly PatternSegment[]
  /** What it stands for: one list for each way of leaving out optional segments, the fullest first. */
  readonly variants: readonly (readonly PatternSegment[])[]
}

/** Most segments of a pattern or a path. */
export const MAX_SEGMENTS = 64
/** Longest segment of a pattern or a path, in UTF-16 code units. */
export const MAX_SEGMENT_LENGTH = 1024
// Each optional segment doubles the paths a pattern stands for.
const MAX_OPTIONALS = 4

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
const COLON_PARAM = /^:([A-Za-z_][A-Za-z0-9_]*)/
const ESCAPE = /%[0-9A-Fa-f]{2}/

/** Parses a pattern such as `/lights/{id:[0-9]+}`. @throws IopaError 500 that says what to write instead. */
export const parsePattern = (text: string): Pattern => {
  if (typeof text !== 'string' || text[0] !== '/') throw invalid(String(text), 'begin it with "/"')
  const raws = splitSegments(text)
  if (raws.length > MAX_SEGMENTS) throw invalid(text, `use at most ${MAX_SEGMENTS} segments`)
  const segments = raws.map((raw, index) => parseSegment(text, raw, index === raws.length - 1))
  const names = segments.flatMap(segment => (segment.kind === 'static' ? [] : [segment.name]))
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw invalid(text, `give each parameter its own name; "${twice}" is used twice`)
  if (segments.filter(isOptional).length > MAX_OPTIONALS) throw invalid(text, `use at most ${MAX_OPTIONALS} optional segments`)
  return { text, segments, variants: variantsOf(segments) }
}

const isOptional = (segment: PatternSegment): boolean => segment.kind !== 'static' && segment.optional === true

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

const parseSegment = (text: string, raw: string, last: boolean): PatternSegment => {
  if (raw.length > MAX_SEGMENT_LENGTH) throw invalid(text, `use at most ${MAX_SEGMENT_LENGTH} characters in a segment`)
  const optional = raw.endsWith('?') && (raw[0] === '{' || raw[0] === ':' || raw[0] === '*')
  const body = optional ? raw.slice(0, -1) : raw
  const segment =
    body[0] === '{'
      ? parseBraces(text, body)
      : body[0] === ':'
        ? parseColon(text, body)
        : body === '*'
          ? ({ kind: 'tail', name: '*' } as const)
          : parseLiteral(text, body, last)
  if (segment.kind === 'tail' && !last) throw invalid(text, `move "${raw}" to the end; a tail takes all that is left of the path`)
  return optional && segment.kind !== 'static' ? { ...segment, optional } : segment
}

/** `{id}`, `{id:regex}` or `{rest*}`. */
const parseBraces = (text: string, raw: string): PatternSegment => {
  if (closingBrace(raw) !== raw.length - 1) throw partial(text, raw)
  const body = raw.slice(1, -1)
  const colon = body.indexOf(':')
  const tail = colon === -1 && body.endsWith('*')
  const name = colon === -1 ? (tail ? body.slice(0, -1) : body) : body.slice(0, colon)
  if (!NAME.test(name)) throw invalid(text, `name a parameter with letters, digits and "_"; "${name}" is not such a name`)
  if (tail) return { kind: 'tail', name }
  return colon === -1 ? { kind: 'param', name } : { kind: 'param', name, constraint: constraintOf(text, body.slice(colon + 1)) }
}

/** `:id`, or `:id{regex}` as IOPA 4 wrote it. */
const parseColon = (text: string, raw: string): PatternSegment => {
  const name = COLON_PARAM.exec(raw)?.[1]
  if (name === undefined) throw invalid(text, `name the parameter "${raw}" with letters, digits and "_"`)
  const rest = raw.slice(name.length + 1)
  if (rest === '') return { kind: 'param', name }
  if (rest[0] !== '{' || closingBrace(rest) !== rest.length - 1) throw partial(text, raw)
  return { kind: 'param', name, constraint: constraintOf(text, rest.slice(1, -1)) }
}

const parseLiteral = (text: string, raw: string, last: boolean): PatternSegment => {
  if (raw === '' && !last) throw invalid(text, 'remove the empty segment; a path has none but a final one')
  if (raw === '.' || raw === '..') throw invalid(text, `remove the segment "${raw}"; no path has one`)
  if (/[\\\0]/.test(raw)) throw invalid(text, 'remove the backslash or NUL; no path has one')
  if (raw.includes('{')) throw partial(text, raw)
  if (raw.includes('*')) throw invalid(text, 'a "*" stands alone in the last segment, or in {name*}')
  if (raw.includes('?')) throw invalid(text, 'a "?" only follows a parameter, as in {id}?; the query string is no part of a pattern')
  if (ESCAPE.test(raw))
    throw invalid(text, `write the characters themselves; "${raw}" would never match, for paths are decoded before they are routed`)
  return { kind: 'static', value: raw }
}

const closingBrace = (raw: string): number => {
  let depth = 0
  for (let i = 0; i < raw.length; i++) {
    if (raw[i] === '{') depth++
    else if (raw[i] === '}' && --depth === 0) return i
  }
  return -1
}

/** The fullest variant first, then those that leave out what stands further right: of two of one shape the first is taken. */
const variantsOf = (segments: readonly PatternSegment[]): readonly (readonly PatternSegment[])[] =>
  segments
    .reduceRight<readonly (readonly PatternSegment[])[]>(
      (rest, segment) => [...rest.map(variant => [segment, ...variant]), ...(isOptional(segment) ? rest : [])],
      [[]]
    )
    // Without any segment the root is left.
    .map(variant => (variant.length === 0 ? [{ kind: 'static', value: '' }] : variant))

const invalid = (text: string, advice: string): Error =>
  new IopaError(500, 'invalid-pattern', `The route pattern ${JSON.stringify(text)} is not valid: ${advice}.`)

const partial = (text: string, raw: string): Error =>
  invalid(
    text,
    `a parameter fills its whole segment, and "${raw}" mixes one with other text; take the segment as one parameter and constrain it, as in {file:[a-z]+\\.json}`
  )
