import { defineKeys, type KeysDeclaration } from '@iopa/transport'
import type { RawOption } from './client/raw-options.ts'
import type { Message } from './codec/message.ts'
import type { RelayedResponse } from './observers/relayed-response.ts'

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
    /**
     * On a request of a client that another one has protected (option 9 in `coap.Options`): its token, 1 to 8 bytes. A registration with the token of one
     * before takes its place, and with Observe 1 ends it.
     */
    'coap.Token': Uint8Array
    /** On a request of a client: the answer is there with its first block, and the others are fetched while `body` is read. Its size has no limit then. */
    'coap.StreamAnswer': boolean
    /** On a request for another server that a proxy has answered: options of that answer that it hands on, each `[number, value]`. */
    'coap.ResponseOptions': readonly RawOption[]
    /**
     * On a request for another server that observes and is protected from end to end: sends the observer a further response of that server, if the first
     * one had an Observe option in `coap.ResponseOptions`. Null, or a response without that option, ends the observation.
     */
    'coap.Relay': (response: RelayedResponse | null) => void
    /** On a request that `collect()` sends to a group: milliseconds for which answers are collected, 0 for the usual time. */
    'coap.CollectFor': number
  }

  interface ReceivedKeys {
    /** The message that an answer came in: type, code, id, token and every option; of an answer in blocks the first one. */
    readonly 'coap.Message': Message
    /** On an answer of a group: the URL of the member that has answered. */
    readonly 'coap.Peer': URL
  }
}

/** The keys of this package, which the transport declares for its app. */
export const COAP_KEYS: KeysDeclaration = defineKeys('coap', {
  owner: '@iopa/coap',
  keys: {
    Message: { doc: 'The message that a request came in' },
    Confirmable: { doc: 'Whether a request of a client is sent as confirmable message' },
    Options: { doc: 'Options of a request of a client, by number' },
    TokenLength: { doc: 'Bytes of the token of a request of a client' },
    Token: { doc: 'The token of a request that is handed on under OSCORE' },
    StreamAnswer: { doc: 'Whether a client fetches the blocks of an answer while its body is read' },
    ResponseOptions: { doc: 'Options that a proxy hands on with its answer' },
    Relay: { doc: 'Sends a further response of the server behind a proxy' },
    CollectFor: { doc: 'Milliseconds for which answers of a group are collected' }
  }
})
