import { defineKeys } from '@iopa/appbuilder'
import type { KeysDeclaration } from '@iopa/constants'
import type { CookieJar } from './jar.ts'
import type { Session } from './session.ts'

declare module '@iopa/constants' {
  interface IopaKeys {
    /** The cookies of the request, and those that its answer sets. */
    'cookies.Jar': CookieJar
    /** The session of the browser that asks. */
    'session.Session': Session
  }
}

export const COOKIES_KEYS: KeysDeclaration = defineKeys('cookies', {
  owner: '@iopa/cookies',
  keys: { Jar: { doc: 'The cookies of the request and of its answer', redact: true } }
})

export const SESSION_KEYS: KeysDeclaration = defineKeys('session', {
  owner: '@iopa/cookies',
  keys: { Session: { doc: 'The session of the browser', redact: true } }
})
