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

  const settle = (context: Context, rest: Pipeline): Promise<unknown> => {
    let value: unknown
    try {
      value = rest(context)
    } catch (error) {
      return Promise.reject(error)
    }
    if (isThenable(value)) return value
    if (settledPromise === null || settledValue !== value) {
      settledPromise = Promise.resolve(value)
      settledValue = value
    }
    return settledPromise
  }

  const handled = (context: Context, value: unknown): unknown => {
    const answer = context.response
    if (!isThenable(value)) {
      applyReturned(answer, value)
      return value
    }
    answer.pending = true
    return value.then(
      settled => {
        answer.pending = false
        applyReturned(answer, settled)
        return settled
      },
      (error: unknown) => {
        answer.pending = false
        throw error
      }
    )
  }

  const layer = (middleware: MiddlewareFunction, rest: Pipeline): Pipeline => {
    const invokeRest = (other: Context): Promise<unknown> => settle(other, rest)
    return context => {
      let called = false
      const next = (() => {
        if (called) return Promise.reject(calledTwice())
        called = true
        return settle(context, rest)
      }) as Next
      next.invoke = invokeRest
      const value = middleware(context, next)
      if (!called) return handled(context, value)
      if (value === settledPromise && value !== null) return settledValue
      if (value !== undefined && !isThenable(value)) applyReturned(context.response, value)
      return value
    }
  }

  return layers.reduceRight<Pipeline>((rest, middleware) => layer(middleware, rest), terminal)
}

/** A layer that hands the handler's own answer on is not a handler: the terminal sets no value. */
export const NO_ROUTE: IopaError = Object.freeze(
  Object.assign(new IopaError(404, 'no-route', 'There is nothing at this path.'), { stack: 'IopaError: no-route' })
)

/** The end of every pipeline: nobody has handled the request. */
export const noRoute: Pipeline = context => {
  context.response.fail(NO_ROUTE)
}

/** True while the terminal's answer stands: no handler ran. */
export const isUnrouted = (context: Context): boolean => context.response.error?.code === 'no-route'
