import { IopaError, schemeOf } from '@iopa/constants'
import type { Client, PeerClientOptions } from '@iopa/context'
import { checkOptions } from '../arguments/arguments.ts'
import { loaded, systemClock } from '../contract/clock.ts'
import type { PeerTarget } from '../contract/host.ts'
import type { ConnectOptions, Transport } from '../contract/transport.ts'
import type { ClientOwner, PeerClientOwner } from './client-owner.ts'

export const CONNECT_OPTIONS: Record<keyof ConnectOptions, true> = {
  signal: true,
  timeout: true,
  tls: true,
  credentials: true,
  maxLinks: true,
  clock: true,
  limits: true,
  serve: true
}

const PEER_CLIENT_OPTIONS: Record<keyof PeerClientOptions, true> = { signal: true, timeout: true, silence: true }

// The engine of clients is loaded with the first client: an app that only serves does without.

/**
 * A client of one transport, without an app: `connect(tcp(), 'tcp://127.0.0.1:7000')`. It is the same as that of `app.connect`, which adds the layers
 * and the codecs of its app. Rejects when it cannot connect.
 */
export const connect = async (transport: Transport, url: string | URL, options: ConnectOptions = {}): Promise<Client> => {
  checkOptions('connect()', options, CONNECT_OPTIONS, connect)
  const { openAlone } = await loaded(options.clock ?? systemClock, import('./opening.ts'))
  return openAlone(transport, new URL(url), options)
}

/** A client of a transport, within the scope of its owner. */
export const connectWith = async (transport: Transport, url: URL, options: ConnectOptions, owner: ClientOwner): Promise<Client> => {
  const { openClient } = await loaded(options.clock ?? systemClock, import('./opening.ts'))
  return openClient(transport, url, options, owner)
}

/** A client over the one link of a peer's session: no other takes its place. */
export const connectPeer = async (peer: PeerTarget, options: PeerClientOptions, owner: PeerClientOwner): Promise<Client> => {
  checkOptions('client()', options, PEER_CLIENT_OPTIONS, connectPeer)
  const { openPeerClient } = await loaded(owner.clock, import('./peer-client.ts'))
  return openPeerClient(peer, options, owner)
}

/** The transport among these that has the scheme of a URL. @throws IopaError 500 where none has */
export const transportFor = (transports: readonly Transport[], url: URL): Transport => {
  const scheme = schemeOf(url.protocol)
  const transport = transports.find(({ schemes }) => schemes.includes(scheme))
  if (transport !== undefined) return transport
  const known = transports.flatMap(({ schemes }) => schemes).join(', ') || 'none'
  throw new IopaError(500, 'no-transport', `No transport of this app serves '${scheme}:': add one with use(); it has ${known}.`)
}
