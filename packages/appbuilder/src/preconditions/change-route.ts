import { changesState } from '@iopa/constants'
import type { Context } from '@iopa/context'
import type { MiddlewareFunction, Next } from '../pipeline/middleware.ts'

/** What a router knows of a route when it adds it. */
export interface PreconditionOptions {
  /** The method of the route; undefined for every method. */
  readonly method: string | undefined
  /** True where the handler judges the preconditions of its requests itself. */
  readonly own: boolean
  /** True when a route answers GET of this path. */
  hasGet(path: string): boolean
}

/**
 * The handler of a route behind the check of preconditions, made once. Changes with a precondition are judged by GET of their path, and changes of
 * one path take turns while such a change is under way (RFC 9110 section 13.2.1: after all checks that come before it). A route of a method that changes
 * nothing gets its handler back.
 */
export const withPreconditions = (handler: MiddlewareFunction, { method, own, hasGet }: PreconditionOptions): MiddlewareFunction => {
  const mayChange = method === undefined || changesState(method)
  if (!mayChange && !own) return handler
  const inTurn = (context: Context, next: Next): unknown => {
    const judged = !own && context.hasPrecondition
    const { changes } = context.environment
    if (changes === null || (changes.active === 0 && !judged)) return handler(context, next)
    return changes.run(context, judged, hasGet(context['iopa.Path']), () => handler(context, next))
  }
  return (context, next) => {
    if (own) context.response.judged = true
    return mayChange && changesState(context['iopa.Method']) ? inTurn(context, next) : handler(context, next)
  }
}
