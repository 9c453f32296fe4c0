import { IopaError } from '@iopa/constants'
import { abortReason, type EndReason } from './abort-reasons.ts'
import type { Environment } from './environment.ts'

/** What a scope can own: something with a dispose or close method. */
export type Owned = { [Symbol.asyncDispose](): PromiseLike<void> } | { [Symbol.dispose](): void } | { close(): unknown }

type Disposer = (reason: EndReason) => unknown

/** What few scopes have. */
interface Belongings {
  readonly disposers: Disposer[]
  controller: AbortController | null
  /** Settles when asynchronous disposers have. */
  ending: Promise<void> | null
  /** What a plain `end()` ends for. */
  planned: EndReason
}

const LIVE = 0
const ENDING = 1
const ENDED = 2

/**
 * A span of life: it owns disposers and child scopes, and ends once, children first, then its disposers in reverse.
 * Lists and the signal are made only when somebody asks; children are linked in place, so a scope costs no collection.
 */
export class Scope {
  readonly #environment: Environment
  #parent: Scope | null
  #previous: Scope | null = null
  #next: Scope | null = null
  #lastChild: Scope | null = null
  #state: typeof LIVE | typeof ENDING | typeof ENDED = LIVE
  #reason: EndReason = 'finish'
  #belongings: Belongings | null = null

  readonly #counted: 0 | 1

  /** `counted` is 1 for a context and 0 for the scopes around them: an app, a listener. */
  constructor(environment: Environment, parent: Scope | null, counted: 0 | 1 = 0) {
    this.#environment = environment
    this.#parent = parent
    this.#counted = counted
    environment.live += counted
    if (parent !== null) {
      const sibling = parent.#lastChild
      this.#previous = sibling
      if (sibling !== null) sibling.#next = this
      parent.#lastChild = this
      // A parent that is gone cannot end its child any more, so the child is born ended.
      if (parent.#state !== LIVE) this.end(parent.#reason)
    }
  }

  /** What the app shares with all its scopes. */
  get environment(): Environment {
    return this.#environment
  }

  /** True once the scope has begun to end. */
  get ended(): boolean {
    return this.#state !== LIVE
  }

  /** Why the scope ended; `finish` while it lives. */
  get endReason(): EndReason {
    return this.#reason
  }

  /** Aborts when the scope ends, with an IopaError whose `code` is the end reason. Made on first use. */
  get signal(): AbortSignal {
    const belongings = this.#own
    if (belongings.controller === null) {
      belongings.controller = new AbortController()
      if (this.#state !== LIVE) belongings.controller.abort(abortReason(this.#reason))
    }
    return belongings.controller.signal
  }

  /** Runs `dispose` when the scope ends, with the end reason; at once when it has ended already. */
  defer(dispose: Disposer): void {
    if (this.#state === ENDED) void this.#run(dispose)
    else this.#own.disposers.push(dispose)
  }

  /** Disposes or closes `resource` when the scope ends, and returns it. */
  own<T extends Owned>(resource: T): T {
    this.defer(() => {
      if (Symbol.asyncDispose in resource) return resource[Symbol.asyncDispose]()
      if (Symbol.dispose in resource) return resource[Symbol.dispose]()
      return (resource as { close(): unknown }).close()
    })
    return resource
  }

  /** Makes a later `end('finish')` end for this reason instead: the answer that is still to be written is not the handler's. */
  planEnd(reason: EndReason): void {
    this.#own.planned = reason
  }

  /** Ends the scope. Only the first call counts; a promise comes back only where a disposer is asynchronous. */
  end(reason: EndReason = 'finish'): void | Promise<void> {
    if (this.#state !== LIVE) return this.#belongings?.ending ?? undefined
    const belongings = this.#belongings
    this.#state = ENDING
    if (reason === 'finish' && belongings !== null) reason = belongings.planned
    this.#reason = reason
    this.#unlink()
    this.#environment.live -= this.#counted
    if (belongings === null && this.#lastChild === null) {
      this.#state = ENDED
      return
    }
    belongings?.controller?.abort(abortReason(reason))
    const children = this.#endChildren(reason)
    const ending = children === null ? this.#dispose() : children.then(() => this.#dispose())
    if (ending !== undefined) this.#own.ending = ending
    return ending
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.end())
  }

  /** Throws when the scope has ended: a kept reference must not act for a request that is over. */
  assertLive(): void {
    if (this.#state !== LIVE) throw new IopaError(500, 'scope-ended', `This context has ended (${this.#reason}); keep values, not the context.`)
  }

  #endChildren(reason: EndReason): Promise<void> | null {
    let pending: Promise<void>[] | null = null
    for (let child = this.#lastChild; child !== null; child = this.#lastChild) {
      const ending = child.end(reason)
      if (ending !== undefined) (pending ??= []).push(ending)
    }
    return pending === null ? null : Promise.all(pending).then(() => undefined)
  }

  #dispose(): void | Promise<void> {
    for (let disposer = this.#belongings?.disposers.pop(); disposer !== undefined; disposer = this.#belongings?.disposers.pop()) {
      const result = this.#run(disposer)
      if (result !== undefined) return result.then(() => this.#dispose())
    }
    this.#state = ENDED
  }

  #run(dispose: Disposer): Promise<void> | undefined {
    const failed = (error: unknown): void => this.#environment.logger.error('iopa: a disposer failed', error)
    try {
      const result = dispose(this.#reason)
      if (isThenable(result)) return Promise.resolve(result).then(() => undefined, failed)
    } catch (error) {
      failed(error)
    }
    return undefined
  }

  get #own(): Belongings {
    return (this.#belongings ??= { disposers: [], controller: null, ending: null, planned: 'finish' })
  }

  #unlink(): void {
    const parent = this.#parent
    if (parent === null) return
    if (this.#next === null) {
      if (parent.#lastChild === this) parent.#lastChild = this.#previous
    } else this.#next.#previous = this.#previous
    if (this.#previous !== null) this.#previous.#next = this.#next
    this.#previous = this.#next = null
    this.#parent = null
  }
}

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'

// With no Object.prototype above it, a context has no inherited names for a hostile key to hit.
Object.setPrototypeOf(Scope.prototype, null)
