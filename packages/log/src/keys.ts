import { defineKeys } from '@iopa/appbuilder'
import type { KeysDeclaration } from '@iopa/constants'

declare module '@iopa/constants' {
  interface IopaKeys {
    /** Names the request in logs: of a trusted peer, otherwise of this app. */
    'log.RequestId': string
  }
}

/** The keys of this package. */
export const LOG_KEYS: KeysDeclaration = defineKeys('log', {
  owner: '@iopa/log',
  keys: { RequestId: { doc: 'Names the request in logs' } }
})
