import { IopaError } from '@iopa/constants'
import { type Answer, abandonValue, applyValue, type Context } from '@iopa/context'
import type { MiddlewareFunction, Next } from './middleware.ts'
import { answerNoted } from './noted-methods.ts'

/** Runs a context: the handler's value or a promise of it; throws or rejects with what a handler threw. */
export type Pipeline = (context: Context) => unknown

/** A pipeline made of layers. */
export interface ComposedPipeline extends Pipeline {
  /** The value itself, where a run returned the promise of a `next()` that had finished synchronously. */
  unwrap(value: unknown): unknown
}

/** True for anything that can be awaited. */
export const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'

/** A promise of what a thenable gives: a query builder, say, has `then` and nothing else that can be relied upon. */
export const asPromise = (thenable: PromiseLike<unknown>): Promise<unknown> => (thenable instanceof Promise ? thenable : Promise.resolve(thenable))

const calledTwice = (): IopaError =>
  new IopaError(500, 'next-called-twice', 'A middleware called next() twice; call it once, or next.invoke(other) for further contexts.')

/** Writes a returned value to the answer, once: what passes outward unchanged is not written again. */
export const applyReturned = (answer: Answer, value: unknown): void => {
  if (value === undefined || value === answer.value) return
  if (answer.sealed) abandonValue(value)
  else {
    answer.value = value
    applyValue(answer, value)
  }
}

/**
 * Composes layers, the first outermost, before `terminal`. Nothing is allocated per layer but its `next`; a pipeline
 * whose handlers are synchronous stays so, even where a layer returns the promise of `next()`.
 */
export const compose = (layers: readonly MiddlewareFunction[], terminal: Pipeline): ComposedPipeline => {
  // The promise that the last synchronous next() gave, and its value: a layer that returns it has stayed synchronous.
  let settledPromise: Promise<unknown> | null = null
  let settledValue: unknown

  const promised = (context: Context, value: unknown): Promise<unknown> => {
    applyReturned(context.response, value)
    if (settledPromise === null || settledValue !== value) {
      settledPromise = Promise.resolve(value)
      settledValue = value
    }
    return settledPromise
  }

  const settle = (rest: Pipeline, context: Context): Promise<unknown> => {
    try {
      const value = rest(context)
      return isThenable(value) ? asPromise(value) : promised(context, value)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  const layer = (middleware: MiddlewareFunction, rest: Pipeline): Pipeline => {
    const invokeRest = (other: Context): Promise<unknown> => settle(rest, other)
    return context => {
      let waiting: Context | null = context
      // As settle; written out, for it runs once per layer and request.
      const next = (() => {
        const own = waiting
        if (own === null) return Promise.reject(calledTwice())
        waiting = null
        try {
          const value = rest(own)
          return value instanceof Promise ? value : isThenable(value) ? asPromise(value) : promised(own, value)
        } catch (error) {
          return Promise.reject(error)
        }
      }) as Next
      next.invoke = invokeRest
      const value = middleware(context, next)
      return waiting === null ? value : handled(context, value)
    }
  }

  // As layer. A function of its own, so that the engine learns that layers call on and the innermost one does not: that is a tenth of the whole.
  const innermost = (middleware: MiddlewareFunction): Pipeline => {
    const invokeTerminal = (other: Context): Promise<unknown> => settle(terminal, other)
    return context => {
      let waiting: Context | null = context
      const next = (() => {
        if (waiting === null) return Promise.reject(calledTwice())
        waiting = null
        return settle(terminal, context)
      }) as Next
      next.invoke = invokeTerminal
      const value = middleware(context, next)
      return waiting === null ? value : handled(context, value)
    }
  }

  const last = layers.at(-1)
  const run: Pipeline =
    last === undefined
      ? context => terminal(context)
      : layers.slice(0, -1).reduceRight<Pipeline>((rest, middleware) => layer(middleware, rest), innermost(last))
  return Object.assign(run, { unwrap: (value: unknown) => (value === settledPromise && value !== null ? settledValue : value) })
}

/** What a layer returned that did not call on: it becomes the answer as soon as it is known. */
const handled = (context: Context, value: unknown): unknown => {
  const answer = context.response
  if (!isThenable(value)) {
    applyReturned(answer, value)
    return value
  }
  const applied = asPromise(value).then(settled => {
    answer.pending = null
    applyReturned(answer, settled)
    return settled
  })
  answer.pending = applied
  return applied
}

/** The error of a request that nobody handles. */
const NO_ROUTE: IopaError = Object.freeze(
  Object.assign(new IopaError(404, 'no-route', 'There is nothing at this path.'), { stack: 'IopaError: no-route' })
)

/** The end of every pipeline: no handler has answered. Routes that the run has passed may have the path for other methods. */
export const noRoute: Pipeline = context => {
  if (context.response.noted === null || !answerNoted(context)) context.response.fail(NO_ROUTE)
}

/** True while the terminal's answer stands: no handler ran. */
export const isUnrouted = (context: Context): boolean => context.response.error?.code === 'no-route'
