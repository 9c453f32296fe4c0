import { IopaError } from '@iopa/constants'
import { type AnswerRecord, type ChangeHost, type ContextInit, HeaderMap, type RunContext } from '@iopa/context/host'
import { contentTag } from '@iopa/transport/host'
import { evaluate, namesTags, type Verdict } from './conditions.ts'

/** They concern the change, not the GET. */
const OF_THE_CHANGE = /^(?:if-.*|range|content-.*|transfer-encoding|expect|trailer|accept|last-event-id)$/i

/** What a precondition came to: the verdict, or the answer of a GET that failed. */
export type Judgement = Exclude<Verdict, 'not-modified'> | AnswerRecord

/** Judges the precondition of a change by a GET of its path in the name of its user. Unless it is `readable`, a route may or may not answer that GET. */
export const judgeChange = async (host: ChangeHost, change: RunContext, readable: boolean): Promise<Judgement> => {
  const { requestedPath } = change
  const path = change['iopa.PathBase'] + change['iopa.Path']
  // Middleware that rewrote the path will do so again; a redirect within the app began at the new path.
  const rewritten = requestedPath === path ? null : await judgeAt(host, change, requestedPath, readable)
  return rewritten ?? ((await judgeAt(host, change, path, readable)) as Judgement)
}

/** The judgement by what is at `path`; null where the request named another path than the change has now, and something else answers there. */
const judgeAt = async (host: ChangeHost, change: RunContext, path: string, readable: boolean): Promise<Judgement | null> => {
  const context = preconditionRequest(host, change, path)
  try {
    const answer = await new Promise<AnswerRecord>(resolve => host.run(context, () => resolve(context.response)))
    if (path !== change['iopa.PathBase'] + change['iopa.Path'] && answer.resource !== change.response.resource) return null
    if (!readable && answer.resource === '') return 'proceed'
    const exists = answer.ok
    if (!exists && answer.status !== 404 && answer.status !== 410) return answer
    const { headers } = change
    const etag = exists ? (answer.headers.get('etag') ?? (namesTags(headers) ? await tagOf(host, answer) : undefined)) : undefined
    return evaluate(headers, { exists, etag, lastModified: answer.headers.get('last-modified') }, false) === 'failed' ? 'failed' : 'proceed'
  } finally {
    void context.end()
  }
}

/** A GET of the path of a change, as its user, without its conditions, that asks for the content type of the change first. */
const preconditionRequest = (host: ChangeHost, change: RunContext, path: string): RunContext => {
  const init: ContextInit = {
    method: 'GET',
    path,
    query: change['iopa.QueryString'],
    rawPath: change['server.RawPath'],
    endpoint: change.endpoint,
    source: { headers: () => headersOf(change) }
  }
  const context = host.create(init, change) as RunContext
  context['iopa.Host'] = change['iopa.Host']
  context['iopa.Port'] = change['iopa.Port']
  context['server.IsLocalOrigin'] = change['server.IsLocalOrigin']
  context['server.IsPrecondition'] = true
  return context
}

const headersOf = (change: RunContext): HeaderMap => {
  const pairs: string[] = []
  for (const [name, value] of change.headers) if (!OF_THE_CHANGE.test(name)) pairs.push(name, value)
  const type = change['iopa.ContentType']
  const accept = change.headers.getAll('accept').join(', ')
  if (type !== '') pairs.push('accept', `${type}, ${accept === '' ? '*/*;q=0.1' : behind(accept)}`)
  else if (accept !== '') pairs.push('accept', accept)
  return new HeaderMap(pairs)
}

/** What Accept says, wanted less than a type without a weight. */
const behind = (accept: string): string => accept.replace(/[^,]+/g, element => (/;\s*q=/i.test(element) ? element : `${element};q=0.9`))

/** The tag of the content of an answer that states none. */
const tagOf = async ({ clock, timeout, bodyLimit }: ChangeHost, answer: AnswerRecord): Promise<string> => {
  if (!answer.isStream) return contentTag(answer.payload === null ? '' : (answer.payload as string | Uint8Array))
  let late: unknown
  const limit = new Promise<never>((_, reject) => {
    late = clock.setTimeout(() => reject(new IopaError(504, 'timeout', 'The present state of the resource took too long to read.')), timeout)
  })
  try {
    await Promise.race([answer.collect(bodyLimit), limit])
  } finally {
    clock.clearTimeout(late)
  }
  return contentTag(answer.payloadBytes)
}
