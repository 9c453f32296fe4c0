import { type Description, describedOperations } from '../model/description.ts'
import { pascalCase } from '../model/names.ts'
import { labelOf, type Operation } from '../model/operation.ts'
import type { JsonSchema } from '../schemas/json-schema.ts'
import { parametersOf } from './parameters.ts'
import { requestBodyOf } from './request-body.ts'
import { responsesOf } from './responses.ts'
import { INVALID_INPUT, PROBLEM } from './shared.ts'
import { OpenApiState } from './state.ts'

/** The versions of OpenAPI, newest first. */
export const OPENAPI_VERSIONS = ['3.2', '3.1'] as const

export type OpenApiVersion = (typeof OPENAPI_VERSIONS)[number]

const FULL: Readonly<Record<OpenApiVersion, string>> = { '3.2': '3.2.0', '3.1': '3.1.1' }

/** Methods with a field in a Path Item Object; OpenAPI 3.2 has `query` too. */
const FIELDS: ReadonlySet<string> = new Set(['GET', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'HEAD', 'PATCH', 'TRACE'])

/** One path of the document. */
interface PathItem {
  readonly text: string
  /** The names of its parameters; other routes of the same shape take these. */
  readonly names: readonly string[]
  readonly fields: Record<string, unknown>
}

/** Makes an OpenAPI document, an operation at a time. */
export const openapiDocument = function* (description: Description, version: OpenApiVersion): Generator<void, JsonSchema> {
  const readable = new Set<string>()
  const state = new OpenApiState(version === '3.2', readable)
  const operations: Operation[] = []
  for (const operation of describedOperations(description, state.omissions)) {
    operations.push(operation)
    if (operation.method === 'GET') readable.add(operation.template.shape)
    yield
  }
  state.components.add(PROBLEM, 'Problem', 'problems')
  state.components.schemas['InvalidInput'] = INVALID_INPUT
  const items = new Map<string, PathItem>()
  for (const operation of operations) {
    addOperation(operation, itemOf(operation, items), state)
    yield
  }
  const paths = Object.fromEntries(Array.from(items.values(), ({ text, fields }) => [text, fields]))
  const servers = serversOf(description)
  return {
    openapi: FULL[version],
    info: description.info,
    ...(servers.length > 0 ? { servers } : undefined),
    paths,
    components: state.members(),
    ...state.omissions.member()
  }
}

/** Paths that differ in the names of their parameters alone are the same to OpenAPI (section 4.8.8.1). */
const itemOf = ({ template: { shape, text, parameters } }: Operation, items: Map<string, PathItem>): PathItem => {
  let item = items.get(shape)
  if (item === undefined) items.set(shape, (item = { text, names: parameters.map(({ name }) => name), fields: {} }))
  return item
}

const addOperation = (operation: Operation, { names, fields }: PathItem, state: OpenApiState): void => {
  const { method } = operation
  const field = FIELDS.has(method) || (method === 'QUERY' && state.isLatest) ? method.toLowerCase() : undefined
  if (field === undefined && !state.isLatest) {
    state.omissions.add(labelOf(operation), `OpenAPI 3.1 has no method ${method}; ask for version 3.2`)
    return
  }
  const others = field === undefined ? ((fields['additionalOperations'] ??= {}) as Record<string, unknown>) : fields
  const key = field ?? method
  if (key in others)
    state.omissions.add(`${method} ${operation.route.pattern}`, 'its path differs from that of another route in names and constraints alone')
  else others[key] = operationObject(operation, names, state)
}

const operationObject = (operation: Operation, names: readonly string[], state: OpenApiState): JsonSchema => {
  const { method, template, title, description, security, route } = operation
  const [first] = template.parts.filter(part => part !== '/')
  const body = requestBodyOf(operation, state)
  const parameters = parametersOf(operation, names, state)
  const requirements = security === undefined ? undefined : state.security(security, labelOf(operation))
  return {
    operationId: state.operationIds.take(method.toLowerCase() + pathName(operation)),
    ...(title === undefined ? undefined : { summary: title }),
    ...(description === undefined ? undefined : { description }),
    ...(typeof first === 'string' ? { tags: [first] } : undefined),
    ...(parameters.length > 0 ? { parameters } : undefined),
    ...(body === undefined ? undefined : { requestBody: body }),
    responses: responsesOf(operation, state),
    ...(requirements === undefined ? undefined : { security: requirements }),
    ...(security === undefined || requirements !== undefined ? undefined : { 'x-guarded': true }),
    ...(route.attributes.rt === undefined ? undefined : { 'x-resource-type': route.attributes.rt })
  }
}

const pathName = ({ template: { parts } }: Operation): string =>
  parts.map(part => (typeof part === 'string' ? pascalCase(part) : `By${pascalCase(part.name)}`)).join('') || 'Root'

/** Relative to the document where the app listens itself, so that it holds behind any name of the machine. */
const serversOf = ({ addresses, base, isOwn }: Description): readonly JsonSchema[] =>
  isOwn ? [{ url: base === '' ? '/' : base }] : addresses.filter(({ protocol }) => protocol === 'http').map(({ url }) => ({ url: url + base }))
