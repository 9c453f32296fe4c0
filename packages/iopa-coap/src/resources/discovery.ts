import { answersMethod, type Context, type Host, pathsOfRoute } from '@iopa/transport'
import { type CoreLink, filterLinks, hrefOf, type LinkAttribute, serializeLinks } from '../formats/link-format.ts'

/** Where a server lists its resources (RFC 6690 section 4). */
export const WELL_KNOWN_CORE = '/.well-known/core'

/** The Content-Format of that list. */
export const LINK_FORMAT = 40

/** Instances that are listed, and that are looked at for one route: one small request must not cost seconds. */
const MOST_INSTANCES = 1000

/** Instances that are asked about at once. */
const AT_ONCE = 32

type Links = Map<string, Record<string, LinkAttribute>>

/** The links of an app: the paths of its routes, each once, and the first of their instances. `instancesRead` gets the instances that have a GET, by their links. */
const linksOf = (host: Host, as: Context, hides: (path: string) => boolean, instancesRead: Map<string, string>): Links => {
  const links = new Map<string, Record<string, LinkAttribute>>()
  let instances = 0
  for (const route of host.routes(as)) {
    const { attributes, segments } = route
    if (attributes.discoverable === false) continue
    const isListed = segments.some(({ kind }) => kind !== 'static')
    let looked = 0
    for (const path of pathsOfRoute(route)) {
      if (isListed && ++looked > MOST_INSTANCES) break
      if (path === WELL_KNOWN_CORE || hides(path)) continue
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
      if (!answersMethod(route, 'GET')) continue
      known['obs'] = true
      if (isListed) instancesRead.set(href, path)
    }
  }
  return links
}

/** Takes the instances out that the user of the asking context may not read; undefined where it may read all of them at once. */
const withoutHidden = (host: Host, as: Context, links: Links, instances: Map<string, string>): Promise<void> | undefined => {
  const pending: [href: string, verdict: Promise<boolean>][] = []
  const rest = instances.entries()
  const ask = (): void => {
    for (const [href, path] of rest) {
      const verdict = host.mayGet(path, as)
      if (verdict === false) links.delete(href)
      else if (verdict !== true && pending.push([href, verdict]) === AT_ONCE) return
    }
  }
  ask()
  if (pending.length === 0) return undefined
  const settle = async (): Promise<void> => {
    while (pending.length > 0) {
      for (const [href, verdict] of pending.splice(0)) if (!(await verdict)) links.delete(href)
      ask()
    }
  }
  return settle()
}

/** The list of what the asking context may read and is not hidden, as `application/link-format`, filtered by a query string (RFC 6690 section 4.1). */
export const discover = (host: Host, query: string, as: Context, hides: (path: string) => boolean): string | Promise<string> => {
  const filters = query === '' ? [] : query.split('&').map(part => decodeURIComponent(part))
  const instances = new Map<string, string>()
  const links = linksOf(host, as, hides, instances)
  const listed = (): CoreLink[] => Array.from(links, ([href, attributes]) => ({ href, attributes }))
  const hidden = withoutHidden(host, as, links, instances)
  return hidden === undefined ? serializeLinks(filterLinks(listed(), filters)) : hidden.then(() => serializeLinks(filterLinks(listed(), filters)))
}
