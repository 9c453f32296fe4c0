import {
  isControlMethod,
  MAX_SEGMENT_LENGTH,
  MAX_SEGMENTS,
  matchPattern,
  type Pattern,
  type PatternSegment,
  parsePattern,
  placeParams
} from '@iopa/transport'
import { allowsCompiling, NO_PARAMS, paramsMaker } from './params.ts'
import { duplicateRoute, type Entry, isDynamic, type Route, type RouteMatch, textOf } from './route.ts'
import { RouteNode } from './route-node.ts'

/** What `routeTable()` takes. */
export interface RouteTableOptions {
  /** `strict` (the default) keeps `/a` and `/a/` apart; `ignore` routes them alike, and lets a tail be left out with its slash. */
  readonly trailingSlash?: 'strict' | 'ignore'
}

/** A table from method and path to a value. */
export interface RouteTable<T> {
  /** Adds a route; throws when the pattern is not valid, or when another route has its method and shape. */
  add(method: string | undefined, pattern: string, value: T, place?: () => string): Route<T>
  /** Removes a route; false where it is not in the table. */
  remove(route: Route<T>): boolean
  /** True when the pattern of a route matches the path. */
  matches(route: Route<T>, path: string): boolean
  /** The most specific route for a method and a decoded path. */
  find(method: string, path: string): RouteMatch<T> | undefined
  /** The methods that some route matching the path answers, sorted; empty when no route matches it. `counts` says which routes count; default all. */
  methods(path: string, counts?: (value: T) => boolean): readonly string[]
  /** The one form of a path that the table routes like another. */
  canonical(path: string): string
  /** All routes in the order of registration. */
  readonly routes: readonly Route<T>[]
}

/** Makes an empty table. */
export const routeTable = <T>(options: RouteTableOptions = {}): RouteTable<T> => new SegmentTrie<T>(options.trailingSlash === 'ignore')

const SLASH = 47
const nowhere = (): string => ''
const NO_METHODS: readonly string[] = Object.freeze([])

class SegmentTrie<T> implements RouteTable<T> {
  readonly routes: Route<T>[] = []
  readonly #ignoreSlash: boolean
  readonly #compile: boolean = allowsCompiling()
  readonly #root = new RouteNode<Entry<T>>('')
  // Paths without parameters, whole; and for each length, a bit for each last character such a path has, so that most others are never hashed.
  readonly #statics = new Map<string, RouteNode<Entry<T>>>()
  readonly #staticEnds: number[] = [0]
  // Where the parameters of the lookup at hand lie; a lookup is synchronous and runs no foreign code.
  readonly #starts: number[] = Array<number>(MAX_SEGMENTS).fill(0)
  readonly #ends: number[] = Array<number>(MAX_SEGMENTS).fill(0)
  #collected: Set<string> | undefined = undefined
  #counts: ((value: T) => boolean) | undefined = undefined
  // Whether the lookup at hand met a pattern without a route for its method; and the last path that met none, for `methods` mostly asks for it next.
  #metOther = false
  #nowhere = ''

  constructor(ignoreSlash: boolean) {
    this.#ignoreSlash = ignoreSlash
  }

