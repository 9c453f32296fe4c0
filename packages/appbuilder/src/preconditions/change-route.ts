import { changesState } from '@iopa/constants'
import type { Context } from '@iopa/context'
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
 * A handler in two steps. Preconditions are judged between them, for a request that would be refused anyway is not judged (RFC 9110 section 13.2.1).
 * Called as a function it does both.
 */
export interface CheckedHandler extends MiddlewareFunction {
  /** Checks a request; `perform` gets what it returns. */
  readonly check: (context: Context) => unknown
  /** Handles a request that has been checked. */
  readonly perform: (checked: unknown, context: Context, next: Next) => unknown
  /** True where the handler reads a state and writes it: changes of the path take turns with it, with a precondition or without. */
  readonly exclusive: boolean
}

const isChecked = (handler: MiddlewareFunction | CheckedHandler): handler is CheckedHandler => 'check' in handler

/**
 * The handler of a route behind the check of preconditions, made once. Changes with a precondition are judged by GET of their path, and changes of
 * one path take turns while such a change is under way (RFC 9110 section 13.2.1: after all checks that come before it). A route of a method that changes
 * nothing gets its handler back.
 */
export const withPreconditions = (handler: MiddlewareFunction, { method, own, hasGet }: PreconditionOptions): MiddlewareFunction => {
  const mayChange = method === undefined || changesState(method)
  if (!mayChange && !own) return handler
  const exclusive = isChecked(handler) && handler.exclusive
  const inTurn = (context: RunContext, next: Next): unknown => {
    const judged = !own && context.hasPrecondition
    const { changes } = context.environment
    if (changes === null || (changes.active === 0 && !judged && !exclusive)) return handler(context, next)
    const readable = hasGet(context['iopa.Path'])
    const take = (handle: () => unknown): unknown => changes.run(context, { judged, readable, exclusive }, handle)
    if (!isChecked(handler)) return take(() => handler(context, next))
    const checked = handler.check(context)
    const perform = (outcome: unknown): unknown => take(() => handler.perform(outcome, context, next))
    return checked instanceof Promise ? checked.then(perform) : perform(checked)
  }
  return (context, next) => {
    const run = context as RunContext
    if (own) rareOf(run[RECORD]).judged = true
    const asked = run['iopa.Method']
    // Middleware of the route may have set another method.
    return mayChange && (asked === method || changesState(asked)) ? inTurn(run, next) : handler(context, next)
  }
}
