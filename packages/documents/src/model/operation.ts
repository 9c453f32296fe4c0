import type { ErrorContract, ResourceContract, RouteInfo, Schema, SecurityScheme } from '@iopa/appbuilder/extension'
import { pascalCase } from './names.ts'
import type { PathTemplate } from './path-template.ts'
import { templatesOf } from './path-template.ts'

/** One method of one path template. */
export interface Operation {
  readonly method: string
  readonly template: PathTemplate
  readonly route: RouteInfo
  readonly contract: ResourceContract | undefined
  /** Schemes of which one must have authenticated the user; empty for a guard that names none, undefined where the operation is public. */
  readonly security: readonly SecurityScheme[] | undefined
  /** What it reads or changes, as a type name: `Light`. */
  readonly subject: string
  readonly title: string | undefined
  readonly description: string | undefined
  readonly params: Schema | undefined
  readonly query: Schema | undefined
  readonly headers: Schema | undefined
  /** Of the body of the request. */
  readonly input: Schema | undefined
  /** Of the body of a 2xx answer. */
  readonly answer: Schema | undefined
  /** True where `answer` is the representation of the contract, as GET answers it. */
  readonly isRepresentation: boolean
  readonly errors: Readonly<Record<string, ErrorContract>>
}

/** Methods that no client sends. */
const CONTROL: ReadonlySet<string> = new Set(['CONNECT', 'DISCONNECT', 'SUBSCRIBE', 'UNSUBSCRIBE', 'DATA'])

/** Methods that answer with the state unless their contract says otherwise. */
const REPRESENTED: ReadonlySet<string> = new Set(['GET', 'PUT', 'PATCH', 'iPATCH'])

/** The operations of a route: none for control methods, and for a route of every method, of which nothing is known. */
export const operationsOf = (route: RouteInfo, subject: string = subjectOf(route)): readonly Operation[] => {
  const { method, attributes } = route
  if (method === undefined || CONTROL.has(method)) return []
  const contract = attributes.resource
  const declared = contract?.methods[method]
  const state = REPRESENTED.has(method) ? contract?.state : undefined
  const answer = attributes.answer ?? declared?.answer ?? state
  const shared = {
    method,
    route,
    contract,
    security: securityOf(route),
    subject,
    title: attributes.title ?? declared?.title ?? contract?.title,
    description: attributes.description ?? declared?.description ?? contract?.description,
    params: attributes.params ?? contract?.params,
    query: attributes.query ?? declared?.query,
    headers: attributes.headers ?? declared?.headers,
    input: attributes.input ?? declared?.input,
    answer,
    isRepresentation: answer !== undefined && contract !== undefined && (answer === contract.state || answer === contract.methods['GET']?.answer),
    errors: attributes.errors ?? declared?.errors ?? {}
  }
  return templatesOf(route).map(template => ({ ...shared, template }))
}

/** What a route says itself goes before its contract, and both before the guards that stand before it. */
const securityOf = ({ attributes, security: ofGuards, guarded, method }: RouteInfo): Operation['security'] => {
  const own = attributes.security ?? attributes.resource?.methods[method ?? '']?.security ?? attributes.resource?.security
  if (own !== undefined) return own.length === 0 ? undefined : own
  return ofGuards ?? (guarded === true ? [] : undefined)
}

/** Named by the resource type, the title of the contract, or the path. */
const subjectOf = (route: RouteInfo): string => declaredSubject(route) ?? pathName(route.segments)

/** What a route or its contract calls what is there; undefined where neither says. */
export const declaredSubject = ({ attributes: { rt, resource } }: Pick<RouteInfo, 'attributes'>): string | undefined => {
  const type = (resource?.rt ?? rt)?.split(' ', 1)[0]
  const name = pascalCase(type ?? (resource?.title ?? '').replace(/^(?:an?|the)\s/i, ''))
  return /^[A-Z]/.test(name) ? name : undefined
}

const pathName = (segments: RouteInfo['segments']): string => {
  const name = segments.map(segment => (segment.kind === 'static' ? pascalCase(segment.value) : '')).join('')
  const item = segments.at(-1)?.kind !== 'static' && segments.length > 0 ? 'Item' : ''
  return name === '' ? `Root${item}` : /^[A-Z]/.test(name) ? name + item : `Path${name}${item}`
}

/** True when a GET of the operation can be observed. */
export const isObservable = ({ method, route }: Operation): boolean => method === 'GET' && route.attributes.obs !== false

/** How an omission names an operation. */
export const labelOf = ({ method, template }: Pick<Operation, 'method' | 'template'>): string => `${method} ${template.text}`
