import { CodecTable, type IopaError } from '@iopa/constants'
import type { SealedAnswer } from './answer.ts'
import { AnswerRecord } from './answer-record.ts'
import type { OwnedContext } from './owned-context.ts'
import { sealAnswer } from './sealing.ts'

const CODECS = new CodecTable()

/** The sealed answer to a request that could not become a context: the problem of `error`. */
export const answerToError = (error: IopaError): SealedAnswer => {
  const answer = new AnswerRecord()
  answer.fail(error)
  sealAnswer(answer, CODECS)
  return answer
}

/** Seals the answer of a context that is not run: with the problem of an error, or with a status and no body. */
export const answerUnrun = (context: OwnedContext, outcome: IopaError | number): SealedAnswer => {
  const answer = context.response as AnswerRecord
  if (typeof outcome === 'number') answer.status = outcome
  else answer.fail(outcome)
  void sealAnswer(answer, context.environment.codecs)
  return answer
}
