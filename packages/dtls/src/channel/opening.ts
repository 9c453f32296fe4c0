import { IopaError, type SecuredPeer, type SecuredTarget } from '@iopa/transport'
import { ALERT, HandshakeFailure } from '../alerts.ts'
import { ClientHandshake } from '../handshake/client-handshake.ts'
import type { Established, Handshake } from '../handshake/handshake.ts'
import type { Session } from './session.ts'

/** How a handshake of ours ends. */
export interface OpeningEvents {
  established(result: Established): void
  failed(failure: HandshakeFailure): void
}

/** What an opening needs of its channel. */
export interface OpeningInit {
  readonly target: SecuredTarget
  readonly signal: AbortSignal
  /** Begins a handshake as the client. */
  shake(events: OpeningEvents): ClientHandshake
  /** The session of a finished handshake; undefined where there is no room for it. */
  admit(result: Established): Session | undefined
  /** It is over; called once. */
  ended(): void
  resolve(peer: SecuredPeer): void
  reject(reason: unknown): void
}

/**
 * True where our own handshake makes way for one that the peer has begun at the same moment. RFC 6347 has no rule for that; here the lower random of the two
 * ClientHellos goes on, which both sides see alike. Equal ones are our own hello, which comes back.
 */
export const yields = (own: Handshake, random: Uint8Array): boolean => own instanceof ClientHandshake && Buffer.compare(random, own.random) < 0

/** One call of `connect`: it ends with a handshake of ours, or with one that the peer has begun at the same moment. */
export class Opening {
  readonly #init: OpeningInit
  readonly #onAbort: () => void
  #handshake: ClientHandshake | undefined
  #state: 'new' | 'begun' | 'waits' | 'ended' = 'new'

  constructor(init: OpeningInit) {
    const { signal } = init
    this.#init = init
    this.#onAbort = () => {
      this.#reject(signal.reason)
      this.#handshake?.fail(new HandshakeFailure(ALERT.USER_CANCELED, 'The caller has given up.', { cause: signal.reason }))
    }
    signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  /**
   * No handshake of the peer is under way: ours begins. One that has made way does not begin again: the peer may be waiting for the rest of it, and would not
   * make way in turn.
   */
  begin(): void {
    if (this.#state === 'waits') this.#reject(this.#failure('The peer has begun a handshake at the same moment, which has failed: connect again.'))
    if (this.#state !== 'new') return
    this.#state = 'begun'
    this.#handshake = this.#init.shake({
      established: result => this.#settle(this.#init.admit(result)),
      failed: failure => {
        if (this.#state === 'begun') this.#reject(this.#failure(failure.message, failure))
      }
    })
  }

  /** A handshake that the peer has begun goes on instead of ours, which ends without a word. */
  makeWay(): void {
    if (this.#state === 'begun') this.#state = 'waits'
    this.#handshake?.fail(new HandshakeFailure(ALERT.USER_CANCELED, 'The peer has begun a handshake at the same moment.'), true)
  }

  /** The peer's handshake has succeeded; `suits` says whether it has proven what our server must prove. */
  met(session: Session | undefined, suits: boolean): void {
    if (session === undefined || suits) this.#settle(session)
    else
      this.#reject(
        this.#failure('The peer has opened a session as a client at the same moment, which proves no server: use that one, or connect again.')
      )
  }

  /** The channel is closed. */
  close(): void {
    this.makeWay()
    this.#reject(this.#failure('The channel was closed.'))
  }

  #settle(session: Session | undefined): void {
    if (session === undefined) this.#reject(this.#failure('There are too many sessions: close some of them.'))
    else if (this.#end()) this.#init.resolve(session)
  }

  #reject(reason: unknown): void {
    if (this.#end()) this.#init.reject(reason)
  }

  #end(): boolean {
    if (this.#state === 'ended') return false
    this.#state = 'ended'
    this.#init.signal.removeEventListener('abort', this.#onAbort)
    this.#init.ended()
    return true
  }

  #failure(message: string, cause?: unknown): IopaError {
    const { host, port } = this.#init.target
    return new IopaError(502, 'handshake-failed', `No DTLS session with ${host}:${port}: ${message}`, { cause })
  }
}
