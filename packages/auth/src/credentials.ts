import type { Context } from '@iopa/appbuilder'
import { sharedError } from '@iopa/transport/host'

/** Longest credentials that are looked at, in characters. */
export const LONGEST_CREDENTIALS = 8192

const AMBIGUOUS = sharedError(400, 'ambiguous-credentials', 'Send these credentials once.')

// RFC 9110 section 11.2.
const TOKEN68 = /^[A-Za-z0-9\-._~+/]+=*$/
const SPACE = 32

/** A field that a request must not have twice: two receivers could read different ones. @throws IopaError 400. */
export const onlyField = (context: Context, name: string): string | undefined => {
  const values = context.headers.getAll(name)
  if (values.length > 1) throw AMBIGUOUS
  return values[0]
}

/** A query parameter that a request must not have twice. @throws IopaError 400. */
export const onlyParameter = (context: Context, name: string): string | undefined => {
  if (context['iopa.QueryString'] === '') return undefined
  const values = context.query.getAll(name)
  if (values.length > 1) throw AMBIGUOUS
  return values[0]
}

/**
 * What follows the name of a scheme in `authorization`: undefined without credentials of the scheme, null for some that have no form.
 * `scheme` is in lower case; its case in the request does not count (RFC 9110 section 11.1).
 */
export const credentialsOf = (context: Context, scheme: string): string | undefined | null => {
  const field = onlyField(context, 'authorization')
  if (field === undefined || field.slice(0, scheme.length).toLowerCase() !== scheme) return undefined
  let at = scheme.length
  if (field.length > at && field.charCodeAt(at) !== SPACE) return undefined
  if (field.length > LONGEST_CREDENTIALS) return null
  while (field.charCodeAt(at) === SPACE) at++
  const credentials = field.slice(at)
  return TOKEN68.test(credentials) ? credentials : null
}

/** A user name and a password. */
export interface NamedPassword {
  readonly name: string
  readonly password: string
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
// RFC 7617 section 2.
const CONTROLS = /\p{Cc}/u

/** Reads Basic credentials (RFC 7617), in UTF-8; null where they have no form. */
export const namedPassword = (credentials: string): NamedPassword | null => {
  let text: string
  try {
    const bytes = Buffer.from(credentials, 'base64')
    text = UTF8.decode(bytes)
  } catch {
    return null
  }
  const colon = text.indexOf(':')
  if (colon < 0 || CONTROLS.test(text)) return null
  return { name: text.slice(0, colon), password: text.slice(colon + 1) }
}
