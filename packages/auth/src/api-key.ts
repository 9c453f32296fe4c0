import type { Context } from '@iopa/appbuilder'
import { checkOptions, markFactory, type OptionCheck, optionError } from '@iopa/appbuilder/extension'
import { type Authentication, authentication, type OptionalAuthentication } from './authentication.ts'
import { LONGEST_CREDENTIALS, onlyField, onlyParameter } from './credentials.ts'
import { checkFunction, checkName } from './option-checks.ts'
import { type Outcome, REFUSED, type Scheme, userOfEither, type Verified } from './scheme.ts'

/** Options of `apiKey()`. */
export interface ApiKeyOptions {
  /** The user of a key, or nothing. Look it up by a digest, or compare with `sameSecret`. */
  readonly verify: (key: string, context: Context) => Verified | Promise<Verified>
  /** The header that holds the key; `x-api-key` unless `query` is given. */
  readonly header?: string
  /** The query parameter that holds the key, in place of a header. URLs are logged and kept: prefer a header. */
  readonly query?: string
  /** The name of the scheme, which is `by` of the user; `apiKey` unless given. */
  readonly name?: string
  /** Lets requests without a key pass, without a user. */
  readonly optional?: boolean
}

const OPTIONS: Record<keyof ApiKeyOptions, OptionCheck> = { verify: true, header: 'text', query: 'text', name: true, optional: 'flag' }

class ApiKey implements Scheme {
  readonly challenge = null
  readonly refusal = null
  readonly security: Scheme['security']
  readonly #options: ApiKeyOptions
  readonly #header: string
  readonly #name: string

  constructor(options: ApiKeyOptions) {
    const { name = 'apiKey', header = 'x-api-key', query } = options
    this.#options = options
    this.#header = header.toLowerCase()
    this.#name = name
    this.security =
      query === undefined ? { name, type: 'apiKey', in: 'header', field: this.#header } : { name, type: 'apiKey', in: 'query', field: query }
  }

  authenticate(context: Context): Outcome | Promise<Outcome> {
    const { query, verify } = this.#options
    const key = query === undefined ? onlyField(context, this.#header) : onlyParameter(context, query)
    if (key === undefined) return undefined
    if (key === '' || key.length > LONGEST_CREDENTIALS) return REFUSED
    return userOfEither(verify(key, context), this.#name)
  }
}

/** Authenticates by a key in a header (a user property of CONNECT on MQTT) or in the query (also of CoAP). */
export function apiKey(options: ApiKeyOptions & { readonly optional: true }): OptionalAuthentication
export function apiKey(options: ApiKeyOptions): Authentication
export function apiKey(options: ApiKeyOptions): Authentication {
  checkOptions('apiKey()', options, OPTIONS, apiKey)
  checkFunction('apiKey()', 'verify', options?.verify, '(key) => user')
  const { name = 'apiKey', header, query, optional } = options
  checkName('apiKey()', name)
  if (header !== undefined && !/^[!#$%&'*+.^_`|~\w-]+$/.test(header))
    throw optionError(`The header of apiKey() must be the name of a header field, not '${header}'.`)
  if (header !== undefined && query !== undefined) throw optionError('apiKey() takes header or query, not both: use anyOf() for two places.')
  return authentication(name, [new ApiKey(options)], optional === true)
}

markFactory('apiKey', apiKey)
