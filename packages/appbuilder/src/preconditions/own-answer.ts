import { type CodecTable, IopaError } from '@iopa/constants'
import { type AnswerRecord, noteNegotiation, OPEN, preview, RECORD, type RunContext } from '@iopa/context/host'
import { contentTag } from '@iopa/transport/host'
import { evaluate, namesTags } from './conditions.ts'

/** RFC 9110 section 15.4.5: what describes the content stays away; what a cache needs stays. */
const OF_THE_CONTENT = ['content-type', 'content-length', 'content-encoding', 'content-language', 'content-range', 'last-modified']

const isRead = (method: string): boolean => method === 'GET' || method === 'HEAD' || method === 'FETCH'

/** The error of a request whose precondition does not hold. */
export const preconditionFailed = (): IopaError =>
  new IopaError(412, 'precondition-failed', 'The resource is not in the state that the precondition names; get it, then try again.')

/**
 * Judges the preconditions of a read by the answer that its handler gave (RFC 9110 section 13.2.1), before that is sealed. Observers are not judged: each
 * protocol tells a first answer from later ones by itself.
 */
export const judgeOwnAnswer = (context: RunContext, codecs: CodecTable): void => {
  if (context['iopa.Observe'] === true || !context.hasPrecondition || !isRead(context['iopa.Method'])) return
  const answer = context[RECORD]
  if (answer.status !== 200 || answer.state !== OPEN || answer.rare?.judged === true) return
  const { headers } = context
  const etag = answer.headers.get('etag') ?? (namesTags(headers) ? tagged(answer) : undefined)
  const verdict = evaluate(headers, { exists: true, etag, lastModified: answer.headers.get('last-modified') }, true)
  if (verdict === 'failed') answer.fail(preconditionFailed())
  else if (verdict === 'not-modified') {
    // RFC 9110 section 15.4.5: a 304 has the Vary of the answer that it stands for.
    noteNegotiation(answer, codecs)
    answer.body = undefined
    answer.type = ''
    answer.status = 304
    for (const name of OF_THE_CONTENT) answer.headers.delete(name)
  }
}

/** Gives an answer whose content is in memory the tag of that content; undefined for a stream. */
const tagged = (answer: AnswerRecord): string | undefined => {
  if (answer.body === undefined || isLazy(answer.body)) return undefined
  const { payload, type } = preview(answer)
  answer.body = payload ?? undefined
  answer.type = type
  if (typeof payload !== 'string' && !(payload instanceof Uint8Array)) return undefined
  const etag = contentTag(payload)
  answer.headers.set('etag', etag)
  return etag
}

/** True for a body that is read piece by piece, or later. */
const isLazy = (body: unknown): boolean =>
  typeof body === 'object' &&
  body !== null &&
  (Symbol.asyncIterator in body || 'getReader' in body || 'pipe' in body || 'arrayBuffer' in body || 'then' in body)
