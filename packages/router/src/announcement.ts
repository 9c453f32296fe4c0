import type { RouteAttributes, RouteInfo, RouteSegment } from '@iopa/appbuilder/extension'
import type { Pattern } from './pattern.ts'
import type { RouteTable } from './route-table.ts'
import type { Target } from './target.ts'

/** One announcement for each pattern, with the methods and attributes of its routes; those behind a guard of their own are announced apart. */
export const announced = (table: RouteTable<Target>): RouteInfo[] => {
  const byPattern = new Map<string, { pattern: Pattern; methods: (string | undefined)[]; attributes: RouteAttributes; guarded: boolean }>()
  for (const { method, pattern, value } of table.routes) {
    const { guarded } = value
    const key = `${guarded} ${pattern.text}`
    const known = byPattern.get(key)
    if (known === undefined) byPattern.set(key, { pattern, methods: [method], attributes: value.attributes, guarded })
    else {
      known.methods.push(method)
      known.attributes = { ...known.attributes, ...value.attributes }
    }
  }
  return [...byPattern.values()].map(({ pattern, methods, attributes, guarded }) => ({
    methods: methods.includes(undefined) ? [] : (methods as string[]),
    pattern: pattern.text,
    segments: segmentsOf(pattern),
    attributes,
    ...(guarded ? { guarded } : undefined)
  }))
}

/** The root has no segments; a trailing slash is a final empty one. */
const segmentsOf = ({ text, segments, optional }: Pattern): RouteSegment[] =>
  text === '/'
    ? []
    : segments.map((segment, index) => {
        const leftOut = optional.has(index) ? { optional: true } : undefined
        if (segment.kind !== 'param') return { ...segment, ...leftOut }
        const { name, constraint } = segment
        return { kind: 'param', name, ...(constraint && { constraint: constraint.regex }), ...leftOut }
      })
