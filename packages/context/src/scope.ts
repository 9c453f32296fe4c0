import { IopaError } from '@iopa/constants'
import { abortReason, type EndReason } from './abort-reasons.ts'
import { type AsyncScope, asyncScope, inAsyncScope } from './async-scope.ts'
import type { Owned } from './context.ts'
import type { Environment } from './environment.ts'
import { report } from './report.ts'

type Disposer = (reason: EndReason) => unknown

/** What few scopes have. */
interface Belongings {
  readonly disposers: Disposer[]
  controller: AbortController | null
  /** The asynchronous context in which the signal was last asked for: listeners are added there. */
  signalScope: AsyncScope | null
  /** Settles when asynchronous disposers have. */
  ending: Promise<void> | null
  /** Those of children that are ending still: a scope has not ended before them. */
  endings: Set<Promise<void>> | null
  /** Why it ended, or what a plain `end()` will end for. */
  reason: EndReason
  /** While ends are put off: called once when the scope is asked to end. */
  heldBy: (() => void) | null
  /** Why it was asked to end while it was held. */
  asked: EndReason | null
  /** Told when the scope is asked to end, also while it is held. */
  onAsked: (() => void)[] | null
  /** Disposers that have not settled are not waited for any more. */
  hurried: boolean
}

// What a scope counts among the live contexts is its first state.
const LIVE = 0
const COUNTED = 1
const ENDING = 2
const ENDED = 3

/**
 * A span of life: it owns disposers and child scopes, and ends once, children first, then its disposers in reverse.
 * Lists and the signal are made on first use; children are linked in place, so a scope costs no collection.
 */
export class Scope {
  readonly #environment: Environment
  #parent: Scope | null
  #previous: Scope | null = null
  #next: Scope | null = null
  #lastChild: Scope | null = null
  #state: number
  /** True once the scope has begun to end. A plain field, for each run reads it; the scope alone sets it. */
  ended = false
  #belongings: Belongings | null = null

  /** `counted` is 1 for a context and 0 for the scopes around them: an app, a listener. */
  constructor(environment: Environment, parent: Scope | null, counted: 0 | 1 = 0) {
    this.#environment = environment
    this.#parent = parent
    this.#state = counted === 1 ? COUNTED : LIVE
    environment.live += counted
    if (parent !== null) {
      this.#link(parent)
      // A parent that is gone cannot end its child any more, so the child is born ended.
      if (parent.ended) this.end(parent.endReason)
    }
  }

  /** What the app shares with all its scopes. */
  get environment(): Environment {
    return this.#environment
  }

  /** Why the scope ended; `finish` while it lives. */
  get endReason(): EndReason {
    return this.ended ? (this.#belongings?.reason ?? 'finish') : 'finish'
  }

  /** Aborts when the scope ends, with an IopaError whose `code` is the end reason. Made on first use. */
  get signal(): AbortSignal {
    const belongings = this.#own
    if (!this.ended) belongings.signalScope = asyncScope()
    if (belongings.controller === null) {
      belongings.controller = new AbortController()
      if (this.ended) belongings.controller.abort(abortReason(this.endReason))
    }
    return belongings.controller.signal
  }

  /**
   * Runs `dispose` when the scope ends, with the end reason; at once when it has ended already. It runs in the present
   * asynchronous context: what the request of the caller keeps in AsyncLocalStorage is there.
   */
  defer(dispose: Disposer): void {
    if (this.#state === ENDED) void this.#run(dispose)
    else this.#own.disposers.push(inAsyncScope(dispose))
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
    this.#own.reason = reason
  }

  /**
   * Puts off every end but that of a shutdown until `release`: a handler is at work whose change must be known. `asked` is called once when the scope is
   * asked to end meanwhile.
   */
  hold(asked: () => void): void {
    if (this.ended) asked()
    else this.#own.heldBy = asked
  }

  /** Calls `listener` once when the scope is asked to end, also while its end is put off: work that has not begun need not begin. */
  onEndAsked(listener: () => void): void {
    const belongings = this.#own
    if (this.ended || belongings.asked !== null) listener()
    else (belongings.onAsked ??= []).push(listener)
  }

  /** Lets the scope end: at once where that has been asked for. */
  release(): void {
    const belongings = this.#belongings
    if (belongings === null || belongings.heldBy === null) return
    belongings.heldBy = null
    if (belongings.asked !== null) void this.end(belongings.asked)
  }

  /** Ends the scope. Only the first call counts; a promise comes back only where a disposer is asynchronous, and settles within a limit. */
  end(reason: EndReason = 'finish'): void | Promise<void> {
    const state = this.#state
    if (this.ended) return this.#belongings?.ending ?? undefined
    if (reason !== 'shutdown' && this.#belongings !== null && this.#belongings.heldBy !== null) {
      this.#tellAsked(reason)
      return
    }
    this.#state = ENDING
    this.ended = true
    const parent = this.#parent
    this.#unlink()
    this.#environment.live -= state
    if (this.#belongings === null && this.#lastChild === null && reason === 'finish') {
      this.#state = ENDED
      return
    }
    const belongings = this.#own
    // What was planned takes the place of a plain end.
    if (reason !== 'finish') belongings.reason = reason
    this.#tellAsked(reason)
    if (belongings.controller !== null) this.#abort(belongings.controller, belongings)
    const children = this.#endChildren(belongings.reason, parent)
    const ending = children === null ? this.#disposeInTime() : children.then(() => this.#disposeInTime())
    if (ending !== undefined) {
      belongings.ending = ending
      if (parent !== null) parent.#awaitChild(ending)
    }
    return ending
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.end())
  }

  /** Throws when the scope has ended: a kept reference must not act for a request that is over. */
  assertLive(): void {
    if (this.ended) throw new IopaError(500, 'scope-ended', `This context has ended (${this.endReason}); keep values, not the context.`)
  }

  #tellAsked(reason: EndReason): void {
    const belongings = this.#own
    if (belongings.heldBy !== null && belongings.asked === null) {
      belongings.asked = reason
      belongings.heldBy()
    }
    if (belongings.onAsked === null) return
    for (const listener of belongings.onAsked.splice(0)) listener()
  }

