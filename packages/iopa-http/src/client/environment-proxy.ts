import { type ClientProxy, proxyOf } from './proxy.ts'

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
