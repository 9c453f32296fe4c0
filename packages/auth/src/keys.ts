import { defineKeys } from '@iopa/appbuilder'
import type { KeysDeclaration } from '@iopa/constants'

declare module '@iopa/constants' {
  interface User {
    /** What rules of `allow()` compare with theirs. */
    readonly roles?: readonly string[] | undefined
  }

  interface IopaKeys {
    /** What `www-authenticate` offers where optional authentication found no credentials; undefined for an authenticated request. */
    'auth.Challenges': string | undefined
  }
}

/** The keys of this package. */
export const AUTH_KEYS: KeysDeclaration = defineKeys('auth', {
  owner: '@iopa/auth',
  keys: { Challenges: { doc: 'What www-authenticate offers to a request without credentials' } }
})
