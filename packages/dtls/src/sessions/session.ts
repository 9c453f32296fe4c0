import type { X509Certificate } from 'node:crypto'
import type { User } from '@iopa/constants'

/** What both sides keep of a complete handshake to shorten the next one (RFC 5246 section 7.3). All of them have an extended master secret (RFC 7627). */
export interface Session {
  readonly id: Buffer
  readonly suite: number
  readonly masterSecret: Buffer
  /** Whom the full handshake proved. A resumed association has the same one, never another. */
  readonly user: User | undefined
  /** The peer's certificate that the full handshake proved. */
  readonly certificate: X509Certificate | undefined
}

/** A session in a store: it ends on the clock, at a revocation, or for lack of room. */
export interface KeptSession extends Session {
  /** Whose share it counts for. */
  readonly owner: string
  /** `elapsed()` of the clock. */
  readonly until: number
}
