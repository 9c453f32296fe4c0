import type { ContextFactory, Scope } from '@iopa/context/host'
import type { Clock } from '../contract/clock.ts'
import type { Limits } from '../contract/limits.ts'
import type { Send } from './client.ts'

/** What a client belongs to: an app, or itself. */
export interface ClientOwner {
  readonly factory: ContextFactory
  readonly scope: Scope
  /** Wraps what sends a request with the `dispatch` layers. */
  dispatch(send: Send): Send
}

/** What a client to a peer belongs to: the listener that the peer has spoken to. */
export interface PeerClientOwner extends ClientOwner {
  readonly clock: Clock
  readonly limits: Limits
}
