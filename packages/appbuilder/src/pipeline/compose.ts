import { IopaError } from '@iopa/constants'
import type { Context } from '@iopa/context'
import { type AnswerRecord, abandonValue, OPEN, RECORD, type RunContext, report } from '@iopa/context/host'
import type { MiddlewareFunction, Next } from './middleware.ts'
import { answerNoted } from './noted-methods.ts'
import { RUNNING, Run } from './run.ts'
import { WatchedPromise } from './watched-promise.ts'

/** Runs a context: the handler's value or a promise of it; throws or rejects with what a handler threw. */
export type Pipeline = (context: RunContext) => unknown

/** A pipeline made of layers. */
export interface ComposedPipeline extends Pipeline {
  /** The value itself, where a run returned the promise of a `next()` that had finished synchronously. */
  unwrap(value: unknown): unknown
  /** The names of the layers, the first outermost. */
  readonly names: readonly string[]
}

/** True for anything that can be awaited. */
export const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'

/** A promise of what a thenable gives: a query builder, say, has `then` and nothing else that can be relied upon. */
export const asPromise = (thenable: PromiseLike<unknown>): Promise<unknown> => (thenable instanceof Promise ? thenable : Promise.resolve(thenable))

const calledTwice = (): IopaError =>
  new IopaError(500, 'next-called-twice', 'A middleware called next() twice; call it once, or next.invoke(other) for further contexts.')

const calledLate = (): IopaError =>
  new IopaError(500, 'next-called-late', 'A middleware called next() after the answer had been sent; call it before the middleware returns.')

/** Writes a returned value to the answer, once; one that comes too late is given up. */
export const applyReturned = (answer: AnswerRecord, value: unknown): void => {
  if (answer.take(value)) return
  if (!(answer.run instanceof Run) || answer.run.returned(value)) abandonValue(value)
}

/** A rejection for a middleware, which the run keeps until it is known whether something waits for it. */
const rejected = (context: RunContext, error: unknown, by: string): Promise<never> => {
  const promise = WatchedPromise.rejection(error, context, by, lost)
  Run.around(context)?.watch(promise)
  return promise
}

/** The rest of a pipeline has thrown below a middleware. */
const failed = (context: RunContext, error: unknown, by: string): Promise<never> => {
  Run.of(context)?.fail(error)
  return rejected(context, error, by)
}

/** A call of `next()` that does not run the rest. */
const refused = (context: RunContext, by: string): Promise<never> => {
  if (context[RECORD].state === OPEN) return rejected(context, calledTwice(), by)
  const error = calledLate()
  if (Run.of(context)?.notesOver() !== false) overdue(context, error, by)
  return WatchedPromise.rejection(error, context, by, lost)
}

/** Logs what went wrong after the answer was sealed. A body that is still on its way is broken off. */
const overdue = (context: RunContext, error: unknown, by: string): void => {
  report(context['server.Logger'], `iopa: ${context}: '${by}' failed after the answer had been sent`, error)
  if (context[RECORD].isStream) void context.end('reset')
}

/** A promise of the rest was rejected, and nothing waits for it: it belongs to the run around it, or comes after that. */
const lost = (promise: WatchedPromise): void => {
  const run = Run.around(promise.at)
  if (run !== null && run.context[RECORD].state === OPEN) run.watch(promise)
  else if (run?.blamed !== true) overdue(promise.at, promise.error, promise.by)
}

/** What `next()` gives while the rest is at work: a middleware waits for it, or hands it on. */
const watched = (context: RunContext, work: Promise<unknown>, by: string): Promise<unknown> => {
  if (work instanceof WatchedPromise && work.rejected) return rejected(context, work.error, by)
  const promise = new WatchedPromise(work, context, by, lost)
  Run.around(context)?.watch(promise)
  return promise
}

/** True outside of a run, in a pipeline that `build` gave: its caller hears how it ends. */
const isAlone = (context: RunContext): boolean => context[RECORD].run === null && context['server.ParentContext'] === null

/** What a middleware returned that called on: the promise of the rest as it is, where it hands that on. If it returned none, nothing waits. */
const left = (context: RunContext, value: unknown, by: string): unknown => {
  if (value instanceof WatchedPromise) return value.passedOn
  const { run } = context[RECORD]
  if (run !== RUNNING && run instanceof Run && run.pending > 0 && run.careless === null && !isThenable(value)) run.careless = { by, at: context }
  return value
}

/**
 * Composes layers, the first outermost, before `terminal`. Nothing is allocated per layer but its `next`; a pipeline
 * whose handlers are synchronous stays so, even where a layer returns the promise of `next()`. `whole` says that a
 * runner runs it, which writes what comes out of the outermost layer to the answer.
 */
