import { type Context, defineMiddleware } from '@iopa/appbuilder'
import { checkOptions, type DefinedMiddleware, markFactory, type OptionCheck, optionError } from '@iopa/appbuilder/extension'
import { LOG_KEYS } from './keys.ts'

/** Options of `requestId()`. */
export interface RequestIdOptions {
  /** The header field of requests and answers. Default `x-request-id`. */
  readonly header?: string
  /** Whose ids are taken over: true for those of every peer, or a function. Default false: every request gets an id of this app. */
  readonly trust?: boolean | ((context: Context) => boolean)
}

const OPTIONS: Record<keyof RequestIdOptions, OptionCheck> = { header: 'text', trust: true }

const NAME = /^[!#$%&'*+.^_`|~\w-]+$/
/** Ids that are taken over: what is safe in any log, file and query. */
const WELL_FORMED = /^[\w.:/+=@~-]{1,128}$/

const NOBODY = (): boolean => false
const EVERYBODY = (): boolean => true

/** Eight random characters: ids of several processes differ. */
const prefix = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(6)), byte => byte.toString(36).padStart(2, '0').slice(-2))
    .join('')
    .slice(0, 8)

/**
 * Gives each request an id, as `log.RequestId`, and sends it in the header of the answer.
 *
 * @example
 * app.use(requestId({ trust: true })).use(log())
 */
export const requestId = (options: RequestIdOptions = {}): DefinedMiddleware<never, 'log.RequestId'> => {
  checkOptions('requestId()', options, OPTIONS, requestId)
  const { header = 'x-request-id', trust = false } = options
  if (!NAME.test(header)) throw optionError(`requestId() needs for header the name of a header field, not '${header}'.`)
  if (typeof trust !== 'boolean' && typeof trust !== 'function') throw optionError('requestId() needs for trust true, false or a function.')
  const trusts = typeof trust === 'function' ? trust : trust ? EVERYBODY : NOBODY
  const own = prefix()
  const field = header.toLowerCase()
  return defineMiddleware({ name: 'request-id', provides: ['log.RequestId'], keys: LOG_KEYS, neutral: true }, (context, next) => {
    const isOwn = context['server.IsNotification'] || context['server.IsPrecondition'] || !trusts(context)
    const given = isOwn ? undefined : context['iopa.Headers'].get(field)
    const id = given !== undefined && WELL_FORMED.test(given) ? given : `${own}-${context['iopa.Id'].toString(36)}`
    context['log.RequestId'] = id
    // The answer to a notification goes to its observers, who have not asked for it.
    if (!context['server.IsNotification']) context.response.headers.set(field, id)
    return next()
  })
}

markFactory('requestId', requestId)
