import type { Client, PeerClientOptions } from '@iopa/context'
import { Scope } from '@iopa/context/host'
import { checkOptions } from '../arguments/arguments.ts'
import type { Clock } from '../contract/clock.ts'
import type { PeerTarget } from '../contract/host.ts'
import type { Limits } from '../contract/limits.ts'
import { createClient } from './client.ts'
import { type ClientOwner, within } from './connect.ts'
import { declarationsOf } from './declared-keys.ts'
import { ClientEngine } from './engine.ts'
import { peerGone } from './failures.ts'
import { marked } from './upstream.ts'

const PEER_CLIENT_OPTIONS: Record<keyof PeerClientOptions, true> = { signal: true, timeout: true, silence: true }

/** What a client to a peer belongs to: the listener that the peer has spoken to. */
interface PeerClientOwner extends ClientOwner {
  readonly clock: Clock
  readonly limits: Limits
}

/** A client over the one link of a peer's session: no other takes its place. */
export const connectPeer = async (peer: PeerTarget, options: PeerClientOptions, owner: PeerClientOwner): Promise<Client> => {
  checkOptions('client()', options, PEER_CLIENT_OPTIONS, connectPeer)
  const { url, observable, keys } = peer
  const { signal, timeout } = options
  const { clock, limits, factory, dispatch } = owner
  const opening = new AbortController()
  const abort = (): void => opening.abort(signal?.reason)
  if (signal?.aborted === true) abort()
  signal?.addEventListener('abort', abort, { once: true })
  try {
    const first = await within(opening.signal, timeout, url, clock, limit => peer.open({ signal: limit, clock, limits }))
    const open = (): Promise<never> => Promise.reject(peerGone())
    const engine = new ClientEngine({ open, first, clock, limits, timeout, maxLinks: 1, observable, keys: declarationsOf(keys) })
    const scope = new Scope(owner.scope.environment, owner.scope)
    scope.defer(() => engine.close())
    // What the client holds goes with the session, also where nobody closes it; what waits fails by itself before.
    void first.closed.then(() => clock.setTimeout(() => void scope.end('disconnect'), 0))
    return createClient(engine, url, send => dispatch(send), factory, scope)
  } catch (error) {
    throw error === signal?.reason ? error : marked(error, 'upstream')
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}