  add(method: string | undefined, text: string, value: T, place: () => string = nowhere): Route<T> {
    const pattern = parsePattern(text)
    const route: Route<T> = { method, pattern, value, place }
    // Two variants of one pattern may have one shape (`/{a}?/{b}?`); the first takes it.
    const variants = new Map<RouteNode<Entry<T>>, readonly PatternSegment[]>()
    for (const segments of this.#variantsOf(pattern)) {
      const node = segments.reduce((parent, segment) => parent.child(segment), this.#root)
      if (!variants.has(node)) variants.set(node, segments)
    }
    for (const node of variants.keys()) {
      const earlier = method === undefined ? node.all : node.methods?.get(method)
      if (earlier !== undefined) throw duplicateRoute(route, earlier.route)
    }
    for (const [node, segments] of variants) {
      const dynamic = isDynamic(segments)
      const entry: Entry<T> = { route, makeParams: paramsMaker(segments, this.#compile), fixed: dynamic ? undefined : { route, params: NO_PARAMS } }
      if (method === undefined) node.all = entry
      else (node.methods ??= new Map()).set(method, entry)
      if (!dynamic) this.#addStatic(segments, node)
    }
    this.#nowhere = ''
    this.routes.push(route)
    return route
  }

  remove(route: Route<T>): boolean {
    const at = this.routes.indexOf(route)
    if (at < 0) return false
    this.routes.splice(at, 1)
    const { method, pattern } = route
    const clear = (node: RouteNode<Entry<T>>): void => {
      if (method === undefined) node.all = undefined
      else if (node.methods?.delete(method) && node.methods.size === 0) node.methods = undefined
    }
    for (const segments of this.#variantsOf(pattern)) {
      const bare = this.#root.remove(segments, 0, clear)
      if (bare && !isDynamic(segments)) this.#statics.delete(textOf(segments))
    }
    return true
  }

  matches({ pattern }: Route<T>, path: string): boolean {
    if (matchPattern(pattern, path) !== undefined) return true
    // Both forms of a path are one resource.
    return this.#ignoreSlash && matchPattern(pattern, this.#limitOf(path) < path.length ? path.slice(0, -1) : `${path}/`) !== undefined
  }

  find(method: string, path: string): RouteMatch<T> | undefined {
    if (path.charCodeAt(0) !== SLASH) return undefined
    const limit = this.#limitOf(path)
    if (limit < this.#staticEnds.length && ((this.#staticEnds[limit]! >>> (path.charCodeAt(limit - 1) & 31)) & 1) === 1) {
      const node = this.#statics.get(limit === path.length ? path : path.slice(0, limit))
      const entry = node === undefined ? undefined : this.#accept(node, method)
      if (entry !== undefined) return entry.fixed
    }
    this.#metOther = false
    const entry = this.#walk(this.#root, method, path, 1, limit, 0)
    if (entry === undefined) {
      if (!this.#metOther) this.#nowhere = path
      return undefined
    }
    return entry.fixed ?? { route: entry.route, params: entry.makeParams(path, this.#starts, this.#ends) }
  }

  methods(path: string, counts?: (value: T) => boolean): readonly string[] {
    if (path === this.#nowhere || path.charCodeAt(0) !== SLASH) return NO_METHODS
    this.#collected = undefined
    this.#counts = counts
    this.#walk(this.#root, undefined, path, 1, this.#limitOf(path), 0)
    return this.#collected === undefined ? NO_METHODS : [...(this.#collected as Set<string>)].sort()
  }

  canonical(path: string): string {
    const limit = this.#limitOf(path)
    return limit === path.length ? path : path.slice(0, limit)
  }

  #variantsOf({ variants }: Pattern): readonly (readonly PatternSegment[])[] {
    if (!this.#ignoreSlash) return variants
    return variants.map(segments => {
      const last = segments.at(-1)
      return segments.length > 1 && last?.kind === 'static' && last.value === '' ? segments.slice(0, -1) : segments
    })
  }

  #addStatic(segments: readonly PatternSegment[], node: RouteNode<Entry<T>>): void {
    const path = textOf(segments)
    this.#statics.set(path, node)
    while (this.#staticEnds.length <= path.length) this.#staticEnds.push(0)
    this.#staticEnds[path.length]! |= 1 << (path.charCodeAt(path.length - 1) & 31)
  }

  #limitOf(path: string): number {
    const length = path.length
    return this.#ignoreSlash && length > 1 && path.charCodeAt(length - 1) === SLASH ? length - 1 : length
  }

  /** The first entry in the order of `compareSegments`, with full backtracking; the segment at hand begins at `start`. */
  #walk(node: RouteNode<Entry<T>>, method: string | undefined, path: string, start: number, limit: number, count: number): Entry<T> | undefined {
    let end = path.indexOf('/', start)
    if (end === -1) end = limit
    const length = end - start
    // Only a final segment may be empty, and no parameter matches it.
    if (length === 0) {
      if (end === limit && node.slash !== undefined) {
        const entry = this.#accept(node.slash, method)
        if (entry !== undefined) return entry
      }
    } else {
      const child = node.literal(path, start, end)
      if (child !== undefined) {
        const entry = end === limit ? this.#finish(child, method, path, count) : this.#walk(child, method, path, end + 1, limit, count)
        if (entry !== undefined) return entry
      }
      if (length <= MAX_SEGMENT_LENGTH) {
        if (node.tested.length > 0) {
          const segment = path.slice(start, end)
          for (const { mixed, constraint, node: target } of node.tested) {
            let taken = 1
            if (mixed !== undefined) {
              if (!placeParams(mixed, segment, this.#starts, this.#ends, count, start)) continue
              taken = mixed.params.length
            } else {
              if (constraint?.regex.test(segment) === false) continue
              this.#starts[count] = start
              this.#ends[count] = end
            }
            const entry =
              end === limit ? this.#finish(target, method, path, count + taken) : this.#walk(target, method, path, end + 1, limit, count + taken)
            if (entry !== undefined) return entry
          }
        }
        if (node.param !== undefined) {
          this.#starts[count] = start
          this.#ends[count] = end
          const entry =
            end === limit ? this.#finish(node.param, method, path, count + 1) : this.#walk(node.param, method, path, end + 1, limit, count + 1)
          if (entry !== undefined) return entry
        }
      }
    }
    return node.tail === undefined ? undefined : this.#takeTail(node.tail, method, path, start, count)
  }

  /** A path that ends at a node; with `trailingSlash: 'ignore'` an empty tail may follow. */
  #finish(node: RouteNode<Entry<T>>, method: string | undefined, path: string, count: number): Entry<T> | undefined {
    const entry = this.#accept(node, method)
    if (entry !== undefined || !this.#ignoreSlash || node.tail === undefined) return entry
    return this.#takeTail(node.tail, method, path, path.length, count)
  }

  #takeTail(node: RouteNode<Entry<T>>, method: string | undefined, path: string, start: number, count: number): Entry<T> | undefined {
    if (!isWithinLimits(path)) return undefined
    this.#starts[count] = start
    this.#ends[count] = path.length
    return this.#accept(node, method)
  }

  #collect(methods: ReadonlyMap<string, Entry<T>>): void {
    for (const [name, { route }] of methods) if (this.#counts?.(route.value) !== false) (this.#collected ??= new Set()).add(name)
  }

  /** The entry for a method at the end of a pattern; without a method, notes which there are and finds none. */
  #accept(node: RouteNode<Entry<T>>, method: string | undefined): Entry<T> | undefined {
    const methods = node.methods
    if (method === undefined) {
      if (methods !== undefined) this.#collect(methods)
      return undefined
    }
    if (methods !== undefined) {
      const entry = methods.get(method)
      if (entry !== undefined) return entry
      // HEAD is GET without its body (RFC 9110 section 9.3.2).
      const body = method === 'HEAD' ? methods.get('GET') : undefined
      if (body !== undefined) return body
      this.#metOther = true
    }
    // Control requests of a transport reach only the routes that name them.
    return node.all === undefined || isControlMethod(method) ? undefined : node.all
  }
}

/** What a tail takes is not bounded by the pattern; a short path cannot be over the limits. */
const isWithinLimits = (path: string): boolean => {
  if (path.length <= MAX_SEGMENTS) return true
  let segments = 0
  for (let start = 1; start <= path.length; segments++) {
    let end = path.indexOf('/', start)
    if (end === -1) end = path.length
    if (end - start > MAX_SEGMENT_LENGTH || segments === MAX_SEGMENTS) return false
    start = end + 1
  }
  return true
}
