import { JSON_TYPE } from '../model/media-types.ts'
import { labelOf, type Operation } from '../model/operation.ts'
import type { JsonSchema } from '../schemas/json-schema.ts'
import { mergePatchOf } from '../schemas/merge-patch.ts'
import { representationOf } from '../schemas/representation.ts'
import type { AsyncApiState } from './state.ts'

/** The message that the app sends: the representation, or the answer of a request. */
export const answerMessage = (operation: Operation, state: AsyncApiState): JsonSchema => {
  const { answer, answersState, contract, subject, method } = operation
  const of = labelOf(operation)
  if (answer === undefined) return { title: operation.title ?? subject }
  const representation = answersState && contract !== undefined ? representationOf(contract, state.components, 'output') : undefined
  const name = answersState ? subject : method === 'GET' ? subject : `${subject}${verb(method)}Answer`
  const payload =
    representation === undefined ? state.components.reference(answer, 'output', name, of) : state.components.add(representation, subject, of)
  return { title: operation.title ?? subject, contentType: JSON_TYPE, payload }
}

/** The message that a client publishes. Without a user property `method` it is a PUT. */
export const requestMessage = (operation: Operation, state: AsyncApiState): JsonSchema => {
  const { method, input, contract, subject } = operation
  const of = labelOf(operation)
  const title = `${method} ${subject}`
  const headers =
    method === 'PUT'
      ? undefined
      : {
          type: 'object',
          description: 'User properties of MQTT 5.',
          required: method === 'GET' ? [] : ['method'],
          properties: { method: { const: method }, responseTopic: { type: 'string', description: 'The property Response Topic.' } }
        }
  const patched = (method === 'PATCH' || method === 'iPATCH') && input === undefined ? contract?.state : undefined
  const plain = patched === undefined ? undefined : state.components.plain(patched, 'input', of)
  const name = method === 'PUT' ? subject : `${subject}${verb(method)}Input`
  const payload =
    input !== undefined
      ? state.components.reference(input, 'input', name, of)
      : plain !== undefined
        ? state.components.add(mergePatchOf(plain), `${subject}Patch`, of)
        : undefined
  return {
    title,
    ...(headers === undefined ? undefined : { headers }),
    ...(payload === undefined ? undefined : { contentType: patched === undefined ? JSON_TYPE : 'application/merge-patch+json', payload })
  }
}

/** `POST` becomes `Post`. */
const verb = (method: string): string => `${method[0]}${method.slice(1).toLowerCase()}`
