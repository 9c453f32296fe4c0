import { type AnsweredContext, RECORD, type RunContext } from '@iopa/context/host'
import type { LostPromise, WatchedPromise } from './watched-promise.ts'

/** Hands a finished answer to the caller of a run. */
export type Done = (context: AnsweredContext) => void

/** Marks the answer of a run that has nothing to remember yet: a synchronous run without trouble stays so. */
export const RUNNING: object = Object.freeze({})

// Deep enough for every internal redirect, and far from the end of the stack.
const DEEPEST = 32

/** What a handler that failed had left behind, and what few runs have. */
interface Trouble {
  /** The error of the failed handler, and status and body as they were then. */
  error: unknown
  status: number
  body: unknown
  /** The last value that a handler returned too late. */
  late: unknown
  /** How to end the runs within this one. */
  nested: Set<() => void> | null
  overNoted: boolean
}

/** What a run remembers that is asynchronous, nested or in trouble. Its `done` is called exactly once. */
export class Run {
  readonly context: RunContext
  /** Null once it has been called. */
  done: Done | null = null
  /** Whether streamed payloads are collected before `done`; `all` includes those that can be read in parts. */
  whole: boolean | 'all' = false
  /** The deadlines' list that holds this run, and its neighbours there. */
  generation: { remove(run: Run): void } | null = null
  previous: Run | null = null
  next: Run | null = null
  /** The peer is awaited: no deadline passes meanwhile. */
  awaitsPeer = false
  /** Handlers whose promise has not settled. */
  pending = 0
  /** A middleware that returned while the handler that it called was still at work. */
  careless: { readonly by: string; readonly at: RunContext } | null = null
  /** It has been logged that a middleware did not wait. */
  blamed = false
  /** The pipeline has settled; the answer may have left before. */
  settled = false
  /** The method of a handler whose change must be known: the scope is held until the pipeline has settled. Empty for any other. */
  changing = ''
  /** Gives up what the answer waits for: its stream. */
  giveUp: (() => void) | null = null
  /** Releases the scope at last, when the handler does not end after its answer has. */
  limit: unknown = null
  /** A handler has failed, and no other one has succeeded since. */
  failed = false
  #trouble: Trouble | null = null
  /** The newest promise that middleware was given; each knows the one before. */
  watched: WatchedPromise | null = null
  /** True once a run has begun within this one. */
  nests = false

  constructor(context: RunContext) {
    this.context = context
  }

  /** The run that the answer of a context belongs to, which begins to remember; null outside of one. */
  static of(context: RunContext): Run | null {
    const record = context[RECORD]
    const { run } = record
    if (run instanceof Run) return run
    // A mount may ask with its view; what a transport gets back is the context that it gave.
    return run === RUNNING ? (record.run = new Run(record.owner as unknown as RunContext)) : null
  }

  /** The run of a context or of one around it. */
  static around(context: RunContext): Run | null {
    for (let at: RunContext | null = context; at !== null; at = at['server.ParentContext']) {
      const run = Run.of(at)
      if (run !== null) return run
    }
    return null
  }

  /** A handler has failed. What has been set until now is its own; what is set afterwards takes its place. */
  fail(error: unknown): void {
    const answer = this.context[RECORD]
    const own = this.#own
    this.failed = true
    own.error = error
    own.status = answer.code
    own.body = answer.content
  }

  /** A handler has succeeded, also where another one had failed before. */
  succeed(): void {
    this.failed = false
  }

  /** The error of a failed handler in whose place nothing has been set; null where there is none. */
  unanswered(value: unknown): { readonly error: unknown } | null {
    if (!this.failed || value !== undefined) return null
    const answer = this.context[RECORD]
    const own = this.#own
    const same = answer.code === own.status && answer.content === own.body
    return same ? { error: own.error } : null
  }

  /** Keeps a promise that a middleware was given until it is known whether something waits for it. */
  watch(promise: WatchedPromise): void {
    if (promise.kept) return
    promise.kept = true
    promise.before = this.watched
    this.watched = promise
  }

  /** A promise that nothing has waited for, that of the outermost middleware; null where there is none. */
  lost(): LostPromise | null {
    let promise = this.watched
    while (promise !== null && !promise.lost) promise = promise.before
    return promise
  }

  /** What a handler returned after the answer had been sealed without it; false when it was noted before. */
  returned(value: unknown): boolean {
    if (this.late === value) return false
    this.#own.late = value
    return true
  }

  /** The last value that a handler returned too late. */
  get late(): unknown {
    return this.#trouble?.late
  }

  /** True the first time that a middleware calls `next()` after the end. */
  notesOver(): boolean {
    const own = this.#own
    return !own.overNoted && (own.overNoted = true)
  }

  /** Enters a run within this one, which ends with it at the latest; false when they are too deep. */
  enter(end: () => void): boolean {
    const nested = (this.#own.nested ??= new Set())
    if (nested.size >= DEEPEST) return false
    this.nests = true
    nested.add(end)
    return true
  }

  leave(end: () => void): void {
    this.#trouble?.nested?.delete(end)
  }

  /** Ends the runs within this one. */
  endNested(): void {
    for (const end of [...(this.#trouble?.nested ?? [])]) end()
  }

  get #own(): Trouble {
    return (this.#trouble ??= { error: undefined, status: 0, body: undefined, late: undefined, nested: null, overNoted: false })
  }
}
