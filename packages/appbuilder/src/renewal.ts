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

/** The context of a notification: a GET of `path` with method, query, headers, peer and user of `as`, within its scope. */
export const renewed = (factory: ContextFactory, path: string, as: Context): Context => {
  const own = as['iopa.PathBase'] + as['iopa.Path'] === path
  const init: ContextInit = {
    method: 'GET',
    path,
    query: own ? as['iopa.QueryString'] : '',
    rawPath: own ? as['server.RawPath'] : path,
    endpoint: as.endpoint,
    source: { headers: () => new HeaderMap(withoutConditions(as['iopa.Headers'])) }
  }
  const context = factory.create(init, as)
  context['iopa.Host'] = as['iopa.Host']
  context['iopa.Port'] = as['iopa.Port']
  context['iopa.Observe'] = true
  context['server.IsNotification'] = true
  return context
}
