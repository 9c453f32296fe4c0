import { defineKeys, type KeysDeclaration } from '@iopa/transport'
import type { RawOption } from './client/raw-options.ts'
import type { Message } from './codec/message.ts'

declare module '@iopa/constants' {
  interface IopaKeys {
    /** The message that a request came in: type, id, token and every option. */
    'coap.Message': Message
    /** On a request of a client: whether it is sent as confirmable message. */
    'coap.Confirmable': boolean
    /** On a request of a client: options beside those that the client makes itself, each `[number, value]`. */
    'coap.Options': readonly RawOption[]
    /** On a request of a client: bytes of its token, from 1; 8 unless given, more for a server that takes long tokens (RFC 8974). */
    'coap.TokenLength': number
  }

  interface ReceivedKeys {
    /** The message that an answer came in: type, code, id, token and every option; of an answer in blocks the first one. */
    readonly 'coap.Message': Message
  }
}

/** The keys of this package, which the transport declares for its app. */
export const COAP_KEYS: KeysDeclaration = defineKeys('coap', {
  owner: '@iopa/coap',
  keys: {
    Message: { doc: 'The message that a request came in' },
    Confirmable: { doc: 'Whether a request of a client is sent as confirmable message' },
    Options: { doc: 'Options of a request of a client, by number' },
    TokenLength: { doc: 'Bytes of the token of a request of a client' }
  }
})
