import { IopaError, MEDIA_TYPES, mediaTypeEssence } from '@iopa/constants'
import { Answer, type Context } from '@iopa/context'
import { toIopaError } from '../pipeline/errors.ts'
import type { Change, Observation, Subscription } from '../transport/transport.ts'
import { excerpted, isExcerpted } from './excerpt.ts'
import { Observer } from './observer.ts'
import { ObserverGroup } from './observer-group.ts'
import { isPrivate, ShareKeys } from './share-key.ts'

/** What the registry needs of the app. */
export interface ObservationHost {
  /** Runs the pipeline; the answer is sealed when `done` is called. */
  run(context: Context, done: (context: Context) => void): void
  /** A GET of `path` on behalf of `as`, a child of its scope. */
  renew(path: string, as: Context): Context
  /** Most bytes of a notification. */
  readonly bodyLimit: number
}

interface ObservedPath {
  /** Registered, their first GET not yet delivered. */
  readonly muted: Set<Observer<ObserverGroup>>
  /** Observers that share runs, by share key. */
  readonly shared: Map<string, ObserverGroup>
  /** Groups of one, whose answers nobody else may see. */
  readonly single: Set<ObserverGroup>
}

interface SharedGet {
  readonly current: Promise<Answer>
  /** The run that begins when the current one has finished, for those who asked meanwhile. */
  queued: Promise<Answer> | null
  /** Whose scope the queued run belongs to. */
  owner: Context | null
}

const tooMany = (): IopaError =>
  new IopaError(503, 'too-many-observers', 'The server has as many observers as it may have; try again.', { headers: { 'retry-after': '30' } })

/** Who observes which path. Without observers and listeners a change costs one comparison. */
export class ObservationRegistry {
  readonly #host: ObservationHost
  readonly #keys = new ShareKeys()
  readonly #paths = new Map<string, ObservedPath>()
  readonly #listeners = new Set<(change: Change) => void>()
  #running: string | null = null
  /** Observers and listeners in all. */
  active = 0

  constructor(host: ObservationHost) {
    this.#host = host
  }

  /** Observers of every path. */
  get observers(): number {
    return this.active - this.#listeners.size
  }

