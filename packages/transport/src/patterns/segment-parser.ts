import { IopaError } from '@iopa/constants'
import { constraintOf } from './constraint.ts'
import { MAX_SEGMENT_LENGTH, type MixedParam, type PatternSegment } from './pattern-segment.ts'

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
const COLON_PARAM = /^:([A-Za-z_][A-Za-z0-9_]*)/
const ESCAPE = /%[0-9A-Fa-f]{2}/

/** A pattern that is refused, and what to write instead. */
export const invalid = (text: string, advice: string): Error =>
  new IopaError(500, 'invalid-pattern', `The route pattern ${JSON.stringify(text)} is not valid: ${advice}.`)

/** Parses one segment of the pattern `text`, whose braces are balanced. @throws IopaError 500 that says what to write instead. */
export const parseSegment = (text: string, raw: string, last: boolean): PatternSegment => {
  if (raw.length > MAX_SEGMENT_LENGTH) throw invalid(text, `use at most ${MAX_SEGMENT_LENGTH} characters in a segment`)
  const optional = raw.endsWith('?') && (raw[0] === ':' || raw[0] === '*' || raw.includes('{'))
  const segment = parseBody(text, optional ? raw.slice(0, -1) : raw, last)
  if (segment.kind === 'tail' && !last) throw invalid(text, `move "${raw}" to the end; a tail takes all that is left of the path`)
  if (!optional || segment.kind === 'static') return segment
  if (segment.kind === 'mixed')
    throw invalid(
      text,
      `a segment with text beside a parameter is not optional; leave out the "?" of "${raw}", and add a second route without the segment`
    )
  return { ...segment, optional }
}

const parseBody = (text: string, body: string, last: boolean): PatternSegment => {
  if (body[0] === ':') return parseColon(text, body)
  if (body.includes('{')) return parseBraces(text, body)
  return body === '*' ? { kind: 'tail', name: '*' } : parseLiteral(text, body, last)
}

/** `:id`, or `:id{regex}` as IOPA 4 wrote it. */
const parseColon = (text: string, raw: string): PatternSegment => {
  const name = COLON_PARAM.exec(raw)?.[1]
  if (name === undefined) throw invalid(text, `name the parameter "${raw}" with letters, digits and "_"`)
  const rest = raw.slice(name.length + 1)
  if (rest === '') return { kind: 'param', name }
  if (rest[0] === '{' && closingBrace(rest, 0) === rest.length - 1) return { kind: 'param', name, constraint: constraintOf(text, rest.slice(1, -1)) }
  throw invalid(text, `a parameter with ":" fills its whole segment; write "${raw}" with braces, as in "${inBraces(name, rest)}"`)
}

/** What the author of `:id.json`, `:a-:b`, `:id([0-9]+)` or `:id{[0-9]+}.json` means. */
const inBraces = (name: string, rest: string): string => {
  const regex = /^\((.*)\)$/.exec(rest)?.[1]
  if (regex !== undefined) return `{${name}:${regex}}`
  if (rest[0] !== '{') return `{${name}}${rest.replace(/:([A-Za-z_][A-Za-z0-9_]*)/g, '{$1}')}`
  const close = closingBrace(rest, 0)
  return `{${name}:${rest.slice(1, close)}}${rest.slice(close + 1)}`
}

/** `{id}`, `{id:regex}`, `{rest*}`, or parameters with text beside them. */
const parseBraces = (text: string, raw: string): PatternSegment => {
  const first = raw.indexOf('{')
  if (first === 0 && closingBrace(raw, 0) === raw.length - 1) return parseParam(text, raw.slice(1, -1))
  const prefix = raw.slice(0, first)
  checkLiteral(text, prefix)
  const params: MixedParam[] = []
  let shape = prefix
  for (let open = first; open < raw.length; ) {
    const close = closingBrace(raw, open)
    const next = raw.indexOf('{', close)
    const end = next === -1 ? raw.length : next
    const param = parseParam(text, raw.slice(open + 1, close))
    const literal = raw.slice(close + 1, end)
    const written = raw.slice(open, close + 1)
    if (param.kind === 'tail') throw invalid(text, `remove the text beside "${written}"; a tail takes all that is left of the path`)
    if (literal === '' && next !== -1) throw invalid(text, `put text behind "${written}"; without it nothing says where the parameter ends`)
    checkLiteral(text, literal)
    const { name, constraint } = param
    params.push({ name, literal, ...(constraint && { constraint }) })
    shape += `{${constraint === undefined ? '' : `:${constraint.source}`}}${literal}`
    open = end
  }
  return { kind: 'mixed', prefix, params, shape }
}

/** What stands between braces. */
const parseParam = (text: string, body: string): Exclude<PatternSegment, { kind: 'static' | 'mixed' }> => {
  const colon = body.indexOf(':')
  const tail = colon === -1 && body.endsWith('*')
  const name = colon === -1 ? (tail ? body.slice(0, -1) : body) : body.slice(0, colon)
  if (!NAME.test(name)) throw invalid(text, `name a parameter with letters, digits and "_"; "${name}" is not such a name`)
  if (tail) return { kind: 'tail', name }
  return colon === -1 ? { kind: 'param', name } : { kind: 'param', name, constraint: constraintOf(text, body.slice(colon + 1)) }
}

const parseLiteral = (text: string, raw: string, last: boolean): PatternSegment => {
  if (raw === '' && !last) throw invalid(text, 'remove the empty segment; a path has none but a final one')
  if (raw === '.' || raw === '..') throw invalid(text, `remove the segment "${raw}"; no path has one`)
  checkLiteral(text, raw)
  return { kind: 'static', value: raw }
}

const checkLiteral = (text: string, literal: string): void => {
  if (/[\\\0]/.test(literal)) throw invalid(text, 'remove the backslash or NUL; no path has one')
  if (literal.includes('*')) throw invalid(text, 'a "*" stands alone in the last segment, or in {name*}')
  if (literal.includes('?'))
    throw invalid(text, 'a "?" only follows a parameter that fills its segment, as in {id}?; the query string is no part of a pattern')
  if (ESCAPE.test(literal))
    throw invalid(text, `write the characters themselves; "${literal}" would never match, for paths are decoded before they are routed`)
}

/** Where the brace that opens at `open` closes. */
const closingBrace = (raw: string, open: number): number => {
  let depth = 0
  for (let i = open; i < raw.length; i++) {
    if (raw[i] === '{') depth++
    else if (raw[i] === '}' && --depth === 0) return i
  }
  return -1
}
