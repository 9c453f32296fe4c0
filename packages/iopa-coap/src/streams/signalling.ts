import { CODE, classOf, formatCode } from '../codec/codes.ts'
import type { Message } from '../codec/message.ts'
import { isCritical } from '../codec/option-registry.ts'
import { decodeText, decodeUint, Options } from '../codec/options.ts'
import { BASE_MESSAGE_SIZE, encodeFrame, type Frame, isMessage } from '../codec/stream-codec.ts'
import { LONGEST_TOKEN, USUAL_TOKEN } from '../codec/token-length.ts'

/** What a side of a connection can do, as its CSM says (RFC 8323 section 5.3). */
export interface Capabilities {
  /** Largest message it takes, in bytes of the whole frame. */
  readonly maxMessageSize: number
  /** It takes block-wise transfers. */
  readonly blockWise: boolean
  /** Bytes of the longest token of a request that it takes (RFC 8974 section 2.2.1); 8 unless given. */
  readonly tokenLength?: number
}

/** What holds before a CSM says more. */
const BASE_CAPABILITIES: Capabilities = { maxMessageSize: BASE_MESSAGE_SIZE, blockWise: false }

/** What a received frame means to the connection. */
export type ConnectionEvent =
  /** A request or a response, for the layer above. */
  | { readonly kind: 'message'; readonly message: Message }
  /** A request or a response over the size that this side announced; it was skipped. */
  | { readonly kind: 'oversized'; readonly code: number; readonly token: Uint8Array; readonly size: number }
  /** The peer's capabilities have changed; `first` is true for the CSM that opens the connection. */
  | { readonly kind: 'capabilities'; readonly first: boolean }
  /** To be answered with pong(): at once, or with custody when everything received before has been answered (section 5.4.1). */
  | { readonly kind: 'ping'; readonly token: Uint8Array; readonly custody: boolean }
  | { readonly kind: 'pong'; readonly token: Uint8Array; readonly custody: boolean }
  /** The peer is about to close: finish what is in flight, send no new request (section 5.5). */
  | { readonly kind: 'release'; readonly alternatives: readonly string[]; readonly holdOff: number | undefined }
  /** The peer has given up; close without a word (section 5.6). */
  | { readonly kind: 'aborted'; readonly reason: string; readonly badOption: number | undefined }
  /** The peer broke the protocol: send `bytes`, an Abort that says why, then close. */
  | { readonly kind: 'error'; readonly reason: string; readonly bytes: Uint8Array }
  /** Nothing to do. */
  | { readonly kind: 'ignored' }

// Option numbers mean something else in each signal (RFC 8323 section 11.2).
const MAX_MESSAGE_SIZE = 2
const BLOCK_WISE_TRANSFER = 4
const EXTENDED_TOKEN_LENGTH = 6
const CUSTODY = 2
const ALTERNATIVE_ADDRESS = 2
const HOLD_OFF = 4
const BAD_CSM_OPTION = 2

const NOTHING = new Uint8Array(0)
const IGNORED: ConnectionEvent = { kind: 'ignored' }

/** The signals of one connection: what has been agreed, and what a frame means; it neither reads nor writes (RFC 8323 section 5). */
export class Signalling {
  readonly #own: Capabilities
  #peer: Capabilities = BASE_CAPABILITIES
  #opened = false

  constructor(own: Capabilities) {
    this.#own = own
  }

  /** What the peer can do, as far as it has said. */
  get peer(): Capabilities {
    return this.#peer
  }

  /** True once the peer's first CSM is here. */
  get opened(): boolean {
    return this.#opened
  }

