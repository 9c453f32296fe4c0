import { type Context, IopaError, reply } from '@iopa/appbuilder'
import { type Clock, invalidInput, type RouteInfo } from '@iopa/appbuilder/extension'
import type { Description } from '../model/description.ts'
import type { ServedPaths } from '../options.ts'
import { instancePaths, instanceThing, thingAt } from '../thing/instances.ts'
import { TD_MEDIA_TYPE } from '../thing/vocabulary.ts'
import type { DescribedApp } from './described-app.ts'
import { inSlices } from './slices.ts'

const DEFAULT_LIMIT = 100
const MOST = 1000
/** Instances that the app is asked about at the same time. */
const AT_ONCE = 16

/** Lists the Thing Descriptions of instances, and answers with one (WoT Discovery section 7.3). */
export class ThingDirectory {
  readonly #app: DescribedApp
  readonly #path: string
  readonly #clock: Clock

  constructor(app: DescribedApp, { things = '' }: ServedPaths, clock: Clock) {
    this.#clock = clock
    this.#app = app
    this.#path = things
  }

  /** A page of the Things, those that the user may GET; a Link header leads to the next one. The offset counts the others too. */
  async list(context: Context): Promise<unknown> {
    const offset = numberIn(context, 'offset', 0, Number.MAX_SAFE_INTEGER)
    const limit = numberIn(context, 'limit', DEFAULT_LIMIT, MOST)
    const description = this.#app.describe(context)
    const found: (readonly [path: string, route: RouteInfo])[] = []
    const seen = new Set<string>()
    for (const instance of instancePaths(description)) {
      seen.add(instance[0])
      if (seen.size > offset + limit) break
      if (seen.size > offset + found.length) found.push(instance)
    }
    const visible: (typeof found)[number][] = []
    for (let at = 0; at < found.length; at += AT_ONCE) {
      const group = found.slice(at, at + AT_ONCE)
      const verdicts = await Promise.all(group.map(([path]) => this.#app.mayGet(path, context)))
      for (const [place, [path, route]] of group.entries()) if (verdicts[place] === true) visible.push([path, route])
    }
    const things = await inSlices(this.#described(description, visible), this.#clock)
    const next = `<${description.base}${this.#path}?offset=${offset + limit}&limit=${limit}>; rel="next"`
    const isMore = seen.size > offset + limit
    return reply(200, things, { 'content-type': 'application/json', ...this.#caching(), ...(isMore ? { link: next } : undefined) })
  }

  /** @throws IopaError 404 for a path at which there is no instance that the user may GET. */
  async thing(context: Context): Promise<unknown> {
    const path = `/${context['iopa.Params']['path'] ?? ''}`
    const thing = instanceThing(this.#app.describe(context), path, this.#path)
    if (thing === undefined || !(await this.#app.mayGet(path, context)))
      throw new IopaError(404, 'unknown-thing', `There is no Thing at ${path}: GET ${this.#path} lists those that there are.`)
    return reply(200, thing, { 'content-type': TD_MEDIA_TYPE, ...this.#caching() })
  }

  *#described(description: Description, instances: readonly (readonly [path: string, route: RouteInfo])[]): Generator<void, readonly unknown[]> {
    const things: unknown[] = []
    for (const [path, route] of instances) {
      things.push(thingAt(description, path, route, this.#path))
      yield
    }
    return things
  }

  #caching(): { readonly 'cache-control': string } {
    return { 'cache-control': this.#app.isProtected ? 'private, no-cache' : 'no-cache' }
  }
}

const numberIn = (context: Context, name: string, otherwise: number, most: number): number => {
  const text = context.query.get(name)
  if (text === null) return otherwise
  const value = Number(text)
  const least = name === 'limit' ? 1 : 0
  if (/^\d{1,15}$/.test(text) && value >= least && value <= most) return value
  throw invalidInput([{ pointer: `/${name}`, detail: `It is a whole number from ${least}${most === MOST ? ` to ${most}` : ''}.`, in: 'query' }])
}
