import type { RouteInfo } from '@iopa/appbuilder/extension'

type Segment = RouteInfo['segments'][number]

/** One parameter of a path template. */
export interface PathParameter {
  readonly name: string
  /** Its name in the pattern, where documents need another one. */
  readonly key: string
  /** A regular expression (ECMA-262) that the whole value matches; undefined where any will do. */
  readonly pattern: string | undefined
  /** True for one that takes the rest of the path, slashes included. */
  readonly tail: boolean
}

/** A path with parameters in braces: one for each way of leaving out the optional segments of a pattern. */
export interface PathTemplate {
  /** Such as `/lights/{id}`, percent-encoded outside the braces. */
  readonly text: string
  /** Equal for templates that differ in the names of their parameters alone. */
  readonly shape: string
  readonly parameters: readonly PathParameter[]
  /** Text and parameters in turn, for other forms of the same template. */
  readonly parts: readonly (string | PathParameter)[]
}

/** The templates of a route, the fullest first. */
export const templatesOf = ({ segments }: Pick<RouteInfo, 'segments'>): readonly PathTemplate[] => variantsOf(segments).map(templateOf)

const variantsOf = (segments: readonly Segment[]): readonly (readonly Segment[])[] =>
  segments.reduceRight<readonly (readonly Segment[])[]>(
    (rest, segment) => [...rest.map(variant => [segment, ...variant]), ...('optional' in segment && segment.optional === true ? rest : [])],
    [[]]
  )

const templateOf = (segments: readonly Segment[]): PathTemplate => {
  const parts: (string | PathParameter)[] = []
  if (segments.length === 0) parts.push('/')
  for (const segment of segments) parts.push('/', ...partsOf(segment))
  const parameters = parts.filter(part => typeof part !== 'string')
  return {
    text: parts.map(part => (typeof part === 'string' ? encoded(part) : `{${part.name}}`)).join(''),
    shape: parts.map(part => (typeof part === 'string' ? encoded(part) : part.tail ? '{*}' : '{}')).join(''),
    parameters,
    parts
  }
}

const partsOf = (segment: Segment): readonly (string | PathParameter)[] => {
  switch (segment.kind) {
    case 'static':
      return [segment.value]
    case 'param':
      return [{ name: segment.name, key: segment.name, pattern: segment.constraint?.source, tail: false }]
    case 'mixed':
      return [
        ...(segment.prefix === '' ? [] : [segment.prefix]),
        ...segment.params.flatMap(({ name, constraint, literal }) => [
          { name, key: name, pattern: constraint?.source, tail: false },
          ...(literal === '' ? [] : [literal])
        ])
      ]
    case 'tail':
      return [{ name: segment.name === '*' ? 'rest' : segment.name, key: segment.name, pattern: undefined, tail: true }]
  }
}

const encoded = (text: string): string =>
  text === '/' ? text : encodeURIComponent(text).replace(/%(?:24|26|2B|2C|3A|3B|3D|40)/g, decodeURIComponent)

/** The pattern of JSON Schema for a parameter: it holds for the whole value. */
export const patternOf = ({ pattern }: PathParameter): string | undefined => (pattern === undefined ? undefined : `^(?:${pattern})$`)
