import { changesState } from '@iopa/constants'
import { RECORD, type RunContext, rareOf } from '@iopa/context/host'
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
  const inTurn = (context: RunContext, next: Next): unknown => {
    const judged = !own && context.hasPrecondition
    const { changes } = context.environment
    if (changes === null || (changes.active === 0 && !judged)) return handler(context, next)
    return changes.run(context, judged, hasGet(context['iopa.Path']), () => handler(context, next))
  }
  return (context, next) => {
    const run = context as RunContext
    if (own) rareOf(run[RECORD]).judged = true
    const asked = run['iopa.Method']
    // Middleware of the route may have set another method.
    return mayChange && (asked === method || changesState(asked)) ? inTurn(run, next) : handler(context, next)
  }
}
