import type { ReceivedMessage } from '../codec/message.ts'

/** What the sender of a confirmable message learns of it. Exactly one of `acknowledged`, `reset` and `expired` ends it. */
export interface ConfirmableListener {
  /** An acknowledgement with the id came: Empty, or with the response. False means that it belongs to another message and is to be ignored. */
  acknowledged(message: ReceivedMessage): boolean
  /** The peer rejected it. */
  reset(): void
  /** No answer after the last retransmission, or the layer was closed. */
  expired(): void
  /**
   * Called before each retransmission: other bytes to send from now on, under a new id (RFC 7641 section 4.5.2).
   * Called before the first transmission too where the message was sent without bytes.
   */
  renewal?(): Uint8Array | undefined
  /** True for a request of ours: it does not count among what the peer has asked for. */
  readonly asks?: boolean
  /** True where the peer has not asked for this very message, so that an unverified peer may have sent too little for it. */
  readonly onTrust?: boolean
  /** True for what answers a message from the latest address of an association. */
  readonly toLatest?: boolean
}

/** What the sender of a non-confirmable message learns of it. */
export interface ResetListener {
  /** The peer rejected it. */
  reset(): void
}
