import { matchPattern, parsePattern, type RouteInfo } from '@iopa/appbuilder/extension'
import type { Description } from '../model/description.ts'
import { type Operation, operationsOf } from '../model/operation.ts'
import type { PathTemplate } from '../model/path-template.ts'
import type { JsonSchema } from '../schemas/json-schema.ts'
import { instanceDocument } from './thing.ts'

const isListed = ({ method, attributes, segments }: RouteInfo): boolean =>
  method === 'GET' && attributes.instances !== undefined && attributes.discoverable !== false && segments.some(({ kind }) => kind !== 'static')

/** The paths of the instances that exist now, each with the route that lists it. */
export const instancePaths = function* ({ routes }: Pick<Description, 'routes'>): Generator<readonly [path: string, route: RouteInfo]> {
  for (const route of routes) if (isListed(route)) for (const path of route.attributes.instances?.() ?? []) yield [path, route]
}

/** The Thing Description of the instance at a path; undefined where no route lists it. */
export const instanceThing = (description: Description, path: string, directory: string): JsonSchema | undefined => {
  for (const route of description.routes) {
    if (!isListed(route) || matchPattern(parsePattern(route.pattern), path) === undefined) continue
    for (const known of route.attributes.instances?.() ?? []) if (known === path) return thingAt(description, path, route, directory)
  }
  return undefined
}

/** The Thing Description of an instance: the operations of its own path and of the paths below it. */
export const thingAt = (description: Description, path: string, route: RouteInfo, directory: string): JsonSchema => {
  const values = matchPattern(parsePattern(route.pattern), path) ?? {}
  const related = description.routes.filter(
    ({ pattern, attributes }) => attributes.discoverable !== false && (pattern === route.pattern || pattern.startsWith(`${route.pattern}/`))
  )
  const operations: Operation[] = related.flatMap(other =>
    operationsOf(other).map(operation => ({ ...operation, template: bound(operation.template, values) }))
  )
  const subject = route.attributes.resource?.title ?? route.attributes.title ?? operations[0]?.subject ?? path
  return instanceDocument(description, operations, {
    title: `${subject} ${Object.values(values).join(' ')}`.trim(),
    links: [{ href: description.base + directory, rel: 'collection', type: 'application/json' }]
  })
}

/** A template with these values in place of parameters. */
const bound = (template: PathTemplate, values: Readonly<Record<string, string>>): PathTemplate => {
  const parts = template.parts.map(part => (typeof part === 'string' ? part : (values[part.key] ?? part)))
  const text = parts.map(part => (typeof part === 'string' ? part.split('/').map(encodeURIComponent).join('/') : `{${part.name}}`)).join('')
  return { text, shape: text, parameters: parts.filter(part => typeof part !== 'string'), parts }
}
