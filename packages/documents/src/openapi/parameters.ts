import { membersOf } from '../model/members.ts'
import { labelOf, type Operation } from '../model/operation.ts'
import { type PathParameter, patternOf } from '../model/path-template.ts'
import type { JsonSchema } from '../schemas/json-schema.ts'
import type { OpenApiState } from './state.ts'

/** Fields that a Parameter Object cannot be (OpenAPI section 4.8.12.1). */
const OF_THE_MESSAGE: ReadonlySet<string> = new Set(['accept', 'content-type', 'authorization'])

/** The parameters of an operation: of its path with the names that the path has in the document, of its query, of its headers, and its preconditions. */
export const parametersOf = (operation: Operation, names: readonly string[], state: OpenApiState): readonly JsonSchema[] => {
  const { components, omissions } = state
  const { params, query, headers, subject, template } = operation
  const of = labelOf(operation)
  const path = membersOf(params, 'input', components, `${subject}Params`, of)
  const inPath = template.parameters.map((parameter, at) => {
    const name = names[at] as string
    const member = path.find(({ name: own }) => own === parameter.key)
    if (parameter.tail) omissions.add(of, `'${name}' may hold slashes, which a path parameter of OpenAPI may not`)
    return {
      name,
      in: 'path',
      required: true,
      ...(parameter.tail && state.isLatest ? { allowReserved: true } : undefined),
      ...described(withPattern(member?.schema, parameter))
    }
  })
  const inQuery = membersOf(query, 'input', components, `${subject}Query`, of).map(({ name, required, schema }) => ({
    name,
    in: 'query',
    ...(required ? { required } : undefined),
    ...described(schema)
  }))
  const inHeaders = membersOf(headers, 'input', components, `${subject}Headers`, of)
    .filter(({ name }) => !OF_THE_MESSAGE.has(name.toLowerCase()))
    .map(({ name, required, schema }) => ({ name, in: 'header', ...(required ? { required } : undefined), ...described(schema) }))
  return [...inPath, ...inQuery, ...inHeaders, ...preconditionsOf(operation, state)]
}

/** The description of a schema is that of its parameter. */
const described = (schema: JsonSchema): JsonSchema =>
  typeof schema['description'] === 'string' ? { description: schema['description'], schema } : { schema }

/** A parameter of a path is text, unless its schema says otherwise; the constraint of the route holds for the text. */
export const withPattern = (schema: JsonSchema | undefined, parameter: PathParameter): JsonSchema => {
  const pattern = patternOf(parameter)
  if (schema === undefined) return { type: 'string', ...(pattern === undefined ? undefined : { pattern }) }
  if (pattern === undefined) return schema
  return schema['pattern'] === undefined && schema['$ref'] === undefined && schema['type'] === 'string'
    ? { ...schema, pattern }
    : { allOf: [schema, { pattern }] }
}

/** Conditional requests (RFC 9110 section 13.1). */
const preconditionsOf = ({ method, template }: Operation, state: OpenApiState): readonly JsonSchema[] => {
  if (method === 'GET') return [state.parameter('IfNoneMatch')]
  return state.isConditional(method, template.shape) ? [state.parameter('IfMatch')] : []
}
