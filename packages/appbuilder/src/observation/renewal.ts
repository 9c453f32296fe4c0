import type { HeaderFields } from '@iopa/constants'
import { type Context, type ContextFactory, type ContextInit, HeaderMap } from '@iopa/context'

// They ask about a state that the observer had once (RFC 9110 sections 13 and 14, HTML section 9.2.4).
const OF_THE_FIRST_REQUEST: ReadonlySet<string> = new Set([
  'if-match',
  'if-none-match',
  'if-modified-since',
  'if-unmodified-since',
  'if-range',
  'range',
  'last-event-id'
])

const withoutConditions = (headers: HeaderFields): string[] => {
  const pairs: string[] = []
  for (const [name, value] of headers) if (!OF_THE_FIRST_REQUEST.has(name.toLowerCase())) pairs.push(name, value)
  return pairs
}

/** The context of a notification: the GET or FETCH that registered `as`, or a GET of another path, with its headers, peer and user, within its scope. */
export const renewed = (factory: ContextFactory, path: string, as: Context): Context => {
  const own = as['iopa.PathBase'] + as['iopa.Path'] === path
  const fetches = own && as['iopa.Method'] === 'FETCH'
  const init: ContextInit = {
    method: fetches ? 'FETCH' : 'GET',
    path,
    query: own ? as['iopa.QueryString'] : '',
    rawPath: own ? as['server.RawPath'] : path,
    endpoint: as.endpoint,
    source: {
      headers: () => new HeaderMap(withoutConditions(as['iopa.Headers'])),
      contentType: () => (fetches ? as['iopa.ContentType'] : ''),
      body: () => (fetches && as['iopa.Body'] instanceof Uint8Array ? as['iopa.Body'] : null)
    }
  }
  const context = factory.create(init, as)
  context['iopa.Host'] = as['iopa.Host']
  context['iopa.Port'] = as['iopa.Port']
  context['iopa.Observe'] = true
  context['server.IsNotification'] = true
  return context
}
