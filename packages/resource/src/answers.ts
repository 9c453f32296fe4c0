import { faultsOf, type Schema } from '@iopa/appbuilder/extension'
import { IopaError, withOrigin } from '@iopa/constants'
import { isReply } from '@iopa/context'
import { HeaderMap, KIND, kindOf, RECORD, type RunContext } from '@iopa/context/host'
import { listed } from './faults.ts'
import { isPromise } from './representation.ts'
import type { ServedRequest } from './served-request.ts'

/** Checks what a handler returned, and returns it as it is. */
export type AnswerCheck = (request: ServedRequest, value: unknown) => unknown

/**
 * The check of the answers of one method: values in 2xx answers. Streams, bytes, web Responses, text of a type that the handler names, and answers of
 * clients are let through. A refused answer is a fault of the handler: 500, and the log has the name and the pointers.
 */
export const answerCheck = (schema: Schema, name: string): AnswerCheck => {
  const judge = (value: unknown, issues: Parameters<typeof faultsOf>[0] | undefined): unknown => {
    if (issues === undefined) return value
    const detail = `${name} answered a value that its schema refuses: ${listed(faultsOf(issues))}.`
    throw withOrigin(new IopaError(500, 'invalid-answer', detail), 'internal')
  }
  const check: AnswerCheck = (request, value) => {
    const said = saidBy(request, value)
    if (said === undefined || !JUDGED.includes(kindOf(said))) return value
    const result = schema['~standard'].validate(said)
    return isPromise(result) ? result.then(({ issues }) => judge(value, issues)) : judge(value, result.issues)
  }
  return (request, value) => (isPromise(value) ? Promise.resolve(value).then(settled => check(request, settled)) : check(request, value))
}

/** The value that a handler has answered with 2xx; undefined where it has answered none. */
const saidBy = ({ context }: ServedRequest, value: unknown): unknown => {
  const record = (context as unknown as RunContext)[RECORD]
  const replied = typeof value === 'object' && value !== null && isReply(value) ? value : undefined
  const status = replied?.status ?? record.code
  if (status !== 0 && (status < 200 || status > 299)) return undefined
  // A reply without a body leaves the one that was set before.
  const given = replied === undefined ? value : replied.body
  const said = given === undefined ? record.content : given
  if (typeof said !== 'string') return said
  const named =
    record.mediaType !== '' ||
    record.headers.has('content-type') ||
    (replied?.headers !== undefined && HeaderMap.from(replied.headers).has('content-type'))
  return named ? undefined : said
}

/** Kinds that a schema can judge; what cannot be sent at all is refused too. The others are bytes, streams, and answers that were made elsewhere. */
const JUDGED: readonly number[] = [KIND.Value, KIND.Text, KIND.Unsendable]
