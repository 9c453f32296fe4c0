import { request as startRequest } from 'node:http'
import type { Duplex } from 'node:stream'
import { badAnswer, IopaError, optionError } from '@iopa/transport'

/** A proxy, and the field Proxy-Authorization for it; empty for none. */
export interface ClientProxy {
  readonly url: URL
  readonly authorization: string
}

/** Reads the URL of a proxy. `place` says where it stands. @throws IopaError 500 `bad-option`, without the URL, which may hold a password */
export const proxyOf = (text: string, place: string): ClientProxy => {
  let url: URL | null = null
  try {
    url = new URL(text.includes('://') ? text : `http://${text}`)
  } catch {
    // Refused below.
  }
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.pathname !== '/' || url.search !== '' || url.hash !== '')
    throw optionError(`${place} must be the URL of an HTTP proxy, such as http://proxy.example:3128, without a path.`)
  const { username, password } = url
  const authorization =
    username === '' && password === '' ? '' : `Basic ${Buffer.from(`${decoded(username)}:${decoded(password)}`).toString('base64')}`
  url.username = url.password = ''
  return { url, authorization }
}

/** The proxy that the environment names for `url`: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in small letters first; null for none. */
export const environmentProxy = (url: URL, environment: Readonly<Record<string, string | undefined>> = process.env): ClientProxy | null => {
  const read = (name: string): string => environment[name.toLowerCase()] || environment[name] || ''
  if (isExcluded(url, read('NO_PROXY'))) return null
  // In a CGI program HTTP_PROXY is the request field Proxy, which anybody can send (CVE-2016-5385).
  const name = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY'
  const text = name === 'HTTP_PROXY' && environment['REQUEST_METHOD'] !== undefined ? (environment['http_proxy'] ?? '') : read(name)
  return text === '' ? null : proxyOf(text, name)
}

/** True where NO_PROXY names the host: itself or a domain above it, with a port or without, or `*`. */
const isExcluded = ({ hostname, port, protocol }: URL, list: string): boolean => {
  const host = hostname.replace(/^\[|\]$/g, '')
  const own = port || (protocol === 'https:' ? '443' : '80')
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .some(entry => {
      if (entry === '' || entry === '*') return entry === '*'
      const [, name = '', asked] = /^(\[[^\]]*\]|[^:]*|.*:.*:.*?)(?::(\d+))?$/.exec(entry) ?? []
      if (asked !== undefined && asked !== own) return false
      const bare = name.replace(/^\[|\]$/g, '').replace(/^\*?\./, '')
      return bare !== '' && (host === bare || host.endsWith(`.${bare}`))
    })
}

/** Asks the proxy at the other end of `stream` for a connection to `authority` (RFC 9110 section 9.3.6). Rejects with 502 `proxy-refused`. */
export const openTunnel = (
  stream: Duplex,
  authority: string,
  { authorization }: ClientProxy,
  maxHeaderSize: number,
  signal: AbortSignal
): Promise<void> =>
  new Promise((resolve, reject) => {
    const message = startRequest({
      method: 'CONNECT',
      path: authority,
      headers: ['host', authority, ...(authorization === '' ? [] : ['proxy-authorization', authorization])],
      createConnection: () => stream,
      maxHeaderSize
    })
    const abort = (): void => fail(signal.reason)
    const fail = (reason: unknown): void => {
      signal.removeEventListener('abort', abort)
      stream.destroy()
      reject(reason)
    }
    signal.addEventListener('abort', abort, { once: true })
    message.once('error', cause => fail(new IopaError(502, 'proxy-refused', 'The proxy gives no connection: it sends no answer of HTTP.', { cause })))
    message.once('connect', ({ statusCode = 0 }, _socket, first: Buffer) => {
      if (statusCode < 200 || statusCode > 299) {
        const why = statusCode === 407 ? ': give a user name and password in its URL' : ''
        fail(new IopaError(502, 'proxy-refused', `The proxy answers CONNECT with ${statusCode}${why}.`))
      } else if (first.length > 0) fail(badAnswer('The proxy sends bytes before TLS has begun.'))
      else {
        signal.removeEventListener('abort', abort)
        resolve()
      }
    })
    message.end()
  })

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
