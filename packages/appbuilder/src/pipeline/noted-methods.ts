import { IopaError, isControlMethod } from '@iopa/constants'
import type { Context } from '@iopa/context'
import { fullPath, type NotedMethods, RECORD, type RunContext, rareOf } from '@iopa/context/host'

const notedIn = (context: Context): NotedMethods | null => (context as RunContext)[RECORD].rare?.noted ?? null

const pathOf = (context: Context): string => fullPath(context['iopa.PathBase'], context['iopa.Path'])

/**
 * Says that the path of the request answers these methods, though not the one asked for, and calls nothing: the middleware
 * goes on with `next()`. When nothing answers, the end of the pipeline does so from all notes of this run. It names only those that are `shown`.
 */
export const noteMethods = (context: Context, methods: readonly string[], shown: readonly string[] = methods): void => {
  const isAskable = (name: string): boolean => !isControlMethod(name)
  if (!methods.some(isAskable)) return
  const path = pathOf(context)
  const earlier = notedIn(context)
  const own = shown.filter(isAskable)
  // A note of another path is forgotten.
  rareOf((context as RunContext)[RECORD]).noted = { path, methods: new Set(earlier?.path === path ? [...earlier.methods, ...own] : own) }
}

/** True when a route or a file on the way has the path of the request, for other methods. */
export const isNoted = (context: Context): boolean => notedIn(context)?.path === pathOf(context)

/** Answers OPTIONS (RFC 9110 section 9.3.7) or 405 (section 15.5.6) from the notes of this run; false where there are none. */
export const answerNoted = (context: Context): boolean => {
  const method = context['iopa.Method']
  // A transport's own control requests do not concern routes that do not name them.
  if (!isNoted(context) || isControlMethod(method)) return false
  const noted = notedIn(context)?.methods ?? new Set<string>()
  const allow = [...new Set([...noted, ...(noted.has('GET') ? ['HEAD'] : []), 'OPTIONS'])].sort().join(', ')
  if (method === 'OPTIONS') {
    context.response.status = 204
    context.response.headers.set('allow', allow)
  } else context.response.fail(methodNotAllowed(allow))
  return true
}

/** One error for each list of methods: what a flood asks for must not cost a stack. The lists are those of routes, so there are few. */
const REFUSALS = new Map<string, IopaError>()
const MOST_REFUSALS = 256

const methodNotAllowed = (allow: string): IopaError => {
  let error = REFUSALS.get(allow)
  if (error === undefined) {
    error = new IopaError(405, 'method-not-allowed', `This path answers ${allow}.`, { headers: Object.freeze({ allow }) })
    error.stack = 'IopaError: method-not-allowed'
    if (REFUSALS.size >= MOST_REFUSALS) REFUSALS.clear()
    REFUSALS.set(allow, Object.freeze(error))
  }
  return error
}
