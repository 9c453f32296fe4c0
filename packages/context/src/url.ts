import { DEFAULT_PORTS, IopaError } from '@iopa/constants'
import { decodePath, encodePath } from './path.ts'

/** The parts of a URL as a context holds them. */
interface UrlParts {
  /** Without a colon. */
  readonly scheme: string
  /** Without brackets for IPv6. */
  readonly host: string
  /** That of the URL, else the default of its scheme, else 0. */
  readonly port: number
  /** Canonical. */
  readonly path: string
  /** Without the `?`. */
  readonly query: string
}

/** Splits a URL; its fragment is dropped. @throws IopaError 400 for a malformed one. */
export const parseUrl = (url: string | URL): UrlParts => {
  // The URL class removes dot segments before anybody can refuse them, so the path is cut from the text.
  const text = typeof url === 'string' ? url : url.href
  const parts = /^([a-z][a-z0-9+.-]*):\/\/(?:[^/?#@]*@)?(\[[0-9a-f:.]+\]|[^/?#:]*)(?::(\d{1,5}))?([^?#]*)(?:\?([^#]*))?(?:#.*)?$/i.exec(text)
  if (parts === null) throw new IopaError(400, 'bad-url', `'${text.slice(0, 100)}' is no URL; write scheme://host:port/path.`)
  const scheme = (parts[1] as string).toLowerCase()
  const port = parts[3] === undefined ? (DEFAULT_PORTS[scheme] ?? 0) : Number(parts[3])
  if (port > 65535) throw new IopaError(400, 'bad-url', `Port ${port} is out of range.`)
  return {
    scheme,
    host: (parts[2] as string).replace(/^\[|\]$/g, '').toLowerCase(),
    port,
    path: decodePath(parts[4] || '/'),
    query: parts[5] ?? ''
  }
}

/** Splits `example.com:8080`, `[::1]:80` or `example.com`. */
export const parseAuthority = (authority: string, scheme: string): { host: string; port: number } => {
  const parts = /^(\[[0-9a-f:.]+\]|[^:]*)(?::(\d{1,5})?)?$/i.exec(authority)
  const port = Number(parts?.[2] ?? DEFAULT_PORTS[scheme] ?? 0)
  return { host: (parts?.[1] ?? authority).replace(/^\[|\]$/g, ''), port: port <= 65535 ? port : 0 }
}

/** The URL that the parts describe; a port that is the scheme's default is left out. */
export const formatUrl = (scheme: string, host: string, port: number, path: string, query: string): string => {
  const name = host.includes(':') ? `[${host}]` : host
  const suffix = port === 0 || port === DEFAULT_PORTS[scheme] ? '' : `:${port}`
  return `${scheme}://${name}${suffix}${encodePath(path)}${query === '' ? '' : `?${query}`}`
}
