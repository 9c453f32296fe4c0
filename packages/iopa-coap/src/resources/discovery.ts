import { answersMethod, type Context, type Host, pathsOfRoute } from '@iopa/transport'
import { filterLinks, hrefOf, type Link, type LinkAttribute, serializeLinks } from '../formats/link-format.ts'

/** Where a server lists its resources (RFC 6690 section 4). */
export const WELL_KNOWN_CORE = '/.well-known/core'

/** The Content-Format of that list. */
export const LINK_FORMAT = 40

/** Instances that are listed, and that are looked at for one route: one small request must not cost seconds. */
const MOST_INSTANCES = 1000

/** The links of an app that the asking context may know of: the paths of its routes, each once, and the first of their instances. */
const linksOf = (host: Host, as: Context): Link[] => {
  const links = new Map<string, Record<string, LinkAttribute>>()
  let instances = 0
  for (const route of host.routes(as)) {
    const { attributes, segments } = route
    if (attributes.discoverable === false) continue
    const isListed = segments.some(({ kind }) => kind !== 'static')
    let looked = 0
    for (const path of pathsOfRoute(route)) {
      if (isListed && ++looked > MOST_INSTANCES) break
      if (path === WELL_KNOWN_CORE) continue
      const href = hrefOf(path)
      let known = links.get(href)
      if (known === undefined) {
        if (isListed && ++instances > MOST_INSTANCES) continue
        known = {}
        links.set(href, known)
      }
      for (const name of ['rt', 'if', 'ct', 'sz', 'title'] as const) {
        const value = attributes[name]
        if (value !== undefined && !(name in known)) known[name] = value
      }
      if (answersMethod(route, 'GET')) known['obs'] = true
    }
  }
  return Array.from(links, ([href, attributes]) => ({ href, attributes }))
}

/** The list as `application/link-format`, filtered by a query string (RFC 6690 section 4.1). */
export const discover = (host: Host, query: string, as: Context): string => {
  const filters = query === '' ? [] : query.split('&').map(part => decodeURIComponent(part))
  return serializeLinks(filterLinks(linksOf(host, as), filters))
}
