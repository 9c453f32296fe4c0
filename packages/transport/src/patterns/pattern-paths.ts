import { IopaError } from '@iopa/constants'
import { checkPath } from '@iopa/context'
import { MAX_SEGMENT_LENGTH, MAX_SEGMENTS, type Pattern, type PatternSegment } from './pattern.ts'

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
  const parts: string[] = []
  for (const segment of pattern.segments) {
    if (segment.kind === 'static') parts.push(segment.value)
    else {
      const { name } = segment
      const value = Object.hasOwn(values, name) ? values[name] : undefined
      if (value === undefined) {
        if (segment.optional === true) continue
        throw refuse(`'${name}' is missing`)
      }
      const text = String(value)
      if (segment.kind === 'param') {
        if (text === '' || /[/\\]/.test(text)) throw refuse(`'${name}' fills one segment, which is not empty and holds no slash`)
        if (segment.constraint?.test(text) === false) throw refuse(`'${name}' does not match ${segment.constraint.source}`)
      }
      used[name] = text
      parts.push(text)
    }
  }
  const path = checkPath(`/${parts.join('/')}`)
  const read = matchPattern(pattern, path)
  const name = Object.keys({ ...used, ...read }).find(key => used[key] !== read?.[key])
  if (name !== undefined) throw refuse(`'${name}' would be read back as something else; give the optional parameters from the left`)
  return path
}

/** Narrower edges first, as in a router: literal text, constrained parameters, plain parameters, tails. */
const rankOf = (segment: PatternSegment | undefined): number =>
  segment === undefined ? 4 : segment.kind === 'static' ? 0 : segment.kind === 'tail' ? 3 : segment.constraint === undefined ? 2 : 1

const byEdge = (a: PatternSegment | undefined, b: PatternSegment | undefined): number => {
  const [one, two] = [constraintOf(a), constraintOf(b)]
  if (one === undefined || two === undefined) return rankOf(a) - rankOf(b)
  return one.breadth - two.breadth || (one.source === two.source ? 0 : one.source < two.source ? -1 : 1)
}

const constraintOf = (segment: PatternSegment | undefined) => (segment?.kind === 'param' ? segment.constraint : undefined)

const accepts = (segment: PatternSegment, segments: readonly string[], at: number): boolean => {
  const text = segments[at] as string
  if (segment.kind === 'static') return text === segment.value && (text !== '' || at === segments.length - 1)
  if (segment.kind === 'tail') return segments.length <= MAX_SEGMENTS && segments.every(({ length }) => length <= MAX_SEGMENT_LENGTH)
  return text !== '' && text.length <= MAX_SEGMENT_LENGTH && segment.constraint?.test(text) !== false
}

/** The variant that takes these segments; with full backtracking, so that it is found where there is one. */
const variantFor = (
  variants: readonly (readonly PatternSegment[])[],
  segments: readonly string[],
  at: number
): readonly PatternSegment[] | undefined => {
  if (at === segments.length) return variants.find(({ length }) => length === at)
  let left = variants.filter(variant => variant[at] !== undefined).sort((a, b) => byEdge(a[at], b[at]))
  while (left[0] !== undefined) {
    const edge = left[0][at] as PatternSegment
    const [same, others] = [left.filter(variant => byEdge(variant[at], edge) === 0), left.filter(variant => byEdge(variant[at], edge) !== 0)]
    left = others
    const fitting = same.filter(variant => accepts(variant[at] as PatternSegment, segments, at))
    if (fitting.length === 0) continue
    const found = edge.kind === 'tail' ? fitting[0] : variantFor(fitting, segments, at + 1)
    if (found !== undefined) return found
  }
  return undefined
}

const paramsOf = (variant: readonly PatternSegment[], segments: readonly string[]): PatternParams => {
  const params: Record<string, string> = Object.create(null)
  variant.forEach((segment, at) => {
    if (segment.kind === 'param') params[segment.name] = segments[at] as string
    else if (segment.kind === 'tail') params[segment.name] = segments.slice(at).join('/')
  })
  return params
}
