import type { Context, Next } from '@iopa/appbuilder'
import { type AppHandle, type Extension, markFactory } from '@iopa/appbuilder/extension'
import { contextOf, isHttp, preview, RECORD, type RunContext } from '@iopa/context/host'
import { type Clock, IopaError } from '@iopa/transport'
import { Answers, type KeptAnswer, type Variants } from './answers.ts'
import { ChangedPaths } from './changed-paths.ts'
import { isStream } from './etag.ts'
import { freshnessOf, isOwn } from './freshness.ts'
import { type CacheOptions, type CacheSettings, settingsOf } from './options.ts'
import { accountOf, requester, requestKey, variantKey } from './request-key.ts'

/** Adds a cache of answers to an app. It adds no methods. */
export type CacheExtension = Extension<Record<never, never>> & { invoke(context: Context, next: Next): unknown }

/** A cache of the answers to GET of what stands behind it, on every protocol; changes empty it. @throws IopaError 500 `bad-option`. */
export const cache = (options: CacheOptions = {}): CacheExtension => new ResponseCache(settingsOf(options, cache))

markFactory('cache', cache)

/** Milliseconds for which requests do not wait for one another after an answer that is not kept. */
const PASS_TIME = 10_000

/** Names in a Vary field. */
const MOST_NAMES = 100

/** A GET whose answer others wait for. */
interface Flight {
  /** Resolves when it is over, whether its answer is kept or not. */
  readonly done: Promise<void>
  readonly path: string
  /** A change came in between: what it gets is old. */
  old: boolean
  /** Its request was given up before there was an answer. */
  abandoned: boolean
  land(): void
}

class ResponseCache implements CacheExtension {
  readonly name = 'cache'
  readonly needsApp = true
  readonly #settings: CacheSettings
  readonly #answers: Answers
  readonly #flights = new Map<string, Flight>()
  readonly #changed = new ChangedPaths()
  #clock: Clock | null = null

  constructor(settings: CacheSettings) {
    this.#settings = settings
    this.#answers = new Answers(settings.size, settings.entries)
  }

