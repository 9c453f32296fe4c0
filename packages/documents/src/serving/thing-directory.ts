import { type Context, IopaError, reply } from '@iopa/appbuilder'
import { invalidInput } from '@iopa/appbuilder/extension'
import type { ServedPaths } from '../options.ts'
import { instancePaths, instanceThing, thingAt } from '../thing/instances.ts'
import { TD_MEDIA_TYPE } from '../thing/vocabulary.ts'
import type { DescribedApp } from './described-app.ts'

const DEFAULT_LIMIT = 100
const MOST = 1000

/** Lists the Thing Descriptions of instances, and answers with one (WoT Discovery section 7.3). */
export class ThingDirectory {
  readonly #app: DescribedApp
  readonly #path: string

  constructor(app: DescribedApp, { things = '' }: ServedPaths) {
    this.#app = app
    this.#path = things
  }

  /** A page of the Things; a Link header leads to the next one. */
  list(context: Context): unknown {
    const offset = numberIn(context, 'offset', 0, Number.MAX_SAFE_INTEGER)
    const limit = numberIn(context, 'limit', DEFAULT_LIMIT, MOST)
    const description = this.#app.describe(context)
    const things: unknown[] = []
    const seen = new Set<string>()
    let isMore = false
    for (const [path, route] of instancePaths(description)) {
      if (seen.has(path)) continue
      seen.add(path)
      if (seen.size <= offset) continue
      if (things.length >= limit) {
        isMore = true
        break
      }
      things.push(thingAt(description, path, route, this.#path))
    }
    const next = `<${description.base}${this.#path}?offset=${offset + limit}&limit=${limit}>; rel="next"`
    return reply(200, things, { 'content-type': 'application/json', ...this.#caching(), ...(isMore ? { link: next } : undefined) })
  }

  /** @throws IopaError 404 for a path at which there is no instance. */
  thing(context: Context): unknown {
    const path = `/${context['iopa.Params']['path'] ?? ''}`
    const thing = instanceThing(this.#app.describe(context), path, this.#path)
    if (thing === undefined) throw new IopaError(404, 'unknown-thing', `There is no Thing at ${path}: GET ${this.#path} lists those that there are.`)
    return reply(200, thing, { 'content-type': TD_MEDIA_TYPE, ...this.#caching() })
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
