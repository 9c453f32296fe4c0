import { changesState } from '@iopa/constants'
import type { Context } from '@iopa/context'
import { type ChangeHost, RECORD, type RunContext, rareOf } from '@iopa/context/host'
import type { MiddlewareFunction, Next } from '../pipeline/middleware.ts'
import { ConditionalChanges } from './conditional-changes.ts'

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
  const inTurn = (context: RunContext, handle: () => unknown): unknown => {
    const { environment } = context
    environment.changes ??= new ConditionalChanges(environment.changeHost as ChangeHost)
    return environment.changes.run(context, { judged: !own && context.hasPrecondition, readable: hasGet(context['iopa.Path']), exclusive }, handle)
  }
  const needsTurn = (context: RunContext): boolean => {
    const { changes, changeHost } = context.environment
    return (changes !== null && changes.active > 0) || ((exclusive || (!own && context.hasPrecondition)) && changeHost !== undefined)
  }
  const perform = (checked: unknown, context: RunContext, next: Next): unknown => {
    const { perform: handle } = handler as CheckedHandler
    return needsTurn(context) ? inTurn(context, () => handle(checked, context, next)) : handle(checked, context, next)
  }
  // Whether a turn is needed is asked when the request has been checked: another change may have begun meanwhile.
  const change = isChecked(handler)
    ? (context: RunContext, next: Next): unknown => {
        const checked = handler.check(context)
        return checked instanceof Promise ? checked.then(outcome => perform(outcome, context, next)) : perform(checked, context, next)
      }
    : (context: RunContext, next: Next): unknown => (needsTurn(context) ? inTurn(context, () => handler(context, next)) : handler(context, next))
  return (context, next) => {
    const run = context as RunContext
    if (own) rareOf(run[RECORD]).judged = true
    const asked = run['iopa.Method']
    // Middleware of the route may have set another method.
    return mayChange && (asked === method || changesState(asked)) ? change(run, next) : handler(context, next)
  }
}
