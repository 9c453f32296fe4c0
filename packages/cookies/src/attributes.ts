import { IopaError } from '@iopa/appbuilder'
import { withOrigin } from '@iopa/constants'
import { stringifySetCookie } from 'cookie'

/** Attributes of a cookie (RFC 6265bis section 4.1.2). */
export interface CookieAttributes {
  /** Seconds, 0 to 34,560,000 (400 days); until the browser closes unless given. */
  readonly maxAge?: number
  readonly expires?: Date
  /** `/` unless given. */
  readonly path?: string
  readonly domain?: string
  /** True unless given, except on `http://localhost` and other loopback hosts. */
  readonly secure?: boolean
  /** True unless given: scripts cannot read it. */
  readonly httpOnly?: boolean
  /** `lax` unless given. */
  readonly sameSite?: 'strict' | 'lax' | 'none'
  /** True keeps it apart for each site that embeds this one (CHIPS). */
  readonly partitioned?: boolean
  readonly priority?: 'low' | 'medium' | 'high'
}

export const ATTRIBUTES: Record<keyof CookieAttributes, true> = {
  maxAge: true,
  expires: true,
  path: true,
  domain: true,
  secure: true,
  httpOnly: true,
  sameSite: true,
  partitioned: true,
  priority: true
}

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const LONGEST_AGE = 34_560_000
/** Bytes of name and value that browsers keep (RFC 6265bis section 5.6). */
const MOST_BYTES = 4096
/** Bytes of one attribute that browsers read. */
const MOST_ATTRIBUTE = 1024

/** A fault of the app in a cookie. It goes to the log, and never holds the value. */
export const badCookie = (name: string, fault: string): IopaError =>
  withOrigin(new IopaError(500, 'bad-cookie', `The cookie ${JSON.stringify(String(name).slice(0, 60))} ${fault}`), 'internal')

/** The value of Set-Cookie. `secure` is what it is without the attribute. @throws IopaError 500 for what browsers would refuse or misread. */
export const setCookieOf = (name: string, value: string, given: CookieAttributes, secure: boolean): string => {
  if (typeof name !== 'string' || !NAME.test(name)) throw badCookie(name, 'has a name that no cookie may have: use letters, digits and -_.')
  if (typeof value !== 'string') throw badCookie(name, 'has a value that is not text: give its JSON, or String(value).')
  for (const attribute of Object.keys(given)) if (!Object.hasOwn(ATTRIBUTES, attribute)) throw badCookie(name, `has no attribute '${attribute}'.`)
  const attributes = completed(name, given, secure)
  let text: string
  try {
    text = stringifySetCookie(name, value, attributes)
  } catch (error) {
    throw badCookie(
      name,
      error instanceof URIError ? 'has a value that is not well-formed text.' : `has an attribute that is not valid: ${String(error)}.`
    )
  }
  const end = text.indexOf(';')
  if ((end < 0 ? text : text.slice(0, end)).length > MOST_BYTES)
    throw badCookie(name, `has more than ${MOST_BYTES} bytes, which browsers do not keep: put less into it, or use a session.`)
  return text
}

const completed = (name: string, given: CookieAttributes, secure: boolean): CookieAttributes => {
  const all = { ...given, path: given.path ?? '/', httpOnly: given.httpOnly ?? true, sameSite: given.sameSite ?? 'lax' }
  const prefix = /^__(?:host|secure)-/i.exec(name)?.[0].toLowerCase()
  const isSecure = given.secure ?? (secure || prefix !== undefined || all.sameSite === 'none' || all.partitioned === true)
  if (!isSecure) {
    if (prefix !== undefined) throw badCookie(name, 'must be secure, by its prefix.')
    if (all.sameSite === 'none') throw badCookie(name, "must be secure, as sameSite is 'none'.")
    if (all.partitioned === true) throw badCookie(name, 'must be secure, as it is partitioned.')
  }
  if (prefix === '__host-' && (given.domain !== undefined || all.path !== '/'))
    throw badCookie(name, "must have no domain and the path '/', by its prefix.")
  for (const attribute of ['secure', 'httpOnly', 'partitioned'] as const)
    if (all[attribute] !== undefined && typeof all[attribute] !== 'boolean') throw badCookie(name, `has ${attribute} that is not true or false.`)
  if (!['strict', 'lax', 'none'].includes(all.sameSite)) throw badCookie(name, "has a sameSite that is not 'strict', 'lax' or 'none'.")
  if (all.maxAge !== undefined && !(Number.isInteger(all.maxAge) && all.maxAge >= 0 && all.maxAge <= LONGEST_AGE))
    throw badCookie(name, `has a maxAge that is not a whole number of seconds from 0 to ${LONGEST_AGE}.`)
  for (const attribute of ['path', 'domain'] as const) {
    const value = all[attribute]
    if (value !== undefined && (typeof value !== 'string' || value === '' || value.length > MOST_ATTRIBUTE))
      throw badCookie(name, `has a ${attribute} that is not text of 1 to ${MOST_ATTRIBUTE} characters.`)
  }
  return { ...all, secure: isSecure }
}
