import { CAPABILITIES, decodePath, type Host } from '@iopa/transport'

/** The path that a request has in the app. @throws IopaError 400, 414 for one that is none */
export const requestPath = (rawPath: string, host: Host): string =>
  decodePath(rawPath.includes('://') ? withoutUri(rawPath, host) : rawPath, host.limits)

const URI = /^([a-z][a-z0-9+.-]*):\/\//

/** RFC 8075 has two forms for a URI behind the path of a proxy: `coap://host/path` (section 5.4.1) has an empty segment, and is read as `coap/host/path` (5.4.2). */
const withoutUri = (rawPath: string, host: Host): string => {
  const proxy = host.scope.environment.capabilities[CAPABILITIES.CoapProxy]?.['path']
  if (typeof proxy !== 'string' || !rawPath.startsWith(`${proxy}/`)) return rawPath
  const start = proxy.length + 1
  return rawPath.slice(0, start) + rawPath.slice(start).replace(URI, '$1/')
}
