import { defineKeys } from '@iopa/appbuilder'
import type { KeysDeclaration } from '@iopa/constants'

declare module '@iopa/constants' {
  interface IopaKeys {
    /** The nonce of this answer's Content-Security-Policy, for `<script nonce="...">`; empty where the policy has none, and on other protocols. */
    'csp.Nonce': string
  }
}

export const SECURE_HEADERS_KEYS: KeysDeclaration = defineKeys('csp', {
  owner: '@iopa/secure-headers',
  keys: { Nonce: { doc: 'Nonce of the Content-Security-Policy of this answer' } }
})
