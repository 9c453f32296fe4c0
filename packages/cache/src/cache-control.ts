import { defineMiddleware } from '@iopa/appbuilder'
import { checkOptions, kindOf, markFactory, optionError } from '@iopa/appbuilder/extension'
import type { CacheMiddleware } from './etag.ts'

/** Directives of Cache-Control (RFC 9111 section 5.2.2); times in seconds. */
export interface CacheControlOptions {
  readonly maxAge?: number
  readonly sMaxAge?: number
  readonly staleWhileRevalidate?: number
  readonly public?: boolean
  readonly private?: boolean
  readonly noCache?: boolean
  readonly noStore?: boolean
  readonly noTransform?: boolean
  readonly mustRevalidate?: boolean
  readonly immutable?: boolean
}

const DIRECTIVES: Record<keyof CacheControlOptions, string> = {
  public: 'public',
  private: 'private',
  noCache: 'no-cache',
  noStore: 'no-store',
  maxAge: 'max-age',
  sMaxAge: 's-maxage',
  staleWhileRevalidate: 'stale-while-revalidate',
  mustRevalidate: 'must-revalidate',
  noTransform: 'no-transform',
  immutable: 'immutable'
}
const OPTIONS = Object.fromEntries(Object.keys(DIRECTIVES).map(name => [name, true])) as Record<keyof CacheControlOptions, true>
const TIMES: readonly string[] = ['maxAge', 'sMaxAge', 'staleWhileRevalidate']

/** Middleware that gives successful answers to GET and HEAD this Cache-Control, where the handler sets none. @throws IopaError 500 `bad-option`. */
export const cacheControl = (options: CacheControlOptions): CacheMiddleware => {
  checkOptions('cacheControl()', options, OPTIONS, cacheControl)
  const field = fieldOf(options)
  return defineMiddleware({ name: 'cache-control' }, async (context, next) => {
    const value = await next()
    const { response } = context
    const isRead = context['iopa.Method'] === 'GET' || context['iopa.Method'] === 'HEAD'
    if (isRead && response.ok && !response.sealed && !response.headers.has('cache-control')) response.headers.set('cache-control', field)
    return value
  })
}

markFactory('cacheControl', cacheControl)

const fieldOf = (options: CacheControlOptions): string => {
  const directives: string[] = []
  for (const [name, directive] of Object.entries(DIRECTIVES)) {
    const value = options[name as keyof CacheControlOptions]
    if (value === undefined || value === false) continue
    const fits = TIMES.includes(name) ? typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 : value === true
    if (!fits)
      throw optionError(
        `'${name}' of cacheControl() must be ${TIMES.includes(name) ? 'a whole number of seconds' : 'true or false'}, not ${kindOf(value)}.`
      )
    directives.push(value === true ? directive : `${directive}=${value}`)
  }
  if (directives.length === 0) throw optionError('cacheControl() needs a directive, such as { maxAge: 60 }.')
  if (options.public === true && options.private === true) throw optionError('cacheControl() cannot say both public and private.')
  return directives.join(', ')
}
