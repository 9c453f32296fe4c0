import { CAPABILITIES, decodePath, type Host, joinPath } from '@iopa/transport'
import { CODE } from '../codec/codes.ts'
import type { ReceivedMessage } from '../codec/message.ts'
import { OPTION } from '../codec/option-registry.ts'
import type { CoapRequest } from './request.ts'
import { Refusal } from './request-reader.ts'

/** The path before the URI of another server at which the app answers requests for that server; undefined where it is no proxy. */
export const proxyPathOf = (host: Host): string | undefined => {
  const path = host.scope.environment.capabilities[CAPABILITIES.CoapProxy]?.['path']
  return typeof path === 'string' ? path : undefined
}

/** True where a request is for another server (RFC 7252 section 5.7.2). */
export const isProxied = ({ options }: ReceivedMessage): boolean => options.has(OPTION.PROXY_URI) || options.has(OPTION.PROXY_SCHEME)

const SCHEME = /^[a-z][a-z0-9+.-]*$/
// Of a Proxy-Uri: scheme, authority without user name, path, query.
const URI = /^([a-z][a-z0-9+.-]*):\/\/([^/?#@]+)(\/[^?#]*)?(?:\?([^#]*))?$/i

const bad = (detail: string): Refusal => new Refusal(CODE.BAD_REQUEST, detail)

/**
 * Gives a request for another server the path that it has in the app: that of the proxy, then scheme, host and path of the target. So rules for paths,
 * limits and logs see the target, and no route of this server's own resources answers. @throws Refusal, IopaError for what is no URI.
 */
export const readTarget = (request: CoapRequest, proxyPath: string, limits: Host['limits']): void => {
  const { options } = request.message
  const uri = options.get(OPTION.PROXY_URI)
  if (uri !== undefined) {
    // It goes before the other options of the target (RFC 7252 section 5.10.2).
    const text = uri.length <= LONGEST ? options.text(OPTION.PROXY_URI) : undefined
    const [, scheme, authority, path = '/', query = ''] = URI.exec(text ?? '') ?? []
    if (scheme === undefined || authority === undefined) throw bad('Proxy-Uri is an absolute URI without user name and fragment.')
    request.query = query
    address(request, proxyPath, scheme, authority, decodePath(path, limits), limits)
    return
  }
  const scheme = options.text(OPTION.PROXY_SCHEME)?.toLowerCase()
  if (scheme === undefined || !SCHEME.test(scheme)) throw bad('Proxy-Scheme is the scheme of a URI.')
  const authority = request.authority()
  if (authority === '') throw bad('A request with Proxy-Scheme names its server in Uri-Host.')
  const { path } = request
  // Without the host in the URI the port of the target is that of its scheme.
  address(request, proxyPath, scheme, authority, path, limits)
}

const STANDARD_PORTS: Readonly<Record<string, number>> = { coap: 5683, 'coap+tcp': 5683, coaps: 5684, 'coaps+tcp': 5684 }

/** One spelling for each server (RFC 3986 section 6.2.3), so that it has one path here: without a port that says nothing, and IPv6 addresses compressed. */
const spelledAlike = (scheme: string, authority: string): string => {
  const [, host = '', digits] = /^(.*?)(?::(\d{0,5}))?$/.exec(authority) ?? []
  const spelled = host.startsWith('[') && URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : host
  const standard = Object.hasOwn(STANDARD_PORTS, scheme) ? STANDARD_PORTS[scheme] : undefined
  const port = digits === undefined || digits === '' ? standard : Number(digits)
  return port === undefined || port === standard ? spelled : `${spelled}:${port}`
}

/** Bytes of the longest Proxy-Uri (RFC 7252 section 5.10). */
const LONGEST = 1034

const address = (request: CoapRequest, proxyPath: string, scheme: string, authority: string, path: string, limits: Host['limits']): void => {
  const segments = [...proxyPath.slice(1).split('/'), scheme.toLowerCase(), spelledAlike(scheme.toLowerCase(), authority.toLowerCase())]
  request.path = joinPath([...segments, ...(path === '/' ? [] : path.slice(1).split('/'))], limits)
  request.proxied = true
}
