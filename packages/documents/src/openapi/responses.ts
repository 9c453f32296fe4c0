import type { ErrorContract } from '@iopa/appbuilder/extension'
import { answerTypesOf, JSON_TYPE } from '../model/media-types.ts'
import { isObservable, labelOf, type Operation } from '../model/operation.ts'
import { answerReference } from '../schemas/computed.ts'
import type { JsonSchema } from '../schemas/json-schema.ts'
import { LOCATION, type SharedResponse } from './shared.ts'
import type { OpenApiState } from './state.ts'

/** The Responses Object of an operation: its answer, and the problems that it may end in. */
export const responsesOf = (operation: Operation, state: OpenApiState): JsonSchema => {
  const { method, template } = operation
  const shared: Record<string, SharedResponse> = {}
  if (method === 'GET') shared['304'] = 'NotModified'
  if (operation.security !== undefined) Object.assign(shared, { 401: 'Unauthorized', 403: 'Forbidden' })
  if (template.parameters.length > 0) shared['404'] = 'NotFound'
  if (state.isConditional(method, template.shape)) shared['412'] = 'PreconditionFailed'
  if ([operation.params, operation.query, operation.headers, operation.input].some(schema => schema !== undefined)) shared['422'] = 'InvalidInput'
  const declared = declaredErrors(operation, state)
  return {
    ...successOf(operation, state),
    ...Object.fromEntries(Object.entries(shared).map(([status, name]) => [status, state.response(name)])),
    ...declared,
    default: state.response('Problem')
  }
}

const READS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'FETCH', 'QUERY'])

const successOf = (operation: Operation, state: OpenApiState): JsonSchema => {
  const { method, answer, contract, title } = operation
  if (method === 'HEAD') return { 200: { description: 'The head of the representation.' } }
  if (answer === undefined && !READS.has(method)) return { '2XX': { description: 'Done.' } }
  const schema = answerSchemaOf(operation, state)
  const content: Record<string, JsonSchema> = {}
  for (const type of answerTypesOf(operation)) content[type] = /[/+]json\b/.test(type) ? { schema } : {}
  if (isObservable(operation)) content['text/event-stream'] = eventStream(schema, state)
  const success = {
    description: method === 'GET' ? (title ?? 'The representation.') : 'Done.',
    headers: { ETag: { $ref: '#/components/headers/ETag' } },
    content
  }
  const creates = method === 'POST' && (contract?.collection?.create ?? false)
  return creates
    ? { 201: { ...success, description: 'Created; Location has its path.', headers: { ...success.headers, Location: LOCATION } } }
    : { 200: success }
}

const answerSchemaOf = (operation: Operation, { components }: OpenApiState): JsonSchema =>
  operation.answer === undefined ? {} : answerReference(operation, operation.answer, `${operation.subject}${answerName(operation)}`, components)

const answerName = ({ method }: Operation): string => (method === 'GET' ? '' : `${method[0]}${method.slice(1).toLowerCase()}Answer`)

/** The representation now and after each change (HTML section 9.2). OpenAPI 3.1 has no schema for one event. */
const eventStream = (schema: JsonSchema, { isLatest }: OpenApiState): JsonSchema => {
  if (!isLatest) return { schema: { type: 'string', description: 'Server-sent events: the data of each is a representation.' } }
  const data = { type: 'string', contentMediaType: JSON_TYPE, contentSchema: schema }
  return { itemSchema: { type: 'object', required: ['data'], properties: { data, id: { type: 'string' }, event: { type: 'string' } } } }
}

/** The declared errors by status, each a problem with its code. */
const declaredErrors = (operation: Operation, state: OpenApiState): JsonSchema => {
  const byStatus = new Map<number, [string, ErrorContract][]>()
  for (const [code, error] of Object.entries(operation.errors)) {
    const known = byStatus.get(error.status)
    if (known === undefined) byStatus.set(error.status, [[code, error]])
    else known.push([code, error])
  }
  return Object.fromEntries(
    Array.from(byStatus, ([status, errors]) => {
      const schemas = errors.map(([code, error]) => errorSchema(code, error, operation, state))
      return [
        String(status),
        {
          description: errors.map(([code, { title }]) => title ?? code).join('; '),
          content: { 'application/problem+json': { schema: schemas.length === 1 ? schemas[0] : { oneOf: schemas } } }
        }
      ]
    })
  )
}

const errorSchema = (code: string, { extensions }: ErrorContract, operation: Operation, { components }: OpenApiState): JsonSchema => ({
  allOf: [
    { $ref: '#/components/schemas/Problem' },
    { type: 'object', required: ['code'], properties: { code: { const: code } } },
    ...(extensions === undefined ? [] : [components.reference(extensions, 'output', `${operation.subject}Error`, `${labelOf(operation)} ${code}`)])
  ]
})
