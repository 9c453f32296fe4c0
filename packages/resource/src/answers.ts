import { faultsOf, type Schema } from '@iopa/appbuilder/extension'
import { IopaError, withOrigin } from '@iopa/constants'
import { isReply } from '@iopa/context'
import { HeaderMap, RECORD, type RunContext } from '@iopa/context/host'
import { listed } from './faults.ts'
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
    if (said === undefined || !isPlainValue(said)) return value
    const result = schema['~standard'].validate(said)
    return result instanceof Promise ? result.then(({ issues }) => judge(value, issues)) : judge(value, result.issues)
  }
  return (request, value) => (value instanceof Promise ? value.then(settled => check(request, settled)) : check(request, value))
}

/** The value that a handler has answered with 2xx; undefined where it has answered none. */
const saidBy = ({ context }: ServedRequest, value: unknown): unknown => {
  const record = (context as unknown as RunContext)[RECORD]
  const replied = typeof value === 'object' && value !== null && isReply(value) ? value : undefined
  const status = replied?.status ?? record.code
  if (status !== 0 && (status < 200 || status > 299)) return undefined
  const said = value === undefined ? record.content : replied === undefined ? value : replied.body
  if (typeof said !== 'string') return said
  const named =
    record.mediaType !== '' ||
    record.headers.has('content-type') ||
    (replied?.headers !== undefined && HeaderMap.from(replied.headers).has('content-type'))
  return named ? undefined : said
}

/** False for what is sent as bytes, as a stream, or as another answer. */
const isPlainValue = (said: unknown): boolean =>
  typeof said !== 'object' ||
  said === null ||
  Array.isArray(said) ||
  !(
    ArrayBuffer.isView(said) ||
    said instanceof ArrayBuffer ||
    said instanceof Error ||
    Symbol.asyncIterator in said ||
    Symbol.iterator in said ||
    'getReader' in said ||
    'pipe' in said ||
    'arrayBuffer' in said ||
    'headerPairs' in said
  )
