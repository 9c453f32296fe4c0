import { IopaError, schemeOf, withOrigin } from '@iopa/constants'
import { abortable, type ContextFactory, Scope } from '@iopa/context'
import type { Channel, Client, Clock, ConnectOptions, Transport } from '@iopa/transport'
import { upstream } from '@iopa/transport'
import { createClient, marked } from '@iopa/transport/host'
import { compose } from '../pipeline/compose.ts'
import type { MiddlewareFunction } from '../pipeline/middleware.ts'

export const CONNECT_OPTIONS: Record<keyof ConnectOptions, true> = { signal: true, timeout: true, tls: true, clock: true, limits: true }

/** What a client needs of its app. */
export interface ClientOwner {
  readonly transports: readonly Transport[]
  /** The layers of outgoing requests, the outermost first. */
  readonly layers: readonly MiddlewareFunction[]
  readonly factory: ContextFactory
  readonly scope: Scope
  readonly clock: Clock
}

/** A client for the scheme of `url`, within the scope of the app. Rejects for a scheme that no transport has, or when it cannot connect. */
export const connectClient = async (owner: ClientOwner, url: string | URL, options: ConnectOptions): Promise<Client> => {
  if (owner.scope.ended) throw withOrigin(new IopaError(500, 'app-closed', 'This app has been closed; make a new one.'), 'internal')
  const target = new URL(url)
  const scheme = schemeOf(target.protocol)
  const transport = owner.transports.find(({ schemes }) => schemes.includes(scheme))
  if (transport === undefined) {
    const known = owner.transports.flatMap(({ schemes }) => schemes).join(', ') || 'none'
    throw withOrigin(new IopaError(500, 'no-transport', `No transport of this app serves '${scheme}:'; it has ${known}.`), 'internal')
  }
  // A connection that comes too late is closed.
  const connect = (): Promise<Channel> => upstream(transport.connect(target, { clock: owner.clock, ...options }))
  const channel = await abortable(options.signal, connect, late => void late.close())
  const scope = new Scope(owner.scope.environment, owner.scope)
  scope.defer(() => channel.close())
  try {
    return createClient(channel, target, send => compose(owner.layers, send), owner.factory, scope)
  } catch (error) {
    await scope.end()
    throw marked(error, 'upstream')
  }
}
