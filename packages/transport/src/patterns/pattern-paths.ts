import { IopaError } from '@iopa/constants'
import { checkPath } from '@iopa/context/host'
import type { Constraint } from './constraint.ts'
import type { Pattern } from './pattern.ts'
import {
  acceptsSegment,
  compareSegments,
  isOptionalSegment,
  MAX_SEGMENT_LENGTH,
  MAX_SEGMENTS,
  type MixedSegment,
  type PatternSegment,
  paramNames,
  placeParams
} from './pattern-segment.ts'

/** The parameters of a path, by name; a name that an optional segment left out is missing. */
export type PatternParams = Readonly<Record<string, string>>

/** Values for the parameters of a pattern; numbers are written in decimal. */
export type PatternValues = Readonly<Record<string, string | number | undefined>>

/**
 * The parameters of a canonical (decoded) path, or undefined where the pattern does not match it. A router with this one pattern
 * gives the same parameters.
 */
export const matchPattern = ({ variants }: Pattern, path: string): PatternParams | undefined => {
  if (path[0] !== '/') return undefined
  const segments = path.slice(1).split('/')
  const variant = variantFor(variants, segments, 0)
  return variant && paramsOf(variant, segments)
}

/**
 * The canonical (decoded) path of a pattern with these values; `encodePath` makes it the path of a URL. Optional segments without a value are left out.
 * @throws IopaError 400 for a value that is missing, does not fit, or would be read back as something else; 414 for one that is too long.
 */
export const expandPattern = (pattern: Pattern, values: PatternValues): string => {
  const refuse = (why: string): IopaError =>
    new IopaError(400, 'bad-param', `The pattern ${JSON.stringify(pattern.text)} has no path with these parameters: ${why}.`)
  const used: Record<string, string> = Object.create(null)
  const take = (name: string, constraint: Constraint | undefined, literal: string): string => {
    const text = String(values[name])
    if (text === '' || /[/\\]/.test(text)) throw refuse(`'${name}' is text within one segment, which is not empty and holds no slash`)
    if (constraint?.test(text) === false) throw refuse(`'${name}' does not match ${constraint.source}`)
    // An earlier end may lie within the value, or begin in it and end in the text behind it.
    if (literal !== '' && `${text}${literal}`.indexOf(literal) < text.length)
      throw refuse(`'${name}' ends at the first ${JSON.stringify(literal)}, and would be read back shorter`)
    used[name] = text
    return text + literal
  }
  const parts: string[] = []
  for (const segment of pattern.segments) {
    const missing = paramNames(segment).find(name => !Object.hasOwn(values, name) || values[name] === undefined)
    if (missing !== undefined) {
      if (isOptionalSegment(segment)) continue
      throw refuse(`'${missing}' is missing`)
    }
    if (segment.kind === 'static') parts.push(segment.value)
    else if (segment.kind === 'param') parts.push(take(segment.name, segment.constraint, ''))
    else if (segment.kind === 'mixed')
      parts.push(segment.params.reduce((text, { name, constraint, literal }) => text + take(name, constraint, literal), segment.prefix))
    else parts.push((used[segment.name] = String(values[segment.name])))
  }
  const path = checkPath(`/${parts.join('/')}`)
  const read = matchPattern(pattern, path)
  const name = Object.keys({ ...used, ...read }).find(key => used[key] !== read?.[key])
  if (name !== undefined) throw refuse(`'${name}' would be read back as something else; give the optional parameters from the left`)
  return path
}

const accepts = (segment: PatternSegment, segments: readonly string[], at: number): boolean =>
  segment.kind === 'tail'
    ? segments.length <= MAX_SEGMENTS && segments.every(({ length }) => length <= MAX_SEGMENT_LENGTH)
    : acceptsSegment(segment, segments[at] as string)

/** The variant that takes these segments; with full backtracking, so that it is found where there is one. */
const variantFor = (
  variants: readonly (readonly PatternSegment[])[],
  segments: readonly string[],
  at: number
): readonly PatternSegment[] | undefined => {
  if (at === segments.length) return variants.find(({ length }) => length === at)
  const edgeOf = (variant: readonly PatternSegment[]): PatternSegment => variant[at] as PatternSegment
  let left = variants.filter(({ length }) => length > at).sort((a, b) => compareSegments(edgeOf(a), edgeOf(b)))
  while (left[0] !== undefined) {
    const edge = edgeOf(left[0])
    const same = left.filter(variant => compareSegments(edgeOf(variant), edge) === 0)
    left = left.slice(same.length)
    if (!accepts(edge, segments, at)) continue
    const found = edge.kind === 'tail' ? same[0] : variantFor(same, segments, at + 1)
    if (found !== undefined) return found
  }
  return undefined
}

const paramsOf = (variant: readonly PatternSegment[], segments: readonly string[]): PatternParams => {
  const params: Record<string, string> = Object.create(null)
  variant.forEach((segment, at) => {
    if (segment.kind === 'param') params[segment.name] = segments[at] as string
    else if (segment.kind === 'mixed') addParams(params, segment, segments[at] as string)
    else if (segment.kind === 'tail') params[segment.name] = segments.slice(at).join('/')
  })
  return params
}

const addParams = (params: Record<string, string>, segment: MixedSegment, text: string): void => {
  const [starts, ends]: [number[], number[]] = [[], []]
  placeParams(segment, text, starts, ends, 0, 0)
  for (const [i, { name }] of segment.params.entries()) params[name] = text.slice(starts[i], ends[i])
}