  extend(app: AppHandle): Record<never, never> {
    if (this.#clock !== null) throw new IopaError(500, 'cache-in-use', 'This cache belongs to another app: call cache() once for each app.')
    this.#clock = app.clock
    app.changes(({ path }) => this.#change(path))
    return {}
  }

  invoke(context: Context, next: Next): unknown {
    // Changes would not empty it.
    if (this.#clock === null)
      throw new IopaError(500, 'cache-not-used', 'A cache is no guard of a route: give it to use() of an app, or of a mounted one.')
    const method = context['iopa.Method']
    if (method !== 'GET' && method !== 'HEAD') return next()
    // Observers, and what judges a change, get the present state; and nothing is read in runs that observers share.
    if (context['iopa.Observe'] === true || context['server.IsNotification'] || context['server.IsPrecondition']) return next()
    const key = requestKey(context, this.#settings)
    return key === undefined ? next() : this.#answer(context, next, key)
  }

  #answer(context: Context, next: Next, key: string): unknown {
    const variants = this.#answers.get(key)
    if (variants !== undefined && variants.passes > this.#time.elapsed()) return next()
    const kept = variants?.answers.get(variantKey(context, variants.names))
    const flight = this.#flights.size === 0 ? undefined : this.#flights.get(flightKey(context, key, variants))
    if (kept !== undefined) {
      const age = this.#time.elapsed() - kept.at
      if (age < kept.fresh) return give(context, kept, age)
      // One request gets a new answer, the others need not wait for it.
      if (flight !== undefined && age < kept.fresh + kept.stale) return give(context, kept, age)
    }
    if (flight !== undefined) return this.#wait(context, next, key, flight)
    // HEAD need not make the body, which GET would give to others.
    return context['iopa.Method'] === 'HEAD' ? next() : this.#fetch(context, next, key, flightKey(context, key, variants))
  }

  /** Waits for the answer that another request gets; where that cannot be shared, this one runs by itself. */
  async #wait(context: Context, next: Next, key: string, flight: Flight): Promise<unknown> {
    await flight.done
    // One of those that waited takes its place.
    if (flight.abandoned) return this.#answer(context, next, key)
    const variants = this.#answers.get(key)
    // What a change made old is not there any more.
    const kept = variants?.answers.get(variantKey(context, variants.names))
    if (kept === undefined) return next()
    const age = this.#time.elapsed() - kept.at
    return age < kept.fresh ? give(context, kept, age) : next()
  }

  async #fetch(context: Context, next: Next, key: string, name: string): Promise<unknown> {
    const run = contextOf(context as RunContext)
    const answer = run[RECORD]
    const path = context['iopa.Path']
    const asked = this.#settings.shared ? '' : requester(context)
    const before = new Set(Array.from(answer.headers, ([field, value]) => `${field}\0${value}`))
    const begun = this.#changed.begin()
    const flight = flightOf(path, () => {
      if (this.#flights.get(name) === flight) this.#flights.delete(name)
      this.#changed.end()
    })
    this.#flights.set(name, flight)
    let sending = false
    // The peer may leave, or the handler never settle: nobody waits for that.
    context.defer(() => {
      flight.abandoned = !sending
      flight.land()
    })
    let captured: KeptAnswer | null = null
    // Last, for a cookie that middleware around the cache sets makes the answer its requester's own.
    answer.onSendingHeaders(
      () => {
        sending = true
        if (captured !== null) this.#keep(context, key, path, begun, flight, captured)
        flight.land()
      },
      { last: true }
    )
    const value = await next()
    // A user whom middleware behind the cache has named is no part of the key.
    if (this.#settings.shared || requester(context) === asked) captured = this.#capture(context, before)
    // A failure, or the verdict of a handler on a precondition, says nothing of the next answer.
    if (captured === null && answer.status === 200) this.#pass(context, key, path)
    return value
  }

  /** The answer as it is now; null for one that is not kept. */
  #capture(context: Context, before: ReadonlySet<string>): KeptAnswer | null {
    const answer = contextOf(context as RunContext)[RECORD]
    const { ttl, stale, vary } = this.#settings
    if (answer.sealed || isStream(answer.content)) return null
    const freshness = freshnessOf(answer, this.#time.now(), ttl, stale)
    if (freshness === null || answer.headers.getAll('vary').some(field => field.includes('*'))) return null
    let content: KeptAnswer['payload'] = null
    if (answer.content !== undefined) {
      const { payload, type } = preview(answer)
      answer.type = type
      if (payload !== answer.content) answer.body = payload
      if (payload !== null && typeof payload !== 'string' && !(payload instanceof Uint8Array)) return null
      // A handler may use its buffer again.
      content = payload instanceof Uint8Array ? new Uint8Array(payload) : payload
    }
    for (const name of vary) if (!varies(answer.headers.getAll('vary'), name)) answer.headers.append('vary', name)
    const pairs: string[] = []
    const added: string[] = []
    for (const [name, field] of answer.headers) {
      if (before.has(`${name}\0${field}`)) continue
      const lower = name.toLowerCase()
      const list = lower === 'vary' || pairs.includes(lower) ? added : pairs
      list.push(lower, field)
    }
    const at = this.#time.elapsed() - ageOf(answer.headers.get('age'))
    const names = varyNames(answer.headers.getAll('vary'))
    return { status: answer.status, pairs, added, names, type: answer.type, payload: content, at, ...freshness }
  }

  /** Keeps an answer that is about to be sent, unless a change has come since its GET began. */
  #keep(context: Context, key: string, path: string, begun: number, flight: Flight, captured: KeptAnswer): void {
    const { headers, status, resource } = contextOf(context as RunContext)[RECORD]
    if (headers.has('set-cookie') || isOwn(headers)) {
      this.#pass(context, key, path)
      return
    }
    // The verdict on a precondition says nothing of the answer. What else changes the status may depend on the request.
    if (status !== captured.status && status !== 304 && status !== 412) return
    const base = context['iopa.PathBase']
    const paths = resource === '' || !resource.startsWith(base) ? [path] : [...new Set([path, resource.slice(base.length) || '/'])]
    if (flight.old || paths.some(changed => this.#changed.since(begun, changed))) {
      flight.old = true
      return
    }
    const { names } = captured
    this.#answers.set(key, variantKey(context, names), { names, paths, account: accountOf(context), answer: captured })
  }

  #pass(context: Context, key: string, path: string): void {
    this.#answers.pass(key, path, accountOf(context), this.#time.elapsed() + PASS_TIME)
  }

  get #time(): Clock {
    return this.#clock as Clock
  }

  #change(path: string): void {
    this.#answers.drop(path)
    this.#changed.add(path)
    for (const [name, flight] of this.#flights) {
      if (flight.path !== path) continue
      // Those that come from now on get what is true now.
      flight.old = true
      this.#flights.delete(name)
    }
  }
}

const flightOf = (path: string, over: () => void): Flight => {
  let resolve = (): void => undefined
  const done = new Promise<void>(settle => {
    resolve = settle
  })
  let landed = false
  const land = (): void => {
    if (landed) return
    landed = true
    over()
    resolve()
  }
  return { done, path, old: false, abandoned: false, land }
}

/** Requests with one name wait for one another: those of a key, and of a variant where it is known what answers vary with. */
const flightKey = (context: Context, key: string, variants: Variants | undefined): string =>
  variants === undefined || variants.names.length === 0 ? key : `${key}${variantKey(context, variants.names)}`

/** What an answer varies with, also where middleware around the cache says so as well; Accept is part of every key. */
const varyNames = (fields: readonly string[]): string[] => {
  const names = new Set(fields.flatMap(field => field.split(',', MOST_NAMES)).map(name => name.trim().toLowerCase()))
  names.delete('accept')
  names.delete('')
  return [...names].sort()
}

const varies = (fields: readonly string[], name: string): boolean =>
  fields.some(field => field.split(',').some(named => named.trim().toLowerCase() === name))

/** Milliseconds that an answer which came from another cache has been there (RFC 9111 section 5.1). */
const ageOf = (age: string | undefined): number => (age !== undefined && /^\d{1,9}$/.test(age) ? Number(age) * 1000 : 0)

/** Answers with what was kept; the core judges preconditions by it. */
const give = (context: Context, { status, pairs, added, type, payload, fresh }: KeptAnswer, age: number): undefined => {
  const { response } = context
  const { headers } = response
  response.status = status
  for (let at = 0; at < pairs.length; at += 2) headers.set(pairs[at] as string, pairs[at + 1] as string)
  for (let at = 0; at < added.length; at += 2) headers.append(added[at] as string, added[at + 1] as string)
  if (payload !== null) {
    response.type = type
    response.body = payload
  }
  // Elsewhere there is no Age: Max-Age says what is left (RFC 7252 section 5.10.5).
  if (isHttp(context['iopa.Scheme'])) headers.set('age', String(Math.floor(age / 1000)))
  else headers.set('cache-control', `max-age=${Math.max(0, Math.floor((fresh - age) / 1000))}`)
  return undefined
}