  /** The CSM that is the first message of each side. */
  hello(): Uint8Array {
    const options = new Options().add(MAX_MESSAGE_SIZE, this.#own.maxMessageSize)
    if (this.#own.blockWise) options.add(BLOCK_WISE_TRANSFER)
    const { tokenLength = USUAL_TOKEN } = this.#own
    if (tokenLength > USUAL_TOKEN) options.add(EXTENDED_TOKEN_LENGTH, tokenLength)
    return signal(CODE.CSM, options)
  }

  receive(frame: Frame): ConnectionEvent {
    if ('malformed' in frame) return error(`The stream holds ${frame.malformed}`)
    // Empty messages keep a connection alive and say nothing, even before the CSM (section 3.4).
    if (frame.code === CODE.EMPTY) return IGNORED
    if (!this.#opened && frame.code !== CODE.CSM) return error('The first message has to be a CSM')
    const kind = classOf(frame.code)
    if (kind === 1 || kind === 3 || kind === 6) return IGNORED
    if (!isMessage(frame)) {
      return kind === 7
        ? error(`A signal of ${frame.size} bytes is over the limit`)
        : { kind: 'oversized', code: frame.code, token: frame.token, size: frame.size }
    }
    if (kind !== 7) return { kind: 'message', message: frame }
    const critical = criticalOf(frame.options)
    if (critical !== undefined) {
      return frame.code === CODE.CSM
        ? error('The CSM has a critical option that is not understood', critical)
        : error(`Option ${critical} of a ${formatCode(frame.code)} is not understood`)
    }
    switch (frame.code) {
      case CODE.CSM:
        return this.#agree(frame.options)
      case CODE.PING:
      case CODE.PONG:
        return { kind: frame.code === CODE.PING ? 'ping' : 'pong', token: frame.token, custody: frame.options.has(CUSTODY) }
      case CODE.RELEASE:
        return { kind: 'release', alternatives: textsOf(frame.options, ALTERNATIVE_ADDRESS), holdOff: uintOf(frame.options, HOLD_OFF, 3) }
      case CODE.ABORT:
        return { kind: 'aborted', reason: decodeText(frame.payload) ?? '', badOption: uintOf(frame.options, BAD_CSM_OPTION, 2) }
      default:
        return IGNORED
    }
  }

  // Capabilities add up: a CSM that leaves one out takes nothing back (section 5.3).
  #agree(options: Options): ConnectionEvent {
    const first = !this.#opened
    this.#opened = true
    const tokenLength = uintOf(options, EXTENDED_TOKEN_LENGTH, 3) ?? this.#peer.tokenLength
    this.#peer = {
      maxMessageSize: uintOf(options, MAX_MESSAGE_SIZE, 4) ?? this.#peer.maxMessageSize,
      blockWise: this.#peer.blockWise || options.has(BLOCK_WISE_TRANSFER),
      ...(tokenLength === undefined ? undefined : { tokenLength: Math.min(LONGEST_TOKEN, Math.max(USUAL_TOKEN, tokenLength)) })
    }
    return { kind: 'capabilities', first }
  }
}

/** A Ping; the token comes back with the Pong. */
export const ping = (token: Uint8Array, custody = false): Uint8Array => signal(CODE.PING, flag(CUSTODY, custody), token)

/** The answer to a Ping, with its token; custody says that everything received before it has been processed. */
export const pong = (token: Uint8Array, custody = false): Uint8Array => signal(CODE.PONG, flag(CUSTODY, custody), token)

/** Announces that this side closes when what is in flight is done; `holdOff` is how many seconds to wait before connecting again. */
export function release(holdOff?: number): Uint8Array {
  return signal(CODE.RELEASE, holdOff === undefined ? new Options() : new Options().add(HOLD_OFF, holdOff))
}

/** Says why the connection closes at once. */
export function abort(reason: string, badOption?: number): Uint8Array {
  const options = badOption === undefined ? new Options() : new Options().add(BAD_CSM_OPTION, badOption)
  return signal(CODE.ABORT, options, NOTHING, new TextEncoder().encode(reason))
}

/** True when blocks may be sent as BERT, several of 1,024 bytes in one message (RFC 8323 section 6). */
export const takesBert = (peer: Capabilities): boolean => peer.blockWise && peer.maxMessageSize > BASE_MESSAGE_SIZE

/** The payload bytes of a BERT message to this peer, a multiple of 1,024 that leaves `overhead` bytes for the rest; 0 when not even one block fits. */
export const bertPayload = (peer: Capabilities, overhead: number): number =>
  takesBert(peer) ? Math.max(0, Math.floor((peer.maxMessageSize - overhead) / 1024)) * 1024 : 0

/** True when a BERT payload has a length that it may have: whole blocks while more follow, anything at the end. */
export const isBertPayload = (length: number, more: boolean): boolean => !more || (length > 0 && length % 1024 === 0)

const criticalOf = (options: Options): number | undefined => {
  for (const [number] of options) if (isCritical(number)) return number
  return undefined
}

const flag = (number: number, set: boolean): Options => (set ? new Options().add(number) : new Options())

const signal = (code: number, options: Options, token: Uint8Array = NOTHING, payload: Uint8Array = NOTHING): Uint8Array =>
  encodeFrame({ code, token, options, payload })

const error = (reason: string, badOption?: number): ConnectionEvent => ({ kind: 'error', reason, bytes: abort(reason, badOption) })

// An elective option whose length is out of range counts as unrecognised (RFC 7252 section 5.4.3).
function uintOf(options: Options, number: number, longest: number): number | undefined {
  const value = options.get(number)
  return value && value.length <= longest ? decodeUint(value) : undefined
}

function textsOf(options: Options, number: number): string[] {
  return options.getAll(number).flatMap(value => (value.length >= 1 && value.length <= 255 ? (decodeText(value) ?? []) : []))
}
