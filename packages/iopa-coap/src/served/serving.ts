import { countersOf, IopaError, type Serving, type User } from '@iopa/transport'
import type { ServeDatagrams } from '../client/datagram-client.ts'
import type { ServeSession } from '../client/secured-client.ts'
import type { ServeStream } from '../client/stream-client.ts'
import type { ServerInit } from '../listeners/server.ts'
import type { CoapSettings } from '../options.ts'
import type { ProtectionUse } from '../protection/shared-protection.ts'
import { endpointOf, ServedByDatagrams } from './served-datagrams.ts'
import { ServedBySession } from './served-session.ts'
import { ServedByStream } from './served-stream.ts'

/** How the clients of one `coap()` serve their servers. */
export interface ServingOver {
  /** Over UDP, where nothing proves who the server is. */
  readonly datagrams: ServeDatagrams
  /** In a session of DTLS, which has proven who that is. */
  readonly secured: ServeSession
  /** On a connection, on which TLS may have proven who that is. */
  readonly stream: ServeStream
}

/** What serves the servers of the clients of one `coap()`. */
export const servingOver = (given: CoapSettings, protection: ProtectionUse | undefined): ServingOver => {
  // The client has named the address of its server itself.
  const settings: CoapSettings = Object.freeze({ ...given, amplification: Number.POSITIVE_INFINITY, discoveryOnly: false })
  const exclusive = protection?.exclusive === true
  const initOf = (serving: Serving): ServerInit => ({ ...serverOf(serving, settings), protection })
  return {
    datagrams: (serving, wire) => {
      assertAllowed(serving, settings, wire.peer.address, false, exclusive)
      return new ServedByDatagrams(initOf(serving), wire, endpointOf(wire, serving.host.limits.body))
    },
    secured: (serving, wire) => {
      const { proof } = wire.association
      assertAllowed(serving, settings, wire.peer.address, proof !== undefined, exclusive)
      return new ServedBySession(initOf(serving), wire, userOf(serving, proof))
    },
    stream: (serving, requester, channel, { tls }) => {
      assertAllowed(serving, settings, channel.remoteAddress, channel.tls && tls?.verify !== false, exclusive)
      const byKey = tls?.psk !== undefined && tls.ca === undefined && tls.key === undefined && tls.cert === undefined
      const scheme = channel.tls ? 'coaps+tcp' : 'coap+tcp'
      return new ServedByStream(initOf(serving), requester, channel, scheme, userOf(serving, byKey ? 'psk' : 'certificate'))
    }
  }
}

const userOf = ({ user }: Serving, by: User['by']): User | undefined => (user === undefined ? undefined : { id: user, by })

/** @throws IopaError 400 for a user whom nothing proves, 500 for an app without protection that serves an unproven server off loopback */
const assertAllowed = (
  { user, host }: Serving,
  { allowUnauthenticated }: CoapSettings,
  address: string,
  proven: boolean,
  exclusive: boolean
): void => {
  if (proven) return
  if (user !== undefined)
    throw new IopaError(
      400,
      'unproven-server',
      `Nothing proves that requests come from '${user}' here: use coaps: or coaps+tcp: with a verified certificate or a key, or leave the user out.`
    )
  if (!exclusive) host.assertProtected(address, allowUnauthenticated)
}

const serverOf = ({ host }: Serving, settings: CoapSettings): ServerInit => ({
  settings,
  host,
  clock: host.clock,
  // One for all clients of the app: they come and go.
  counters: host.shared('iopa.coap.served', () => countersOf(host, 'coap'))
})
