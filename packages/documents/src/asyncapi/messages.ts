import { JSON_TYPE } from '../model/media-types.ts'
import { labelOf, type Operation } from '../model/operation.ts'
import { answerReference } from '../schemas/computed.ts'
import type { JsonSchema } from '../schemas/json-schema.ts'
import { mergePatchOf } from '../schemas/merge-patch.ts'
import type { AsyncApiState } from './state.ts'

/** The message that the app sends: the representation, or the answer of a request. */
export const answerMessage = (operation: Operation, { components }: AsyncApiState): JsonSchema => {
  const { answer, subject, method, title = subject } = operation
  if (answer === undefined) return { title }
  const name = method === 'GET' ? subject : `${subject}${verb(method)}Answer`
  return { title, contentType: JSON_TYPE, payload: answerReference(operation, answer, name, components) }
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
