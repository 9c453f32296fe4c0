import { CODE, isSafe } from '../codec/codes.ts'
import { encodeEmpty, encodeReply } from '../codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../codec/message.ts'
import { NO_OPTIONS } from '../codec/options.ts'
import { type AnswerRing, IN_PROGRESS, UNSEEN } from './answer-ring.ts'

const NOTHING = new Uint8Array(0)

/** What deduplication needs of a peer. */
export interface Deduplicated {
  readonly duplicates: AnswerRing
  readonly handled: AnswerRing
}

/** How long the id of a message belongs to that message, in seconds (RFC 7252 section 4.8.2). */
export interface MessageLifetimes {
  /** EXCHANGE_LIFETIME. */
  readonly confirmable: number
  /** NON_LIFETIME. */
  readonly nonConfirmable: number
}

/** Recognises messages that were received before, and what to repeat for them (RFC 7252 section 4.5). Times are in seconds. */
export class Deduplication {
  readonly #confirmable: number
  readonly #nonConfirmable: number

  constructor({ confirmable, nonConfirmable }: MessageLifetimes) {
    this.#confirmable = confirmable
    this.#nonConfirmable = nonConfirmable
  }

  /** What to send for a request that was received before, empty for nothing; undefined for a new one, which is recorded or marked as in progress. */
  repeatFor(peer: Deduplicated, message: ReceivedMessage, fingerprint: number, now: number): Uint8Array | undefined {
    const { id, code } = message
    const { duplicates } = peer
    const confirmable = message.type === TYPE.CON
    const found = duplicates.find(id, fingerprint, now, confirmable ? this.#confirmable : this.#nonConfirmable)
    if (found !== UNSEEN) return found === IN_PROGRESS || !confirmable ? NOTHING : (duplicates.answer(found) ?? NOTHING)
    const changes = code !== CODE.GET && !isSafe(code)
    const again = changes ? this.#codeFor(peer, message, fingerprint, now) : undefined
    if (again !== undefined) return again
    if (confirmable) duplicates.begin(id)
    else {
      duplicates.record(id, fingerprint, now, undefined)
      if (changes) peer.handled.record(id, fingerprint, now, undefined)
    }
    return undefined
  }

  /** Keeps the acknowledgement of a request, Empty or with the response. */
  record(peer: Deduplicated, { id, code }: ReceivedMessage, fingerprint: number, now: number, answer: Uint8Array): void {
    peer.duplicates.record(id, fingerprint, now, answer)
    if (code !== CODE.GET && !isSafe(code)) peer.handled.record(id, fingerprint, now, answer.subarray(1, 2))
  }

  /** What to send for a response that was received before, empty for nothing; undefined for a new one. */
  repeatForResponse({ duplicates }: Deduplicated, { type, id }: ReceivedMessage, fingerprint: number, now: number): Uint8Array | undefined {
    const found = duplicates.find(id, fingerprint, now, type === TYPE.CON ? this.#confirmable : this.#nonConfirmable)
    return found < 0 ? undefined : (duplicates.answer(found) ?? NOTHING)
  }

  /** For a request that was handled although its answer is not kept any more: only the code of that. */
  #codeFor({ handled }: Deduplicated, message: ReceivedMessage, fingerprint: number, now: number): Uint8Array | undefined {
    const { id, type } = message
    const confirmable = type === TYPE.CON
    const found = handled.find(id, fingerprint, now, confirmable ? this.#confirmable : this.#nonConfirmable)
    if (found < 0) return undefined
    const code = handled.answer(found)?.[0]
    if (code === undefined || !confirmable) return NOTHING
    return code === CODE.EMPTY ? encodeEmpty(TYPE.ACK, id) : encodeReply(message, TYPE.ACK, id, code, NO_OPTIONS, NOTHING)
  }
}

/** Distinguishes messages of one id: a hash of token, code and length. */
export const fingerprintOf = (message: ReceivedMessage): number => {
  const { bytes, tokenStart, tokenEnd } = message
  let hash = message.code | (bytes.length << 8)
  for (let at = tokenStart; at < tokenEnd; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193)
  return hash | 0
}
