import { defineMiddleware } from '@iopa/appbuilder'
import { checkOptions, type DefinedMiddleware, markFactory } from '@iopa/appbuilder/extension'
import { ATTRIBUTES, type CookieAttributes, setCookieOf } from './attributes.ts'
import { Jar } from './jar.ts'
import { COOKIES_KEYS } from './keys.ts'
import { Signatures } from './signatures.ts'

/** Options of `cookies()`: the defaults of all cookies that are set, and keys. */
export interface CookiesOptions extends CookieAttributes {
  /** Secrets of 32 bytes or more for `setSigned` and `getSigned`: the first signs, all of them verify. */
  readonly keys?: readonly (string | Uint8Array)[]
}

const OPTIONS: Record<keyof CookiesOptions, true> = { ...ATTRIBUTES, keys: true }

/** Gives every request its cookies: `context['cookies.Jar'].get('theme')`. */
export const cookies = (options: CookiesOptions = {}): DefinedMiddleware<never, 'cookies.Jar'> => {
  checkOptions('cookies()', options, OPTIONS, cookies)
  const { keys, ...defaults } = options
  const signatures = keys === undefined ? undefined : new Signatures(keys, 'cookies()')
  // Finds faults now that every cookie would have.
  setCookieOf('name', '', defaults, true)
  return defineMiddleware({ name: 'cookies', provides: ['cookies.Jar'], keys: COOKIES_KEYS, neutral: true }, (context, next) => {
    context['cookies.Jar'] = new Jar(context, defaults, signatures)
    return next()
  })
}

markFactory('cookies', cookies)
