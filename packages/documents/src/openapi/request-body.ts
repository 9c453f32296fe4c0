import { JSON_TYPE } from '../model/media-types.ts'
import { declaredSubject, labelOf, type Operation } from '../model/operation.ts'
import type { JsonSchema } from '../schemas/json-schema.ts'
import { JSON_PATCH, mergePatchOf } from '../schemas/merge-patch.ts'
import type { OpenApiState } from './state.ts'

/** The Request Body Object of an operation; undefined where it takes no body, or nothing is known of it. */
export const requestBodyOf = (operation: Operation, state: OpenApiState): JsonSchema | undefined => {
  const { method, input, contract, subject } = operation
  const { components } = state
  const of = labelOf(operation)
  if ((method === 'PATCH' || method === 'iPATCH') && input === undefined && contract?.state !== undefined) {
    const plain = components.plain(contract.state, 'input', of)
    const patch = plain === undefined ? {} : components.add(mergePatchOf(plain), `${subject}Patch`, of)
    return {
      required: true,
      content: {
        'application/merge-patch+json': { schema: patch },
        ...(method === 'PATCH' ? { 'application/json-patch+json': { schema: components.add(JSON_PATCH, 'JsonPatch', of) } } : undefined)
      }
    }
  }
  if (input === undefined) return undefined
  const item = contract?.collection?.item
  const created = item !== undefined && input === item.state ? declaredSubject({ attributes: { resource: item } }) : undefined
  const name = created ?? (method === 'PUT' ? subject : `${subject}${method[0]}${method.slice(1).toLowerCase()}Input`)
  return { required: true, content: { [JSON_TYPE]: { schema: components.reference(input, 'input', name, of) } } }
}
