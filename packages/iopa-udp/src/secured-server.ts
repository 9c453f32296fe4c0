import { type Endpoint, type SecuredDatagrams, type SecuredPeer, SecuredSessions } from '@iopa/transport'
import { DatagramServer, type Served, type Serving } from './server.ts'

/** Where the answers to the requests of an endpoint go. */
interface Route {
  readonly peer: SecuredPeer
  readonly to: 'proven' | 'latest'
}

/** The endpoints of a session, as far as requests came from them. */
type Endpoints = Partial<Record<Route['to'], Endpoint>>

/** Serves the sessions of a secured channel: their requests have the user that the handshake has proven. */
export const serveSecured = ({ channel: bound, host, clock, raw, counters }: Serving, dtls: SecuredDatagrams): Served => {
  const routes = new WeakMap<Endpoint, Route>()
  const channel = dtls.over(bound, {
    clock,
    limits: host.limits,
    logger: host.logger,
    accept: true,
    refused: ({ address: remoteAddress, port: remotePort }, code) => counters.refusal(400, code, { remoteAddress, remotePort })
  })
  const server = new DatagramServer({
    host,
    clock,
    raw,
    counters,
    send: (endpoint, bytes) => {
      const route = routes.get(endpoint)
      route?.peer.send(bytes, route.to)
    },
    limitOf: endpoint => routes.get(endpoint)?.peer.maxPayload ?? 0
  })
  const sessions = new SecuredSessions<Endpoints>({
    host,
    channel,
    counters,
    scheme: 'udps',
    protocol: 'UDP/1.0',
    handlers: {
      message: (session, bytes, unproven) => {
        const { peer, connection } = session
        const to = unproven ? 'latest' : 'proven'
        const own = (session.state ??= {})
        let endpoint = own[to]
        if (endpoint === undefined || endpoint.remotePort !== peer.proven.port || endpoint.remoteAddress !== peer.proven.address) {
          endpoint = own[to] = sessions.endpointOf(peer)
          routes.set(endpoint, { peer, to })
        }
        server.receive(bytes, endpoint, connection)
      },
      ended: () => undefined
    }
  })
  return {
    server,
    close: async () => {
      sessions.close()
      await channel.close()
    }
  }
}
