import type { RandomAccessBody } from '@iopa/constants'
import type { SealedAnswer } from '@iopa/context'
import { AnswerRecord, encodePath, type RunContext, sealAnswer } from '@iopa/context/host'

const LINK_FORMAT = 'application/link-format'
const NOTHING = new Uint8Array(0)

/** True for a body that observers get as an excerpt: large, and a GET can read any part of it. */
export const isExcerpted = (payload: SealedAnswer['payload'], limit: number): payload is RandomAccessBody =>
  typeof payload === 'object' && payload !== null && typeof (payload as Partial<RandomAccessBody>).read === 'function' && sizeOf(payload) > limit

/**
 * An answer with the status and the validators of the context's own, and a link (RFC 6690) to its path as payload, with the size and type of what
 * is there, and its first `bytes` for a transport that begins with them; the body is closed. A link says that the state has changed and where it is; a part of the content would pass for the whole.
 */
export const excerpted = async (context: RunContext, body: RandomAccessBody, bytes: number): Promise<AnswerRecord> => {
  const { headers, type } = context.response
  const { size } = body
  const start = bytes === 0 ? NOTHING : await body.read(0, bytes).catch(() => NOTHING)
  await (body as Partial<AsyncDisposable>)[Symbol.asyncDispose]?.()
  const query = context['iopa.QueryString'].replace(/[<>"\\\s]/g, encodeURIComponent)
  const target = encodePath(context['iopa.PathBase'] + context['iopa.Path']) + (query === '' ? '' : `?${query}`)
  const answer = new AnswerRecord(context)
  answer.status = 200
  for (const [name, value] of headers) if (!OF_THE_CONTENT.has(name.toLowerCase())) answer.headers.append(name, value)
  answer.type = LINK_FORMAT
  answer.body = `<${target}>;type="${type.replace(/["\\]/g, '\\$&')}";sz=${size}`
  answer.excerpt = { type, size, start }
  void sealAnswer(answer, context.environment.codecs)
  return answer
}

// They describe bytes that are not sent.
const OF_THE_CONTENT: ReadonlySet<string> = new Set(['accept-ranges', 'content-disposition', 'content-encoding', 'content-length', 'content-range'])

const sizeOf = (payload: object): number => (payload as Partial<RandomAccessBody>).size ?? 0
