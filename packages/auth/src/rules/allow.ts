import { type Context, defineMiddleware, type IopaError, type MiddlewareFunction } from '@iopa/appbuilder'
import { argumentError, checkSurplus, kindOf, markFactory } from '@iopa/appbuilder/extension'
import { CONTROL_METHODS } from '@iopa/constants'
import { fullPath } from '@iopa/context/host'
import { sharedError } from '@iopa/transport/host'
import { unauthenticated } from '../authentication.ts'
import { AUTH_KEYS } from '../keys.ts'
import type { Rule } from './rule.ts'
import { Rules } from './rules.ts'

const FORBIDDEN = sharedError(403, 'not-permitted', 'You may not do this here.')
const NO_USER = unauthenticated('')

/** Requests that begin or end something and touch no resource: authentication decides about connections. */
const PASSING: ReadonlySet<string> = new Set([CONTROL_METHODS.CONNECT, CONTROL_METHODS.DISCONNECT, CONTROL_METHODS.UNSUBSCRIBE])

const refusalOf = (context: Context): IopaError => {
  if (context['server.User'] !== undefined) return FORBIDDEN
  const challenges = context['auth.Challenges']
  return challenges === undefined || challenges === '' ? NO_USER : unauthenticated(challenges)
}

/**
 * Lets through what a rule permits, on every protocol: requests, observers, subscriptions, deliveries, and what is listed. The first rule that is
 * about a request decides; without one it is refused, with 401 where it has no user and 403 otherwise. Use it behind authentication.
 * `app.use(allow([{ roles: 'admin', to: '/#' }, { may: 'read', to: '/lights/#' }]))`
 */
export const allow = (rules: readonly Rule[], ...surplus: never[]): MiddlewareFunction => {
  checkSurplus('allow()', surplus, allow)
  if (!Array.isArray(rules)) throw argumentError(allow, 'bad-option', `allow() takes a list of rules, not ${kindOf(rules)}.`)
  const compiled = new Rules(rules, allow)
  return defineMiddleware(
    {
      name: 'allow',
      requires: ['server.User'],
      keys: AUTH_KEYS,
      permits: (context, method, segments) => compiled.mayList(context, method, segments)
    },
    (context, next) => {
      const method = context['iopa.Method']
      if (PASSING.has(method)) return next()
      const base = context['iopa.PathBase']
      const path = base === '' ? context['iopa.Path'] : fullPath(base, context['iopa.Path'])
      if (!compiled.permits(context, method, path)) throw refusalOf(context)
      return next()
    }
  ) as unknown as MiddlewareFunction
}

markFactory('allow', allow)
