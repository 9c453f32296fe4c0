import { Options } from './options.ts'

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
  /** 0 to 8 bytes; up to 65,804 between peers that take long tokens (RFC 8974). */
  readonly token: Uint8Array
  readonly options: Options
  readonly payload: Uint8Array
}

const NOTHING = new Uint8Array(0)

/**
 * A message as it was received: token, options and payload are read from its bytes on demand.
 * The bytes are not copied, so the caller must not use them for anything else.
 */
export class ReceivedMessage implements Message {
  type: number = TYPE.NON
  readonly code: number
  id = 0
  readonly bytes: Uint8Array
  readonly tokenStart: number
  /** Where the token ends and the options start. */
  readonly tokenEnd: number
  /** Where the options end: at the payload marker or at the end of the bytes. */
  readonly optionsEnd: number
  #options: Options | undefined = undefined

  constructor(bytes: Uint8Array, code: number, tokenStart: number, tokenEnd: number, optionsEnd: number) {
    this.code = code
    this.bytes = bytes
    this.tokenStart = tokenStart
    this.tokenEnd = tokenEnd
    this.optionsEnd = optionsEnd
  }

  get token(): Uint8Array {
    return this.bytes.subarray(this.tokenStart, this.tokenEnd)
  }

  get options(): Options {
    return (this.#options ??= new Options(this.bytes, this.tokenEnd, this.optionsEnd))
  }

  get payload(): Uint8Array {
    return this.optionsEnd < this.bytes.length ? this.bytes.subarray(this.optionsEnd + 1) : NOTHING
  }
}

/** The token of a message as a key. */
export const tokenKey = (token: Uint8Array): string => Buffer.from(token.buffer, token.byteOffset, token.length).toString('latin1')
