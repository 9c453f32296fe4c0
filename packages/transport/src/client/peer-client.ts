import type { Client, PeerClientOptions } from '@iopa/context'
import { Scope } from '@iopa/context/host'
import type { PeerTarget } from '../contract/host.ts'
import { createClient } from './client.ts'
import type { PeerClientOwner } from './client-owner.ts'
import { declarationsOf } from './declared-keys.ts'
import { ClientEngine } from './engine.ts'
import { peerGone } from './failures.ts'
import { within } from './opening.ts'
import { marked } from './upstream.ts'

/** A client over the one link of a peer's session: no other takes its place. */
export const openPeerClient = async (peer: PeerTarget, options: PeerClientOptions, owner: PeerClientOwner): Promise<Client> => {
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