  /** Its listeners, too, run in the asynchronous context of the request that has asked for the signal. */
  #abort(controller: AbortController, { signalScope, reason }: Belongings): void {
    if (signalScope === null) controller.abort(abortReason(reason))
    else signalScope.runInAsyncScope(controller.abort, controller, abortReason(reason))
  }

  /** Ends the children; null unless some of them, or of those that began to end by themselves, take their time. */
  #endChildren(reason: EndReason, parent: Scope | null): Promise<void> | null {
    for (let child = this.#lastChild; child !== null; child = this.#lastChild) {
      void child.end(reason)
      // One that is held lives on within the scope around this one.
      if (child === this.#lastChild) child.#moveTo(parent)
    }
    const endings = this.#belongings?.endings ?? null
    return endings === null || endings.size === 0 ? null : Promise.all(endings).then(() => undefined)
  }

  #moveTo(parent: Scope | null): void {
    this.#unlink()
    if (parent === null || parent.ended) {
      void this.end('shutdown')
      return
    }
    this.#link(parent)
  }

  #awaitChild(ending: Promise<void>): void {
    if (this.#state === ENDED) return
    const endings = (this.#own.endings ??= new Set())
    endings.add(ending)
    void ending.then(() => endings.delete(ending))
  }

  #disposeInTime(): void | Promise<void> {
    const work = this.#dispose()
    return work === undefined ? undefined : (this.#environment.bounded?.(work, () => this.#hurry()) ?? work)
  }

  #dispose(): void | Promise<void> {
    for (let disposer = this.#belongings?.disposers.pop(); disposer !== undefined; disposer = this.#belongings?.disposers.pop()) {
      const result = this.#run(disposer)
      if (result !== undefined && this.#belongings?.hurried !== true) return result.then(() => this.#dispose())
    }
    this.#state = ENDED
  }

  /** Runs the disposers that are left without waiting for those that do not settle. */
  #hurry(): void {
    if (this.#state === ENDED) return
    this.#own.hurried = true
    void this.#dispose()
  }

  #run(dispose: Disposer): Promise<void> | undefined {
    const failed = (error: unknown): void => report(this.#environment.logger, 'iopa: a disposer failed', error)
    try {
      const result = dispose(this.endReason)
      if (isThenable(result)) return Promise.resolve(result).then(() => undefined, failed)
    } catch (error) {
      failed(error)
    }
    return undefined
  }

  get #own(): Belongings {
    return (this.#belongings ??= {
      disposers: [],
      controller: null,
      signalScope: null,
      ending: null,
      endings: null,
      reason: 'finish',
      heldBy: null,
      asked: null,
      onAsked: null,
      hurried: false
    })
  }

  #link(parent: Scope): void {
    const sibling = parent.#lastChild
    this.#parent = parent
    this.#previous = sibling
    if (sibling !== null) sibling.#next = this
    parent.#lastChild = this
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
