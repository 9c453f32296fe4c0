import { isIopaError } from '@iopa/constants'
import { Answer } from './answer.ts'
import { assignHeaders } from './header-map.ts'
import { abandonBody } from './payload-stream.ts'
import { isReply } from './reply.ts'

const isWebResponse = (value: object): value is Response =>
  typeof (value as Partial<Response>).arrayBuffer === 'function' && 'headers' in value && typeof (value as Partial<Response>).status === 'number'

/** Writes what a handler returned to the answer; undefined changes nothing, an Error is thrown. */
export const applyValue = (answer: Answer, value: unknown): void => {
  if (value === undefined) return
  if (typeof value !== 'object' || value === null) {
    answer.body = value
    return
  }
  if (isReply(value)) {
    answer.status = value.status
    if (value.headers !== undefined) assignHeaders(answer.headers, value.headers)
    if (value.body !== undefined) applyBody(answer, value.body)
  } else if (value instanceof Error || isIopaError(value)) throw value
  else applyBody(answer, value)
}

/** Gives up what a handler returned after its answer had been sent without it. */
export const abandonValue = (value: unknown): void => {
  if (typeof value !== 'object' || value === null) return
  if (isReply(value)) abandonBody(value.body)
  else if (value instanceof Answer) abandonBody(value.sealed ? value.payload : value.body)
  else abandonBody(isWebResponse(value) ? value.body : value)
}

const applyBody = (answer: Answer, value: unknown): void => {
  if (value instanceof Answer) {
    if (value === answer) return
    if (value.status !== 0) answer.status = value.status
    assignHeaders(answer.headers, value.headers)
    answer.type = value.type
    answer.body = value.sealed ? (value.payload ?? undefined) : value.body
  } else if (typeof value === 'object' && value !== null && isWebResponse(value)) {
    answer.status = value.status
    value.headers.forEach((field, name) => {
      answer.headers.append(name, field)
    })
    answer.body = value.body ?? undefined
  } else answer.body = value
}
