import type { ReceivedMessage } from '../codec/message.ts'
import type { Peer } from './peer.ts'

/** What the sender of a confirmable message is told. Exactly one of `acknowledged`, `reset` and `expired` ends it. */
export interface ConfirmableListener {
  /** An acknowledgement with the id came: Empty, or with the answer. False says that it belongs to something else and is to be ignored. */
  acknowledged(message: ReceivedMessage): boolean
  /** The peer rejected it. */
  reset(): void
  /** No answer after the last repetition, or the channel was closed. */
  expired(): void
  /**
   * Asked before each repetition: other bytes to send from now on, under a new id (RFC 7641 section 4.5.2).
   * Asked before the first time too, where the message was sent without bytes.
   */
  renewal?(): Uint8Array | undefined
  /** True where the peer has not asked for this very message, so that an unverified peer may have sent too little for it. */
  readonly onTrust?: boolean
}

/** A confirmable message on its way; a link in the list of all that are outstanding. */
export class Confirmable {
  readonly peer: Peer
  readonly listener: ConfirmableListener
  /** Undefined until its turn comes, where its listener makes them. */
  bytes: Uint8Array | undefined
  id = 0
  /** How often it was sent again. */
  repetitions = 0
  /** Milliseconds to wait before the next repetition. */
  timeout = 0
  /** When that is. */
  due = 0
  /** When it was sent first, in seconds. */
  begun = 0
  state: 'queued' | 'outstanding' | 'ended' = 'queued'
  previous: Confirmable | undefined = undefined
  next: Confirmable | undefined = undefined

  constructor(peer: Peer, bytes: Uint8Array | undefined, listener: ConfirmableListener) {
    this.peer = peer
    this.bytes = bytes
    this.listener = listener
  }
}
