import { applyValue, type Context, callRoute, IopaError, isControlMethod, isUnrouted, type Next } from '@iopa/appbuilder'
import type { RouteTable } from './route-table.ts'
import type { Target } from './target.ts'

/**
 * Answers a request that no route matches: when the rest of the pipeline has no route for it either, but the path has
 * routes for other methods, HEAD runs GET (RFC 9110 section 9.3.2), OPTIONS lists the methods (9.3.7), and any other
 * method is not allowed (15.5.6).
 */
export const answerUnmatched = (table: RouteTable<Target>, context: Context, next: Next): unknown => {
  const methods = table.methods(context['iopa.Path'])
  if (methods.length === 0) return next()
  const method = context['iopa.Method']
  const askable = methods.filter(name => !isControlMethod(name))
  // A transport's own control requests are no business of routes that do not name them.
  if (askable.length === 0 || isControlMethod(method)) return next()
  return next().then(value => {
    if (!isUnrouted(context)) return value
    if (method === 'HEAD' && askable.includes('GET')) return runGet(table, context, next)
    const allow = allowed(askable)
    if (method === 'OPTIONS') {
      context.response.status = 204
      context.response.headers.set('allow', allow)
    } else context.response.fail(new IopaError(405, 'method-not-allowed', `This path answers ${allow}.`, { headers: { allow } }))
    return undefined
  })
}

const allowed = (methods: readonly string[]): string =>
  [...new Set([...methods, ...(methods.includes('GET') ? ['HEAD'] : []), 'OPTIONS'])].sort().join(', ')

/** Runs the GET route of a HEAD request; the transport sends no body. */
const runGet = (table: RouteTable<Target>, context: Context, next: Next): unknown => {
  const match = table.find('GET', context['iopa.Path'])
  if (match === undefined) return undefined
  context.response.reset()
  context['iopa.Params'] = match.params
  context['iopa.Route'] = match.route.pattern.text
  // The rest has been run once; a handler that goes on runs it again.
  const again = Object.assign(() => next.invoke(context), { invoke: next.invoke })
  const value = callRoute(context, again, match.route.value, table)
  return Promise.resolve(value).then(settled => {
    if (settled !== undefined) {
      context.response.value = settled
      applyValue(context.response, settled)
    }
    return settled
  })
}
