import type { Logger } from '@iopa/constants'
import type { Context } from '@iopa/context'
import { checkPath, type RunContext, viewOf } from '@iopa/context/host'
import { asPromise, isThenable } from './compose.ts'
import type { MiddlewareFunction } from './middleware.ts'
import { sequence } from './sequence.ts'

/** A handler and the prefix that it is mounted at: canonical, without a trailing slash, empty for the root. */
export interface Mounted {
  readonly prefix: string
  readonly handler: MiddlewareFunction
}

/** True for `prefix` itself and for what is below it. */
export const isBelow = (prefix: string, path: string): boolean =>
  path.startsWith(prefix) && (path.length === prefix.length || path.charCodeAt(prefix.length) === 47)

// No path has these in a literal segment (docs/spec/appbuilder.md); in a pattern they mean something else than themselves.
const PATTERN = /\/:|[*?{}]|%[0-9A-Fa-f]{2}/

/** The prefix that a path given to `mount` stands for. @throws Error with advice that a sentence can end with. */
export const mountPrefix = (path: unknown): string => {
  if (typeof path !== 'string') throw new Error('it is no string')
  if (PATTERN.test(path)) throw new Error('it is compared as literal text: use a router in the mounted app for parameters and wildcards')
  let canonical: string
  try {
    canonical = checkPath(path)
  } catch (error) {
    throw new Error((error as Error).message)
  }
  return canonical.endsWith('/') ? canonical.slice(0, -1) : canonical
}

/** Runs `handler` with a view of the context whose path begins behind the prefix; what it logs goes to `logger`, where there is one. */
export const mounted = (prefix: string, handler: MiddlewareFunction, logger: Logger | null): MiddlewareFunction => {
  if (logger === null) return (context, next) => handler(viewOf(context as RunContext, prefix, null), next)
  const failed = (context: Context, error: unknown): never => {
    // The boundary that logs the error belongs to the app around.
    ;(context as { 'server.Logger': Logger })['server.Logger'] = logger
    throw error
  }
  return (context, next) => {
    try {
      const value = handler(viewOf(context as RunContext, prefix, logger), next)
      return isThenable(value) ? asPromise(value).catch((error: unknown) => failed(context, error)) : value
    } catch (error) {
      return failed(context, error)
    }
  }
}

/** Neighbouring mounts as one layer: the longest prefix of whole segments wins; of one prefix the earlier runs first. */
export const mountTable = (mounts: readonly Mounted[]): MiddlewareFunction => {
  const byPrefix = new Map<string, MiddlewareFunction[]>()
  for (const { prefix, handler } of mounts) byPrefix.set(prefix, [...(byPrefix.get(prefix) ?? []), handler])
  const table = Array.from(byPrefix, ([prefix, handlers]) => ({
    prefix,
    handler: handlers.length === 1 ? (handlers[0] as MiddlewareFunction) : sequence(handlers)
  })).sort((a, b) => b.prefix.length - a.prefix.length)
  return (context, next) => {
    const path = context['iopa.Path']
    for (const { prefix, handler } of table) if (isBelow(prefix, path)) return handler(context, next)
    return next()
  }
}
