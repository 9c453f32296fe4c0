import { type ContextInit, createContext, type Environment, type Reads, type RunContext, TrackedHeaders, trackReads } from '@iopa/context/host'
import { fieldsOf, type Question, unrecorded } from './question.ts'

/**
 * The context of a notification: what the observer `as` asked, as it asked it, with its headers, peer and user, within its scope. What it reads of
 * its peer is recorded.
 */
export const renewed = (environment: Environment, question: Question, as: RunContext, reads: Reads): RunContext => {
  const fetches = question.method === 'FETCH'
  const init: ContextInit = {
    method: question.method,
    path: question.path,
    query: question.query,
    rawPath: question.rawPath,
    endpoint: as.endpoint,
    source: {
      addressedAs: as,
      headers: () => new TrackedHeaders(fieldsOf(question, as), reads, unrecorded(question)),
      contentType: () => (fetches ? as['iopa.ContentType'] : ''),
      body: () => (fetches && as['iopa.Body'] instanceof Uint8Array ? as['iopa.Body'] : null)
    }
  }
  const context = createContext(environment, init, as)
  context['iopa.Observe'] = true
  context['server.IsNotification'] = true
  trackReads(context, reads)
  return context
}
