import type { Message } from './message.ts'

declare module '@iopa/constants' {
  interface IopaKeys {
    /** The message that a request came in: type, id, token and every option. */
    'coap.Message': Message
    /** On a request of a client: whether it is sent as confirmable message. */
    'coap.Confirmable': boolean
  }
}
