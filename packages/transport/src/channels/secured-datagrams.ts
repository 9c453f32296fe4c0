import { type Logger, sameUser, type User } from '@iopa/constants'
import type { Clock } from '../contract/clock.ts'
import type { Limits } from '../contract/limits.ts'
import type { DatagramChannel } from './datagram-channel.ts'

/** Where a peer of datagrams is. */
export interface DatagramEndpoint {
  readonly address: string
  readonly port: number
}

/** Whom an association proves. */
export interface SecuredIdentity {
  /** The identity that the handshake has proven: `{ id, by, realm? }`; undefined where it proved none, as for a peer with a certificate, whom the application names. */
  readonly user: User | undefined
  /** How the peer has proven who it is; undefined where it has not, as a server whose client verifies nothing. A client knows its server by its name: `user` may be undefined. */
  readonly proof?: User['by'] | undefined
  /** SHA-256 of the certificate that the peer has proven, as Node shows it (`fingerprint256`); undefined where it has none. */
  readonly fingerprint?: string | undefined
  /** The certificate that the peer has proven, as Node shows certificates; undefined where it has none. */
  readonly clientCertificate?: (() => unknown) | undefined
}

/** True where both are one user, or one certificate without a user. Peers that have proven nothing may be two devices. */
export const sameIdentity = (one: SecuredIdentity, two: SecuredIdentity): boolean => {
  if (one.user !== undefined && two.user !== undefined) return one.user === two.user || sameUser(one.user, two.user)
  return one.user === two.user && one.fingerprint !== undefined && one.fingerprint === two.fingerprint
}

/**
 * The other end of one security association, such as a DTLS session. The object is the identity: whatever a protocol keeps for its peer belongs to it,
 * follows it to another address, and ends with it. A new handshake from the same address is another peer.
 */
export interface SecuredPeer extends SecuredIdentity {
  /** Not to be guessed and never used again: names the association in keys of caches and logs. */
  readonly id: string
  /** Where it has shown that it receives. Changes while the association lasts, where the protocol allows that (RFC 9146 section 6). */
  readonly proven: DatagramEndpoint
  /**
   * Where its newest datagram came from, if that is another address that is not proven yet; at most three times the bytes received from there are sent there. It is one object
   * as long as no other address is the latest.
   */
  readonly latest: DatagramEndpoint | undefined
  /** Bytes of application data that one datagram to it may carry. */
  readonly maxPayload: number
  /** Sends a datagram to the address that is proven, or to the latest one. Never throws; what cannot be sent is lost. */
  send(bytes: Uint8Array, to?: 'proven' | 'latest'): void
  /** It has answered what was sent to its latest address alone: from now on that one is proven. Nothing happens where there is none. */
  confirm(): void
  /** Ends the association, and tells the peer. */
  close(): void
}

/** Why an association has ended: by either side, by silence, because its user is not valid any more, or because the peer is gone or has started again. */
export type SecuredEnd = 'closed' | 'idle' | 'revoked' | 'lost'

/** Callbacks of a secured channel. None may throw. */
export interface SecuredReceiver {
  /** A handshake that the peer began is complete. */
  opened(peer: SecuredPeer): void
  /** A datagram whose protection was checked, and which was not received before. `bytes` belong to the receiver. `unproven` is true for one from the peer's latest address. */
  message(bytes: Uint8Array, peer: SecuredPeer, unproven: boolean): void
  /** The association has ended: nothing is sent to it or received from it any more. */
  closed(peer: SecuredPeer, reason: SecuredEnd): void
  /** The socket reported an error. */
  error(error: Error): void
}

/** What a secured channel works with. */
export interface SecurityEnvironment {
  readonly clock: Clock
  readonly limits: Limits
  readonly logger: Logger
  /** Whether peers may begin associations: true at a listener, false at a client. */
  readonly accept: boolean
  /** Called with each handshake that has failed, for counters and logs. */
  refused?(endpoint: DatagramEndpoint, code: string): void
}

/** A server to open an association to. */
export interface SecuredTarget extends DatagramEndpoint {
  /** The host of the URL: the name that a certificate must have. */
  readonly host: string
}

/** Associations over one datagram channel, in both roles. */
export interface SecuredChannel {
  readonly localAddress: string
  readonly localPort: number
  /** The underlying socket. */
  readonly raw: unknown
  /** Starts delivery to its one receiver. */
  open(receiver: SecuredReceiver): void
  /** Opens an association. Rejects with an IopaError when the handshake fails or takes too long, and with the reason of the signal. */
  connect(target: SecuredTarget, signal: AbortSignal): Promise<SecuredPeer>
  /** Ends all associations whose identity this is true for, and lets none of these peers resume a session. */
  revoke(matches: (identity: SecuredIdentity) => boolean): void
  /** Ends all associations, then the channel below. */
  close(): Promise<void>
}

/** Security for datagrams, such as `dtls()` of `@iopa/dtls`: a transport over datagrams takes one as an option. It holds configuration alone. */
export interface SecuredDatagrams {
  /** Its name in messages, such as 'dtls'. */
  readonly name: string
  /** True where every peer of a listener has to prove an identity, so that it admits proven peers alone; false unless given. */
  readonly exclusive?: boolean
  /** Secures a channel, which it opens and closes from then on. @throws IopaError 500 for a configuration that cannot serve the role. */
  over(channel: DatagramChannel, environment: SecurityEnvironment): SecuredChannel
}
