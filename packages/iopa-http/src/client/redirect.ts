import { HeaderMap, IopaError, type LinkAnswer, type OutgoingRequest } from '@iopa/transport'

/** Most redirects of one request (Fetch 4.4, step 7). */
export const MOST_REDIRECTS = 20

/** Bytes of the body of a redirect that are read so that its connection can be used again. */
const MOST_SKIPPED = 65_536

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])
/** Fields that describe a body (Fetch, request-body-header name). */
const OF_BODY: readonly string[] = ['content-encoding', 'content-language', 'content-location', 'content-type']
/** Fields for one origin alone. */
const OF_ORIGIN: readonly string[] = ['authorization', 'cookie', 'host', 'proxy-authorization']

/** True for an answer that sends the client elsewhere; one without a location is an answer like any other. */
export const isRedirect = (answer: LinkAnswer): boolean => REDIRECTS.has(answer.status) && answer.headers.has('location')

/** Where a redirect of `from` leads. @throws IopaError 502 `redirect-refused` */
export const locationOf = (answer: LinkAnswer, from: URL): URL => {
  const stated = answer.headers.get('location') as string
  let url: URL
  try {
    // Field values are bytes; a URL beyond ASCII is UTF-8.
    url = new URL(Buffer.from(stated, 'latin1').toString(), from)
  } catch (cause) {
    throw refused('its location is no URL', cause)
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw refused(`its location is no URL of HTTP but of ${url.protocol}`)
  if (from.protocol === 'https:' && url.protocol === 'http:') throw refused('it leads from https: to http:')
  if (url.username !== '' || url.password !== '') throw refused('its location has a user name or password')
  url.hash = ''
  return url
}

/** The request that follows a redirect of `request` from one URL to another one (Fetch 4.4). @throws IopaError 502 `redirect-refused` */
export const redirectedRequest = (request: OutgoingRequest, status: number, from: URL, to: URL): OutgoingRequest => {
  const { method, body } = request
  const becomesGet = status === 303 ? method !== 'GET' && method !== 'HEAD' : method === 'POST' && status <= 302
  if (!becomesGet && body !== null && !(body instanceof Uint8Array)) throw refused('the body of the request was a stream, which cannot be sent twice')
  const headers = new HeaderMap([...request.headers.pairs()])
  if (becomesGet) for (const name of OF_BODY) headers.delete(name)
  if (from.origin !== to.origin) for (const name of OF_ORIGIN) headers.delete(name)
  if (!becomesGet) return { ...request, headers }
  // Nothing comes after a body that is not sent.
  const redirect = request.bag['http.Redirect']
  return { ...request, method: 'GET', headers, body: null, type: '', bag: redirect === undefined ? {} : { 'http.Redirect': redirect } }
}

/** Reads what is left of the answer that redirects; a long one is given up. */
export const skipBody = async ({ payload }: LinkAnswer): Promise<void> => {
  if (payload === null || typeof payload === 'string' || payload instanceof Uint8Array) return
  let length = 0
  for await (const chunk of payload) {
    length += chunk.length
    if (length > MOST_SKIPPED) break
  }
}

export const tooManyRedirects = (): IopaError => refused(`${MOST_REDIRECTS} redirects came before it`)

const refused = (why: string, cause?: unknown): IopaError =>
  new IopaError(502, 'redirect-refused', `The client does not follow this redirect: ${why}.`, cause === undefined ? {} : { cause })