export const compose = (
  layers: readonly MiddlewareFunction[],
  terminal: Pipeline,
  given: readonly string[] = [],
  whole = false
): ComposedPipeline => {
  const names = layers.map((layer, at) => given[at] || layer.name || `middleware ${at + 1}`)
  // The promise that the last synchronous next() gave, and its value: a layer that returns it has stayed synchronous.
  let settledPromise: Promise<unknown> | null = null
  let settledValue: unknown

  const promised = (context: RunContext, value: unknown): Promise<unknown> => {
    applyReturned(context[RECORD], value)
    if (settledPromise === null || settledValue !== value) {
      settledPromise = Promise.resolve(value)
      settledValue = value
    }
    return settledPromise
  }

  const settle = (rest: Pipeline, context: RunContext, name: string): Promise<unknown> => {
    try {
      const value = rest(context)
      return isThenable(value) ? new WatchedPromise(asPromise(value), context, name, lost) : promised(context, value)
    } catch (error) {
      return failed(context, error, name)
    }
  }

  const layer = (middleware: MiddlewareFunction, name: string, rest: Pipeline, outermost: boolean): Pipeline => {
    const invokeRest = (other: Context): Promise<unknown> => settle(rest, other as RunContext, name)
    return context => {
      let waiting: RunContext | null = context
      // The promise of a rest that is still at work, which a middleware can let go of.
      let given: unknown = null
      const next = ((): unknown => {
        const own = waiting
        if (own === null || own[RECORD].state !== OPEN) return (given = refused(context, name))
        waiting = null
        try {
          const value = rest(own)
          const work = value instanceof Promise ? value : isThenable(value) ? Promise.resolve(value) : null
          if (work === null) return promised(own, value)
          // The layer below may have handed on what a synchronous rest gave.
          if (work === settledPromise || isAlone(own)) return work
          given = watched(own, work, name)
          return given
        } catch (error) {
          given = failed(own, error, name)
          return given
        }
      }) as Next
      next.invoke = invokeRest
      const value = middleware(context, next)
      if (waiting !== null) return handled(context, value, outermost)
      return given === null ? value : left(context, value, name)
    }
  }

  // As layer. A function of its own, so that the engine learns that layers call on and the innermost one does not: that is a tenth of the whole.
  const innermost = (middleware: MiddlewareFunction, name: string, outermost: boolean): Pipeline => {
    const invokeTerminal = (other: Context): Promise<unknown> => settle(terminal, other as RunContext, name)
    return context => {
      let waiting: RunContext | null = context
      let given: unknown = null
      const next = ((): unknown => {
        if (waiting === null || context[RECORD].state !== OPEN) return (given = refused(context, name))
        waiting = null
        try {
          const value = terminal(context)
          if (!isThenable(value)) return promised(context, value)
          if (isAlone(context)) return asPromise(value)
          given = watched(context, asPromise(value), name)
          return given
        } catch (error) {
          given = failed(context, error, name)
          return given
        }
      }) as Next
      next.invoke = invokeTerminal
      const value = middleware(context, next)
      if (waiting !== null) return handled(context, value, outermost)
      return given === null ? value : left(context, value, name)
    }
  }

  const last = layers.at(-1)
  const run: Pipeline =
    last === undefined
      ? context => terminal(context)
      : layers
          .slice(0, -1)
          .reduceRight<Pipeline>(
            (rest, middleware, at) => layer(middleware, names[at] as string, rest, whole && at === 0),
            innermost(last, names[layers.length - 1] as string, whole && layers.length === 1)
          )
  return Object.assign(run, { names, unwrap: (value: unknown) => (value === settledPromise && value !== null ? settledValue : value) })
}

/** What a layer returned that did not call on: it becomes the answer as soon as it is known. */
const handled = (context: RunContext, value: unknown, outermost: boolean): unknown => {
  const answer = context[RECORD]
  if (!isThenable(value)) {
    if (!answer.take(value)) applyReturned(answer, value)
    // Only a run that remembers a failure needs to know of a success.
    if (answer.run !== RUNNING && answer.run instanceof Run) answer.run.succeed()
    return value
  }
  // No middleware is there to let go of it, and the runner waits for it.
  if (outermost && answer.run === RUNNING) return value
  const run = Run.of(context)
  return run === null ? settledLater(answer, value) : pendingIn(run, answer, value)
}

/** A handler at work outside of a run, in a pipeline that `build` gave: its caller hears how it ends. */
const settledLater = (answer: AnswerRecord, value: PromiseLike<unknown>): Promise<unknown> => {
  const applied: Promise<unknown> = asPromise(value).then(
    settled => {
      applyReturned(answer, settled)
      return settled
    },
    error => {
      // Handled before it is rejected; a middleware that waits for it hears of it all the same.
      applied.catch(() => undefined)
      throw error
    }
  )
  return applied
}

/** A handler at work in a run, which remembers how it ends. */
const pendingIn = (run: Run, answer: AnswerRecord, value: PromiseLike<unknown>): Promise<unknown> => {
  const fail = (error: unknown): never => {
    run.fail(error)
    throw error
  }
  const applied: Promise<unknown> = asPromise(value).then(
    settled => {
      run.pending--
      try {
        applyReturned(answer, settled)
      } catch (error) {
        fail(error)
      }
      run.succeed()
      return settled
    },
    error => {
      // Until the middleware around it can hear of it, and no longer: nothing runs between the two.
      queueMicrotask(() => run.pending--)
      return fail(error)
    }
  )
  run.pending++
  return applied
}

/** The error of a request that nothing handles. */
const NO_ROUTE: IopaError = Object.freeze(
  Object.assign(new IopaError(404, 'no-route', 'There is nothing at this path.'), { stack: 'IopaError: no-route' })
)

/** The end of every pipeline: no handler has answered. Routes that the run has passed may have the path for other methods. */
export const noRoute: Pipeline = context => {
  if (context[RECORD].rare?.noted == null || !answerNoted(context)) context[RECORD].fail(NO_ROUTE)
}
