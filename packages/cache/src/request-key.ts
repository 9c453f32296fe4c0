import type { Context, User } from '@iopa/appbuilder'
import { addressGroup, kindOf, optionError, userKeyOf } from '@iopa/appbuilder/extension'
import type { CacheSettings } from './options.ts'

/** Characters of a user's claims, or of a cookie, up to which requests are told apart by them. */
const LONGEST = 4096

/** What tells requests apart; undefined for one that the cache lets pass. Each part has its length before it, so that none can imitate another one. */
export const requestKey = (context: Context, { key, vary, shared }: CacheSettings): string | undefined => {
  const { headers } = context
  if (headers.has('range') || context['iopa.Body'] !== null) return undefined
  let text =
    part(context['iopa.Path']) +
    part(context['iopa.QueryString']) +
    part(context['iopa.PathBase']) +
    part(context['iopa.Scheme']) +
    part(context['iopa.Host']) +
    part(String(context['iopa.Port'])) +
    part(headers.get('host') ?? '') +
    fieldsPart(headers.getAll('accept'))
  if (!shared) {
    const who = requester(context)
    if (who === undefined) return undefined
    text += part(who)
  }
  if (key !== undefined) {
    const own = key(context)
    if (own === undefined) return undefined
    // Every promise has the same text.
    if (typeof own !== 'string') throw optionError(`'key' of cache() must give a text or undefined, not ${kindOf(own)}.`)
    text += part(own)
  }
  for (const name of vary) text += fieldsPart(headers.getAll(name))
  return text
}

const part = (text: string): string => `${text.length}:${text}`

/** The fields of one name, also how many they are. */
const fieldsPart = (fields: readonly string[]): string => {
  let text = `${fields.length};`
  for (const field of fields) text += part(field)
  return text
}

/**
 * Who asks: the user with all claims, and the cookies; empty for nobody. Undefined for credentials that nothing has checked, as a handler may read them
 * and an expired one must not be answered from here.
 */
export const requester = (context: Context): string | undefined => {
  const { user, headers } = context
  const cookies = headers.getAll('cookie')
  if (user === undefined) {
    const claims = cookies.length > 0 || headers.has('authorization') || context['ssl.ClientCertificate'] !== undefined
    return claims ? undefined : ''
  }
  const text = claimsOf(user)
  const cookie = cookies.join('; ')
  return text === undefined || cookie.length > LONGEST ? undefined : `${text} ${cookie}`
}

/** Who a kept answer counts for: the user, otherwise the address or its network; empty for a request of this process. */
export const accountOf = ({ user, remoteAddress }: Context): string =>
  userKeyOf(user) || (remoteAddress === '' ? '' : `@${addressGroup(remoteAddress)}`)

/** The claims as text; undefined for what is more than data. */
const claimsOf = (user: User): string | undefined => {
  try {
    // How long it is valid is no claim.
    const text = JSON.stringify(user.valid === undefined ? user : { ...user, valid: undefined }, asData)
    return text.length > LONGEST ? undefined : text
  } catch {
    return undefined
  }
}

const asData = (_: string, value: unknown): unknown => {
  if (typeof value === 'function' || typeof value === 'symbol' || typeof value === 'bigint') throw new TypeError('no data')
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) throw new TypeError('no data')
  return value
}

/** What tells apart the requests of one key for which an answer varies. */
export const variantKey = (context: Context, names: readonly string[]): string =>
  names.length === 0 ? '' : names.map(name => fieldsPart(context.headers.getAll(name))).join('')
