import type { Options } from './options.ts'

/** Message types (RFC 7252 section 3). Over TCP there are none: such a message counts as NON with id 0. */
export const TYPE = { CON: 0, NON: 1, ACK: 2, RST: 3 } as const

/** A CoAP message, whether it was received or is to be sent. */
export interface Message {
  /** One of TYPE. */
  readonly type: number
  /** The code byte, see CODE. */
  readonly code: number
  /** Message id, 0 to 65535. */
  readonly id: number
  /** 0 to 8 bytes. */
  readonly token: Uint8Array
  readonly options: Options
  readonly payload: Uint8Array
}

/** The token of a message as a key. */
export const tokenKey = (token: Uint8Array): string => Buffer.from(token.buffer, token.byteOffset, token.length).toString('latin1')
