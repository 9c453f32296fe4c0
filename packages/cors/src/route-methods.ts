import type { Context } from '@iopa/appbuilder'
import { type AppHandle, matchPattern, type Pattern, parsePattern, type RouteInfo } from '@iopa/appbuilder/extension'
import { fullPath } from '@iopa/context/host'

/** Allowed where the routes do not say, as well as where a listing would hide them. */
const USUAL: readonly string[] = ['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE']

/** Patterns that are kept parsed: routes may come and go. */
const MOST_PATTERNS = 10_000

/** The methods of the routes of a path, for preflights. */
export class RouteMethods {
  readonly #app: AppHandle
  readonly #patterns = new Map<string, Pattern>()

  constructor(app: AppHandle) {
    this.#app = app
  }

  /**
   * A preflight has no credentials, so it gets the methods of a path only where a listing would tell them all. For paths behind a guard, and paths
   * that do not exist, the usual methods are allowed: the request itself is answered with 401, 404 or 405.
   */
  of(context: Context): readonly string[] {
    const path = fullPath(context['iopa.PathBase'], context['iopa.Path'])
    const parts = path.slice(1).split('/')
    // Anybody may send preflights: a path costs little for each route that it is not of.
    const matches = (route: RouteInfo): boolean => beginsAlike(route, parts) && matchPattern(this.#parsed(route.pattern), path) !== undefined
    const all = [...this.#app.routes(undefined, matches)]
    if (all.length === 0 || [...this.#app.routes(context, matches)].length < all.length) return USUAL
    const methods = new Set(all.map(({ method }) => method))
    if (methods.has(undefined)) return [...new Set([...USUAL, ...(methods as Set<string>)])].filter(Boolean)
    if (methods.has('GET')) methods.add('HEAD')
    return [...(methods as Set<string>)]
  }

  #parsed(text: string): Pattern {
    let pattern = this.#patterns.get(text)
    if (pattern === undefined) {
      if (this.#patterns.size >= MOST_PATTERNS) this.#patterns.clear()
      this.#patterns.set(text, (pattern = parsePattern(text)))
    }
    return pattern
  }
}

/** False where a static segment before all others is another one. */
const beginsAlike = ({ segments }: RouteInfo, parts: readonly string[]): boolean => {
  for (let at = 0; at < segments.length; at++) {
    const segment = segments[at] as RouteInfo['segments'][number]
    if (segment.kind !== 'static') return true
    if (segment.value !== parts[at]) return false
  }
  return true
}

export const USUAL_METHODS: readonly string[] = USUAL