  /** Registers muted, runs the GET, delivers its answer, then unmutes: a change in between is delivered after it. */
  async observe(
    context: Context,
    deliver: (answer: Answer) => Promise<void> | void,
    run: ObservationHost['run'],
    limit: number
  ): Promise<Observation> {
    const path = context['iopa.PathBase'] + context['iopa.Path']
    if (this.observers >= limit) {
      context.response.fail(tooMany())
      context.response.seal(context.environment.codecs)
      await new Observer(context, path, deliver, () => undefined).deliverFirst(context.response)
      return { active: false, close: reason => context.end(reason) }
    }
    const observer = new Observer<ObserverGroup>(context, path, deliver, () => this.#remove(observer))
    this.#pathOf(path).muted.add(observer)
    this.active++
    context.defer(() => this.#remove(observer))
    await new Promise<void>(resolve => run(context, () => resolve()))
    if (isOwnEventStream(context)) {
      // The handler tells of its events itself; they are no state that could be told again.
      this.#remove(observer)
      await observer.deliverFirst(context.response)
      return { active: false, close: reason => context.end(reason) }
    }
    const answer = await collected(context, this.#host.bodyLimit)
    if (!answer.ok) this.#remove(observer)
    await observer.deliverFirst(answer)
    if (!observer.removed) this.#unmute(observer, answer)
    return { active: !observer.removed, close: reason => context.end(reason ?? 'unsubscribe') }
  }

  /** Tells who observes `path`; a change that a run of this very path makes is its own doing and is ignored. */
  changed(path: string, origin: Context | null): void {
    if (this.active === 0 || this.#running === path || isWithinRun(origin, path)) return
    const observed = this.#paths.get(path)
    if (observed !== undefined) {
      for (const observer of observed.muted) observer.dirty = true
      for (const group of observed.shared.values()) group.refresh()
      for (const group of observed.single) group.refresh()
    }
    if (this.#listeners.size > 0) for (const listener of this.#listeners) listener({ path, origin })
  }

  /** Hands observers of `path` an answer that was not made by running GET here. It is no change of this app. */
  deliver(path: string, answer: Answer): void {
    const observed = this.#paths.get(path)
    if (observed === undefined) return
    for (const observer of observed.muted) observer.dirty = true
    for (const group of [...observed.shared.values(), ...observed.single]) for (const observer of [...group.observers]) observer.push(answer)
  }

  /** Hears every change of any path until it is disposed. */
  listen(listener: (change: Change) => void): Subscription {
    const own = (change: Change): void => listener(change)
    this.#listeners.add(own)
    this.active++
    return {
      [Symbol.dispose]: () => {
        if (this.#listeners.delete(own)) this.active--
      }
    }
  }

  /** Runs a notification's GET to a collected answer, and ends its context. */
  readonly #get = (path: string, as: Context): Promise<Answer> => {
    const context = this.#host.renew(path, as)
    return new Promise<void>(resolve => {
      const outer = this.#running
      this.#running = path
      try {
        this.#host.run(context, () => resolve())
      } finally {
        this.#running = outer
      }
    })
      .then(() => collected(context, this.#host.bodyLimit))
      .then(answer => {
        void context.end()
        return answer
      })
  }

  readonly #represented = new Map<string, SharedGet>()

  /** The answer to a GET that began after this call; callers with the same share key get the same one. */
  represent(path: string, as: Context): Promise<Answer> {
    const share = this.#keys.of(as)
    if (share === null) return this.#get(path, as)
    const key = `${path}\n${share}`
    const entry = this.#represented.get(key)
    if (entry !== undefined) {
      // The run in flight may have read the state before the change, so the next one answers.
      entry.queued ??= entry.current.then(() => this.#startRepresent(key, path, as))
      entry.owner ??= as
      const owner = entry.owner
      return entry.queued.then(answer => (owner !== as && (isPrivate(answer) || owner.ended) ? this.#get(path, as) : answer))
    }
    return this.#startRepresent(key, path, as)
  }

  #startRepresent(key: string, path: string, as: Context): Promise<Answer> {
    const current = this.#get(path, as)
    const entry: SharedGet = { current, queued: null, owner: null }
    this.#represented.set(key, entry)
    return current.then(answer => {
      if (this.#represented.get(key) === entry && entry.queued === null) this.#represented.delete(key)
      return answer
    })
  }

  #unmute(observer: Observer<ObserverGroup>, answer: Answer): void {
    const observed = this.#pathOf(observer.path)
    observed.muted.delete(observer)
    const key = isPrivate(answer) ? null : this.#keys.of(observer.context)
    const group = (key === null ? undefined : observed.shared.get(key)) ?? new ObserverGroup(observer.path, this.#get, solo => this.#isolate(solo))
    if (key === null) observed.single.add(group)
    else observed.shared.set(key, group)
    group.add(observer, key)
    if (observer.dirty) group.refresh()
  }

  /** Takes a group apart whose answer turned out to be private: each observer gets a run of its own. */
  #isolate(group: ObserverGroup): void {
    const observed = this.#paths.get(group.path)
    if (observed === undefined || group.key === null) return
    observed.shared.delete(group.key)
    for (const observer of [...group.observers]) {
      group.delete(observer)
      const single = new ObserverGroup(group.path, this.#get, () => undefined)
      single.add(observer, null)
      observed.single.add(single)
      single.refresh()
    }
  }

  #pathOf(path: string): ObservedPath {
    let observed = this.#paths.get(path)
    if (observed === undefined) this.#paths.set(path, (observed = { muted: new Set(), shared: new Map(), single: new Set() }))
    return observed
  }

  #remove(observer: Observer<ObserverGroup>): void {
    if (observer.removed) return
    observer.removed = true
    this.active--
    const observed = this.#paths.get(observer.path)
    if (observed === undefined) return
    observed.muted.delete(observer)
    const group = observer.group
    if (group !== null) {
      group.delete(observer)
      if (group.observers.size === 0) {
        observed.single.delete(group)
        if (group.key !== null && observed.shared.get(group.key) === group) observed.shared.delete(group.key)
      }
    }
    if (observed.muted.size === 0 && observed.shared.size === 0 && observed.single.size === 0) this.#paths.delete(observer.path)
  }
}

/** The answer with its payload in memory: all of it, or an excerpt of what is too large; another one that says 500 where the stream fails. */
const collected = async (context: Context, limit: number): Promise<Answer> => {
  const answer = context.response
  if (!answer.isStream) return answer
  try {
    if (answer.ok && isExcerpted(answer.payload, limit)) return await excerpted(context, answer.payload)
    await answer.collect(limit)
    return answer
  } catch (error) {
    context['server.Logger'].error(`iopa: the body of ${context} could not be read`, error)
    const visible = toIopaError(error)
    const failed = new Answer(context)
    failed.fail(new IopaError(visible.status, visible.code, visible.detail))
    failed.seal(context.environment.codecs)
    return failed
  }
}

const isOwnEventStream = ({ response, headers }: Context): boolean =>
  response.isStream && mediaTypeEssence(response.type) === MEDIA_TYPES.EventStream && (headers.get('accept') ?? '').includes(MEDIA_TYPES.EventStream)

const isWithinRun = (origin: Context | null, path: string): boolean => {
  for (let context = origin; context !== null; context = context['server.ParentContext']) {
    if (context['server.IsNotification'] && context['iopa.PathBase'] + context['iopa.Path'] === path) return true
  }
  return false
}
