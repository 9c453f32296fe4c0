import type { JsonSchema } from './json-schema.ts'
import { mapSubschemas } from './walk.ts'

/** What a merge patch (RFC 7396) of a value of this schema looks like: no member is required, at any depth, and none has a default. */
export const mergePatchOf = (schema: JsonSchema): JsonSchema => {
  const { required: _, default: __, ...rest } = mapSubschemas(schema, mergePatchOf)
  return rest
}

/** A JSON Patch (RFC 6902). */
export const JSON_PATCH: JsonSchema = {
  type: 'array',
  description: 'A JSON Patch (RFC 6902).',
  items: {
    type: 'object',
    required: ['op', 'path'],
    properties: {
      op: { enum: ['add', 'remove', 'replace', 'move', 'copy', 'test'] },
      path: { type: 'string', description: 'A JSON pointer (RFC 6901).' },
      from: { type: 'string' },
      value: {}
    }
  }
}
