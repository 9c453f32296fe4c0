import { defineKeys, type KeysDeclaration } from '@iopa/constants'
import type { Span } from '@opentelemetry/api'

declare module '@iopa/constants' {
  interface IopaKeys {
    /** The span of the request; in the bag of a client's request its parent. Undefined without an SDK, and on CONNECT. */
    'telemetry.Span': Span | undefined
  }
}

/** The keys of this package. */
export const TELEMETRY_KEYS: KeysDeclaration = defineKeys('telemetry', {
  owner: '@iopa/telemetry',
  keys: { Span: { doc: 'The OpenTelemetry span of the request' } }
})
