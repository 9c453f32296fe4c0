import type { ByteAddress } from '../channels/byte-channel.ts'
import type { TlsOptions } from '../contract/tls.ts'
import { keysOf, PreSharedKeys, usedKey } from './pre-shared-keys.ts'
import { isCertificate, type SocketLike } from './socket-channel.ts'
import { endOf, type Make, MOST_HANDSHAKES, type PeerEnd, peerOf, type ServerLike, type TlsModule } from './socket-modules.ts'
import { clientTls, reloadedTls, ServerNames, serverTls } from './tls-context.ts'

/** The events of a listener that are none of a connection. */
export interface ServerEvents {
  /** A peer has connected, with the identity that it has proved by a pre-shared key. */
  connected(socket: SocketLike, identity: string | undefined): void
  /** There are too many connections. */
  failed(): void
  /** A handshake has failed. */
  unsecured(peer: PeerEnd): void
}

/** A listener with TLS: its handshakes, its keys and its certificates, which can be replaced. */
export class SecuredServer {
  readonly server: ServerLike
  readonly #address: ByteAddress
  readonly #keys: PreSharedKeys | undefined
  readonly #names: ServerNames | undefined
  readonly #handshakes: Handshakes
  #current: TlsOptions

  /** @throws IopaError 500 for options that cannot be used. */
  constructor(address: ByteAddress, { createSecureContext, createServer }: TlsModule, events: ServerEvents) {
    const { tls = {} } = address
    this.#address = address
    this.#current = tls
    const keys = tls.psk === undefined ? undefined : new PreSharedKeys(keysOf(tls))
    this.#keys = keys
    this.#names = keys === undefined ? new ServerNames(tls, createSecureContext) : undefined
    this.server = (createServer as Make)(serverTls(address, keys, this.#names), socket => {
      const identity = keys?.identityOf(socket)
      // With pre-shared keys, a client without a proved key is refused.
      if (keys !== undefined && identity === undefined) {
        events.unsecured(endOf(socket))
        socket.destroy()
      } else events.connected(socket, identity)
    }) as ServerLike
    this.#handshakes = new Handshakes(
      this.server,
      () => events.failed(),
      peer => events.unsecured(peer)
    )
  }

  /** Replaces keys and certificates. @throws IopaError 500; those of now stay then. */
  reload(next: TlsOptions): void {
    const tls = reloadedTls(this.#current, next)
    this.#names?.replace(tls)
    this.server.setSecureContext?.(serverTls({ ...this.#address, tls }, this.#keys))
    this.#keys?.replace(keysOf(tls))
    this.#current = tls
  }

  /** Ends the connections whose handshake is not finished. */
  destroy(): void {
    this.#handshakes.destroy()
  }
}

/** Connections with an unfinished TLS handshake: only this file knows them, so it counts and ends them. */
class Handshakes {
  readonly #open = new Map<string, SocketLike>()

  constructor(server: ServerLike, refused: () => void, unsecured: (peer: PeerEnd) => void) {
    server.on('connection', (raw: SocketLike) => {
      if (this.#open.size >= MOST_HANDSHAKES) {
        refused()
        raw.destroy()
        return
      }
      const peer = peerOf(raw)
      this.#open.set(peer, raw)
      const isOpen = (): boolean => this.#open.get(peer) === raw
      raw.on('end', () => void (isOpen() && raw.destroy()))
      raw.on('close', () => void (isOpen() && this.#open.delete(peer)))
    })
    server.on('secureConnection', (socket: SocketLike) => void this.#open.delete(peerOf(socket)))
    // A handshake that fails is that peer's matter.
    server.on('tlsClientError', (_: Error, socket: SocketLike) => {
      unsecured(endOf(socket))
      socket?.destroy()
    })
  }

  destroy(): void {
    for (const raw of [...this.#open.values()]) raw.destroy()
  }
}

/** A socket that connects with TLS. @throws IopaError 500 for keys that cannot be used. */
export const securedSocket = (address: ByteAddress, tls: TlsModule): unknown => (tls.connect as Make)(clientTls(address, tls))

/** True when the server has shown the key or a certificate, where one of them is asked for. */
export const isProved = (socket: SocketLike, { tls }: ByteAddress): boolean =>
  tls?.psk === undefined || usedKey(socket) || isCertificate(socket.getPeerCertificate?.())
