import { defineKeys, type KeysDeclaration } from '@iopa/transport'
import type { Message } from './codec/message.ts'

declare module '@iopa/constants' {
  interface IopaKeys {
    /** The message that a request came in: type, id, token and every option. */
    'coap.Message': Message
    /** On a request of a client: whether it is sent as confirmable message. */
    'coap.Confirmable': boolean
  }
}

/** The keys of this package, which the transport declares for its app. */
export const COAP_KEYS: KeysDeclaration = defineKeys('coap', {
  owner: '@iopa/coap',
  keys: {
    Message: { doc: 'The message that a request came in' },
    Confirmable: { doc: 'Whether a request of a client is sent as confirmable message' }
  }
})
