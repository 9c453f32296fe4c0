import type { Answer } from '@iopa/appbuilder'
import { parseHttpDate } from '@iopa/appbuilder/extension'

/** How long an answer may be given again, in milliseconds. */
export interface Freshness {
  readonly fresh: number
  /** After that, while a new one is got. */
  readonly stale: number
}

/** Statuses that are kept where the answer says for how long (RFC 9110 section 15.1); 200 also by the option `ttl`. */
const KEPT: ReadonlySet<number> = new Set([200, 203, 301, 404, 410])
const NEVER = /(?:^|[\s,])(?:no-store|no-cache|private)(?:$|[\s,=])/i

/** True for an answer that no other request may get. */
export const isOwn = (headers: Answer['headers']): boolean => headers.getAll('cache-control').some(field => NEVER.test(field))

/** For how long an answer may be kept; null for not at all (RFC 9111 section 3). */
export const freshnessOf = (answer: Answer, now: number, ttl: number | null, stale: number): Freshness | null => {
  const { status, headers } = answer
  if (!KEPT.has(status) || headers.has('set-cookie')) return null
  if (isOwn(headers)) return null
  const control = headers.getAll('cache-control').join(', ')
  const fresh =
    seconds(control, 's-maxage') ?? seconds(control, 'max-age') ?? untilExpiry(headers.get('expires'), now) ?? (status === 200 ? ttl : null)
  if (fresh === null || fresh <= 0) return null
  const revalidates = /(?:^|[\s,])(?:must-revalidate|proxy-revalidate)(?:$|[\s,])/i.test(control)
  return { fresh, stale: revalidates ? 0 : (seconds(control, 'stale-while-revalidate') ?? stale) }
}

/** A directive in milliseconds; 0 for one that is no number. */
const seconds = (control: string, name: string): number | null => {
  const found = new RegExp(`(?:^|[\\s,])${name}=("?)([^\\s,"]*)\\1`, 'i').exec(control)
  if (found === null) return null
  return /^\d{1,10}$/.test(found[2] as string) ? Number(found[2]) * 1000 : 0
}

const untilExpiry = (expires: string | undefined, now: number): number | null => {
  if (expires === undefined) return null
  const at = parseHttpDate(expires)
  return at === undefined ? 0 : at - now
}
