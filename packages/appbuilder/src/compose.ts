import { IopaError } from '@iopa/constants'
import { type Answer, applyValue, type Context } from '@iopa/context'
import type { MiddlewareFunction, Next } from './middleware.ts'

/** A composed pipeline: the handler's value or a promise of it; throws or rejects with what a handler threw. */
export type Pipeline = (context: Context) => unknown

/** True for anything that can be awaited. */
export const isThenable = (value: unknown): value is Promise<unknown> =>
  typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'

const calledTwice = (): IopaError =>
  new IopaError(500, 'next-called-twice', 'A middleware called next() twice; call it once, or next.invoke(other) for further contexts.')

/** Writes a returned value to the answer, once: what passes outward unchanged is not written again. */
export const applyReturned = (answer: Answer, value: unknown): void => {
  if (value === undefined || value === answer.value || answer.sealed) return
  answer.value = value
  applyValue(answer, value)
}

/**
 * Composes layers, the first outermost, before `terminal`. Nothing is allocated per layer but its `next`; a pipeline
 * whose handlers are synchronous stays so, even where a layer returns the promise of `next()`.
 */
export const compose = (layers: readonly MiddlewareFunction[], terminal: Pipeline): Pipeline => {
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

  const layer = (middleware: MiddlewareFunction, rest: Pipeline): Pipeline => {
    const invokeRest = (other: Context): Promise<unknown> => {
      try {
        const value = rest(other)
        return isThenable(value) ? value : promised(other, value)
      } catch (error) {
        return Promise.reject(error)
      }
    }
    return context => {
      let called = false
      // As invokeRest; written out, for it runs once per layer and request.
      const next = (() => {
        if (called) return Promise.reject(calledTwice())
        called = true
        try {
          const value = rest(context)
          return isThenable(value) ? value : promised(context, value)
        } catch (error) {
          return Promise.reject(error)
        }
      }) as Next
      next.invoke = invokeRest
      const value = middleware(context, next)
      return called ? value : handled(context, value)
    }
  }

  const run = layers.reduceRight<Pipeline>((rest, middleware) => layer(middleware, rest), terminal)
  return context => {
    const value = run(context)
    return value === settledPromise && value !== null ? settledValue : value
  }
}

/** What a layer returned that did not call on: it becomes the answer as soon as it is known. */
const handled = (context: Context, value: unknown): unknown => {
  const answer = context.response
  if (!isThenable(value)) {
    applyReturned(answer, value)
    return value
  }
  const applied = value.then(settled => {
    answer.pending = null
    applyReturned(answer, settled)
    return settled
  })
  answer.pending = applied
  return applied
}

/** The error of a request that nobody handles. */
export const NO_ROUTE: IopaError = Object.freeze(
  Object.assign(new IopaError(404, 'no-route', 'There is nothing at this path.'), { stack: 'IopaError: no-route' })
)

/** The end of every pipeline: nobody has handled the request. */
export const noRoute: Pipeline = context => {
  context.response.fail(NO_ROUTE)
}

/** True while the terminal's answer stands: no handler ran. */
export const isUnrouted = (context: Context): boolean => context.response.error?.code === 'no-route'
