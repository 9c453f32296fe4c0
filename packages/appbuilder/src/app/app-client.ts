import { IopaError, withOrigin } from '@iopa/constants'
import type { Client, Clock, ConnectOptions, Transport } from '@iopa/transport'
import { type ClientOwner, connectWith, marked, transportFor } from '@iopa/transport/host'
import { compose } from '../pipeline/compose.ts'
import type { MiddlewareFunction } from '../pipeline/middleware.ts'

/** What a client needs of its app. */
export interface ClientApp extends Pick<ClientOwner, 'factory' | 'scope'> {
  readonly transports: readonly Transport[]
  /** The layers of outgoing requests, the outermost first. */
  readonly layers: readonly MiddlewareFunction[]
  readonly clock: Clock
}

/** A client for the scheme of `url`, within the scope of the app. Rejects for a scheme that no transport has, or when it cannot connect. */
export const connectClient = async (app: ClientApp, url: string | URL, options: ConnectOptions): Promise<Client> => {
  const { factory, scope, transports, layers, clock } = app
  if (scope.ended) throw withOrigin(new IopaError(500, 'app-closed', 'This app has been closed; make a new one.'), 'internal')
  const target = new URL(url)
  let transport: Transport
  try {
    transport = transportFor(transports, target)
  } catch (error) {
    throw marked(error, 'internal')
  }
  return connectWith(transport, target, { clock, ...options }, { factory, scope, dispatch: send => compose(layers, send) })
}
