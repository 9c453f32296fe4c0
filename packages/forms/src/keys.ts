import { defineKeys, type KeysDeclaration } from '@iopa/constants'
import type { FormReader } from './form.ts'

declare module '@iopa/constants' {
  interface IopaKeys {
    /** Reads the body of the request as a form. */
    'forms.Form': FormReader
  }
}

/** The keys of this package. */
export const FORM_KEYS: KeysDeclaration = defineKeys('forms', {
  owner: '@iopa/forms',
  keys: { Form: { doc: 'Reads the body of the request as a form' } }
})
