import type { JsonSchema } from '../schemas/json-schema.ts'

/** The problem of an answer of 400 and more (RFC 9457). */
export const PROBLEM: JsonSchema = {
  type: 'object',
  description: 'A problem (RFC 9457).',
  required: ['type', 'title', 'status'],
  properties: {
    type: { type: 'string', format: 'uri-reference' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string', description: 'A stable name of the situation.' },
    detail: { type: 'string' }
  }
}

/** The problem of input that is not valid. */
export const INVALID_INPUT: JsonSchema = {
  allOf: [
    { $ref: '#/components/schemas/Problem' },
    {
      type: 'object',
      properties: {
        errors: {
          type: 'array',
          items: {
            type: 'object',
            required: ['pointer', 'detail'],
            properties: {
              pointer: { type: 'string', description: 'A JSON pointer (RFC 6901) to the member; the empty text is the whole.' },
              detail: { type: 'string' },
              in: { enum: ['params', 'query', 'headers'], description: 'Where the value stands, unless in the body.' }
            }
          }
        }
      }
    }
  ]
}

const problem = (description: string, schema = 'Problem'): JsonSchema => ({
  description,
  content: { 'application/problem+json': { schema: { $ref: `#/components/schemas/${schema}` } } }
})

export type SharedResponse = 'Problem' | 'NotModified' | 'Unauthorized' | 'Forbidden' | 'NotFound' | 'PreconditionFailed' | 'InvalidInput'

/** Responses that many operations share. */
export const RESPONSES: Readonly<Record<SharedResponse, JsonSchema>> = {
  Problem: problem('Any other error.'),
  NotModified: { description: 'The representation is the one that If-None-Match names.' },
  Unauthorized: problem('The request does not say who is asking.'),
  Forbidden: problem('This user may not do this.'),
  NotFound: problem('There is nothing at this path.'),
  PreconditionFailed: problem('The resource is not in the state that If-Match names.'),
  InvalidInput: problem('The input is not valid; its errors say where.', 'InvalidInput')
}

export type SharedParameter = 'IfMatch' | 'IfNoneMatch'

/** Parameters that many operations share. */
export const SHARED_PARAMETERS: Readonly<Record<SharedParameter, JsonSchema>> = {
  IfMatch: { name: 'If-Match', in: 'header', description: 'Changes only what has this entity tag.', schema: { type: 'string' } },
  IfNoneMatch: { name: 'If-None-Match', in: 'header', description: 'Answers 304 where the entity tag is this one.', schema: { type: 'string' } }
}

/** The header of answers that have an entity tag. */
export const ETAG: JsonSchema = { description: 'The entity tag of the representation.', schema: { type: 'string' } }

/** The header of an answer that has created something. */
export const LOCATION: JsonSchema = { description: 'The path of what was created.', schema: { type: 'string', format: 'uri-reference' } }
