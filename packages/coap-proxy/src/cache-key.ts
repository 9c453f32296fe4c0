import { createHash } from 'node:crypto'
import type { Bag, Context } from '@iopa/appbuilder'
import { addressGroup, userKeyOf } from '@iopa/appbuilder/extension'
import { decodePath } from '@iopa/transport'
import type { ForwardedAnswer } from './forwarding.ts'
import type { StorageKey } from './stored-answers.ts'
import type { Target } from './targets.ts'

/** A request whose answer may be kept. */
export interface CachedRequest extends StorageKey {
  /** The client wants an answer that the server has just given or validated. */
  readonly revalidates: boolean
  /** The client has answers of its own, which the server may say are valid. */
  readonly hasTags: boolean
  /** The answer must not be kept. */
  readonly passing: boolean
  /** True where Max-Age says what is left, false where Age does. */
  readonly isCoap: boolean
}

const HOP_LIMIT = 16
const isNoCacheKey = (number: number): boolean => (number & 0x1e) === 0x1c

/** Characters of a user's claims, or of its credentials, up to which requests are told apart by them. */
const LONGEST = 4096

/** Who asks, as far as the app knows; undefined for what cannot be told apart. */
const userOf = (context: Context): string | undefined => {
  const { user, headers } = context
  const fields = [...headers.getAll('authorization'), ...headers.getAll('cookie')].join('\n')
  try {
    const text = user === undefined ? '' : JSON.stringify(user.valid === undefined ? user : { ...user, valid: undefined })
    return text.length > LONGEST || fields.length > LONGEST ? undefined : fields === '' ? text : `${text} ${hash(fields)}`
  } catch {
    return undefined
  }
}

const hash = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('base64')

/**
 * Who a request counts for where bounds are shared out: the user, otherwise the address or its network. Not the claims, credentials or whole IPv6 address,
 * of which one peer may have as many as it likes.
 */
export const accountOf = (context: Context): string => userKeyOf(context.user) || addressGroup(context['server.RemoteAddress'])

/** The path of what a request has made at its server, from the Location here; undefined where there is none. */
export const madeOf = (answer: ForwardedAnswer, base: string): string | undefined => {
  const location = answer.headers.find(([name]) => name === 'location')?.[1]
  if (location?.startsWith(`${base}/`) !== true) return undefined
  try {
    return decodePath(location.slice(base.length).replace(/[?#].*$/, ''))
  } catch {
    // It is no path that can be asked for here.
    return undefined
  }
}

/** The server and the path of a request. */
export const resourceOf = (target: Target, path: string): string => `${target.key}${path}`

/**
 * What tells a request apart (RFC 7252 section 5.6, RFC 8132 section 2): method, target, options but those that are no part of the cache key, the question of a
 * FETCH, and the user. Undefined for one whose answer is not kept.
 */
export const cachedRequest = (context: Context, target: Target, request: Bag, body: Uint8Array | null): CachedRequest | undefined => {
  const method = request['iopa.Method'] ?? 'GET'
  if (method !== 'GET' && method !== 'FETCH') return undefined
  const headers = new Map(request['iopa.Headers'] as unknown as (readonly [string, string])[])
  const user = userOf(context)
  // Conditions other than ETag are for the server to judge.
  if (user === undefined || headers.has('if-match') || headers.has('idempotency-key') || headers.get('if-none-match')?.includes('*') === true)
    return undefined
  const options: (readonly [number, string])[] = []
  for (const [number, value] of request['coap.Options'] ?? [])
    if (number !== HOP_LIMIT && !isNoCacheKey(number))
      options.push([number, value instanceof Uint8Array ? Buffer.from(value).toString('hex') : `${typeof value}:${String(value)}`])
  const { 'iopa.Path': path = '/', 'iopa.QueryString': query, 'iopa.ContentType': type } = request
  const parts = [method, target.key, path, query, user, headers.get('accept'), headers.get('content-encoding'), type, options]
  const control = context.headers.getAll('cache-control').join(',')
  const isCoap = context['iopa.Scheme'].startsWith('coap')
  return {
    key: body === null ? JSON.stringify(parts) : `${JSON.stringify(parts)}${hash(body)}`,
    resource: resourceOf(target, path),
    owner: accountOf(context),
    revalidates: !isCoap && /(?:^|[\s,])(?:no-cache|max-age=0)(?:$|[\s,])/i.test(control),
    hasTags: headers.has('if-none-match'),
    passing: !isCoap && /(?:^|[\s,])no-store(?:$|[\s,])/i.test(control),
    isCoap
  }
}
