import type { MiddlewareFunction } from '@iopa/appbuilder'
import { argumentError, checkOptions, kindOf, markFactory, type OptionCheck } from '@iopa/appbuilder/extension'
import { type Authentication, authentication, type OptionalAuthentication, schemesOf } from './authentication.ts'

/** Options of `anyOf()`. */
export interface AnyOfOptions {
  /** Lets requests without credentials of any scheme pass, without a user. */
  readonly optional?: boolean
}

const OPTIONS: Record<keyof AnyOfOptions, OptionCheck> = { optional: 'flag' }

/**
 * Authenticates by the first of several schemes of which a request has credentials: `anyOf([basic({ ... }), bearer({ ... })])`. Without any,
 * the answer is 401 with the challenges of all.
 */
export function anyOf(alternatives: readonly MiddlewareFunction[], options: AnyOfOptions & { readonly optional: true }): OptionalAuthentication
export function anyOf(alternatives: readonly MiddlewareFunction[], options?: AnyOfOptions): Authentication
export function anyOf(alternatives: readonly MiddlewareFunction[], options: AnyOfOptions = {}): Authentication {
  checkOptions('anyOf()', options, OPTIONS, anyOf)
  if (!Array.isArray(alternatives) || alternatives.length === 0)
    throw argumentError(anyOf, 'bad-option', `anyOf() takes a list, such as anyOf([basic(...), bearer(...)]), not ${kindOf(alternatives)}.`)
  const schemes = (alternatives as readonly MiddlewareFunction[]).flatMap(alternative => {
    const found = schemesOf(alternative)
    if (found === undefined)
      throw argumentError(anyOf, 'bad-option', `anyOf() takes what basic(), bearer() and the like give, not ${kindOf(alternative)}.`)
    if (found.optional) throw argumentError(anyOf, 'bad-option', 'Write optional for anyOf() as a whole: anyOf([...], { optional: true }).')
    return found.schemes
  })
  const names = schemes.map(({ security }) => security.name)
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined) throw argumentError(anyOf, 'bad-option', `Two schemes of anyOf() have the name '${twice}': give one of them another.`)
  return authentication(`anyOf(${names.join(', ')})`, schemes, options.optional === true)
}

markFactory('anyOf', anyOf)
