import type { User } from '@iopa/constants'
import type { Answer, Context } from '@iopa/context'

/** A body that is longer is not worth keeping as part of a key. */
const LONGEST_BODY = 1024

/** Numbers users by identity, so that equal keys mean the very same principal. */
export class ShareKeys {
  readonly #users = new WeakMap<User, number>()
  #lastUser = 0

  /** What observers must have in common to share a run; null when the run may be seen by this one alone. */
  of(context: Context): string | null {
    const user = context['server.User']
    // Credentials that nobody has checked may still steer the handler.
    if (user === undefined && hasCredentials(context)) return null
    const question = context['iopa.Method'] === 'FETCH' ? bodyOf(context) : ''
    if (question === null) return null
    return `${this.#userNumber(user)}\n${context['iopa.Headers'].get('accept') ?? ''}\n${context['iopa.QueryString']}${question}`
  }

  #userNumber(user: User | undefined): number {
    if (user === undefined) return 0
    let number = this.#users.get(user)
    if (number === undefined) this.#users.set(user, (number = ++this.#lastUser))
    return number
  }
}

/** The body of a FETCH, which is part of the question (RFC 8132 section 2); null for one that is too long to be compared. */
const bodyOf = (context: Context): string | null => {
  const body = context['iopa.Body']
  if (body !== null && (!(body instanceof Uint8Array) || body.length > LONGEST_BODY)) return null
  const coding = context['iopa.Headers'].get('content-encoding') ?? ''
  return `\nFETCH ${context['iopa.ContentType']}\n${coding}\n${body === null ? '' : String.fromCharCode(...body)}`
}

const hasCredentials = (context: Context): boolean =>
  context['iopa.Headers'].has('authorization') || context['iopa.Headers'].has('cookie') || context['ssl.ClientCertificate'] !== undefined

/** True for an answer that only its requester may see (RFC 9111 section 5.2.2.7), or that varies with more than Accept. */
export const isPrivate = (answer: Answer): boolean => {
  const headers = answer.headers
  if (headers.getAll('cache-control').some(value => /(?:^|[\s,])(?:private|no-store)(?:$|[\s,=])/i.test(value))) return true
  return headers.getAll('vary').some(value => value.split(',').some(field => !['', 'accept'].includes(field.trim().toLowerCase())))
}
