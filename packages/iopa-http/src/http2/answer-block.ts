import type { OutgoingHttpHeaders } from 'node:http2'
import { isOfConnection } from '../message/answer-fields.ts'
import { type AnswerHeads, checkField, checkType } from '../message/answer-head.ts'

/** `:status` and the fields of `pairs` that concern the message. @throws IopaError 500 for fields that HTTP cannot carry */
export const fieldBlock = (status: number, pairs: readonly string[]): Record<string, number | string | string[]> => {
  const block: Record<string, number | string | string[]> = Object.create(null)
  block[':status'] = status
  for (let at = 0; at < pairs.length; at += 2) {
    const name = (pairs[at] as string).toLowerCase()
    if (isOfConnection(name)) continue
    const value = pairs[at + 1] as string
    checkField(name, value)
    const before = block[name]
    if (before === undefined) block[name] = value
    else if (Array.isArray(before)) before.push(value)
    else block[name] = [before as string, value]
  }
  return block
}

/** The fields after a body. */
export const trailerBlock = (pairs: readonly string[]): OutgoingHttpHeaders => {
  const block: OutgoingHttpHeaders = Object.create(null)
  for (let at = 0; at < pairs.length; at += 2) block[pairs[at] as string] = pairs[at + 1]
  return block
}

/**
 * The fields of an answer, `:status` among them: of `pairs` those that concern the message, then `type`. `length` is that of the body in bytes, null for none.
 * @throws IopaError 500 for fields that HTTP cannot carry.
 */
export const answerBlock = (
  heads: AnswerHeads,
  status: number,
  pairs: readonly string[],
  type: string,
  length: number | null
): OutgoingHttpHeaders => {
  const block = fieldBlock(status, pairs)
  if (type !== '') {
    checkType(type)
    block['content-type'] = type
  }
  if (length !== null) block['content-length'] = length
  block['date'] ??= heads.date()
  return block
}
