import { countersOf, IopaError, type Serving, type User } from '@iopa/transport'
import type { DatagramClientInit } from '../client/datagram-client.ts'
import type { ServeStream } from '../client/stream-client.ts'
import type { Extensions } from '../codec/extensions.ts'
import type { ServerSettings } from '../listeners/server.ts'
import type { Transmission } from '../messages/parameters.ts'
import { ServedByDatagrams } from './served-datagrams.ts'
import { ServedByStream } from './served-stream.ts'

/** How the clients of one `coap()` serve their servers. */
export interface ServingInit {
  readonly szx: number
  readonly transmission: Transmission
  readonly allowUnauthenticated: boolean | undefined
  readonly extensions: Extensions
  /** Most bytes of a body in blocks that is collected before its request runs. */
  readonly collected: number
  /** Opens the requests of the server that are protected. */
  readonly protection: ServerSettings['protection']
}

/** Serves the server of a client over UDP, where nothing proves who that is. */
export const serveDatagrams =
  (init: ServingInit): DatagramClientInit['serve'] =>
  (serving, wire) => {
    assertProven(serving, false)
    assertAuthenticated(serving, wire.peer.address, init)
    return new ServedByDatagrams(settingsOf(serving, init), wire)
  }

/** Serves the server of a client on its connection, on which TLS has proven who that is. */
export const serveStream =
  (init: ServingInit): ServeStream =>
  (serving, requester, channel, { tls }) => {
    const { user } = serving
    const proven = channel.tls && tls?.verify !== false
    assertProven(serving, proven)
    if (!proven) assertAuthenticated(serving, channel.remoteAddress, init)
    const byKey = tls?.psk !== undefined && tls.ca === undefined && tls.key === undefined && tls.cert === undefined
    const identity: User | undefined = user === undefined ? undefined : { id: user, by: byKey ? 'psk' : 'certificate' }
    return new ServedByStream(settingsOf(serving, init), requester, channel, channel.tls ? 'coaps+tcp' : 'coap+tcp', identity)
  }

/** @throws IopaError 400 for a user whom nothing proves */
const assertProven = ({ user }: Serving, proven: boolean): void => {
  if (user !== undefined && !proven)
    throw new IopaError(
      400,
      'unproven-server',
      `Nothing proves that requests come from '${user}' here: use coaps+tcp: with a verified certificate or a key, or leave the user out.`
    )
}

/** @throws IopaError 500 for requests that nothing authenticates, off loopback */
const assertAuthenticated = ({ host }: Serving, address: string, { protection, allowUnauthenticated }: ServingInit): void => {
  if (protection?.exclusive !== true) host.assertProtected(address, allowUnauthenticated)
}

const settingsOf = ({ host }: Serving, { szx, transmission, extensions, collected, protection }: ServingInit): ServerSettings => ({
  host,
  clock: host.clock,
  // One for all clients of the app: they come and go.
  counters: host.shared('iopa.coap.served', () => countersOf(host, 'coap')),
  szx,
  // The client has named the address of its server itself.
  amplification: Number.POSITIVE_INFINITY,
  leisure: transmission.leisure,
  discoveryOnly: false,
  lifetime: transmission.exchangeLifetime,
  extensions,
  collected,
  protection
})
