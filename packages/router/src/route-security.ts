import { IopaError, type MiddlewareFunction } from '@iopa/appbuilder'
import type { SecurityScheme } from '@iopa/appbuilder/extension'

/** The challenge of a scheme (RFC 9110 section 11.6.1), where it has one. */
const challengeOf = (scheme: SecurityScheme): readonly string[] =>
  scheme.type !== 'http' ? [] : [scheme.scheme === 'basic' ? 'Basic realm="app", charset="UTF-8"' : 'Bearer realm="app"']

/**
 * A handler that only users reach whom one of these schemes has authenticated: `by` of the user is its name. A replica has no user: another worker has
 * checked the change.
 */
export const secured = (schemes: readonly SecurityScheme[], handler: MiddlewareFunction): MiddlewareFunction => {
  const names = new Set<unknown>(schemes.map(({ name }) => name))
  const challenges = [...new Set(schemes.flatMap(challengeOf))].join(', ')
  const list = [...names].join(' or ')
  return (context, next) => {
    const user = context['server.User']
    if (user !== undefined ? names.has(user['by']) : context['server.IsReplica']) return handler(context, next)
    if (user !== undefined) throw new IopaError(403, 'other-scheme', `Authenticate by ${list}.`)
    throw new IopaError(401, 'unauthenticated', `Authenticate by ${list}.`, challenges === '' ? {} : { headers: { 'www-authenticate': challenges } })
  }
}
