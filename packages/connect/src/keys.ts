import type { IncomingMessage } from 'node:http'
import { defineKeys } from '@iopa/appbuilder'
import type { KeysDeclaration } from '@iopa/constants'

/** The request as middleware of Connect has seen it, with what that has set on it, such as `user`, `session` and `body`. */
export interface ConnectRequest extends IncomingMessage {
  [name: string]: unknown
}

declare module '@iopa/constants' {
  interface IopaKeys {
    /** The request as middleware of Connect has seen it; on HTTP alone. */
    'connect.Request': ConnectRequest
  }
}

/** The key of this package. */
export const CONNECT_KEYS: KeysDeclaration = defineKeys('connect', {
  owner: '@iopa/connect',
  keys: { Request: { doc: 'The request as middleware of Connect has seen it', redact: true } }
})
