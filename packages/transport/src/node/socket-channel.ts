import type { ByteChannel, ByteReceiver } from '../channels/byte-channel.ts'

/** Both ends of a connection, as far as they are known. */
export interface ProxiedEnds {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
}

/** What a socket of node:net or node:tls has, as far as a channel needs it. */
export interface SocketLike extends ProxiedEnds {
  readonly encrypted?: boolean
  /** Of TLS; false where none was negotiated. */
  readonly alpnProtocol?: string | false | null
  readonly writableLength: number
  readonly destroyed: boolean
  readonly writable: boolean
  readonly writableFinished?: boolean
  on(event: string, listener: (...values: never[]) => void): unknown
  write(data: Uint8Array | string): boolean
  cork?(): unknown
  uncork?(): unknown
  pause(): unknown
  resume(): unknown
  end(): unknown
  destroy(): unknown
  resetAndDestroy?(): unknown
  setNoDelay?(on: boolean): unknown
  /** True when the peer's certificate was checked; a socket without TLS has none of these. */
  readonly authorized?: boolean
  getPeerCertificate?(): unknown
}

/** A byte channel over a socket of node:net or node:tls. Addresses are read once, for a closed socket has none. */
export class SocketChannel implements ByteChannel {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly tls: boolean
  readonly raw: unknown
  readonly pskIdentity: string | undefined
  readonly protocol: string | undefined
  readonly #socket: SocketLike
  #error: Error | undefined
  #resets = false

  /** `ends` are those that a proxy has named. */
  constructor(socket: SocketLike, pskIdentity?: string, ends: ProxiedEnds = socket) {
    this.#socket = socket
    this.raw = socket
    this.remoteAddress = ends.remoteAddress ?? ''
    this.remotePort = ends.remotePort ?? 0
    this.localAddress = ends.localAddress ?? ''
    this.localPort = ends.localPort ?? 0
    this.tls = socket.encrypted === true
    this.pskIdentity = pskIdentity
    this.protocol = socket.alpnProtocol || undefined
    // Small answers must not wait for an acknowledgement of the one before.
    socket.setNoDelay?.(true)
    socket.on('error', (error: Error) => {
      this.#error = error
    })
  }

  get buffered(): number {
    return this.#socket.writableLength
  }

  open(receiver: ByteReceiver): void {
    const socket = this.#socket
    let closed = false
    const close = (): void => {
      if (closed) return
      closed = true
      receiver.close(this.#error)
    }
    socket.on('data', (chunk: Uint8Array) => receiver.data(chunk))
    socket.on('end', () => receiver.end())
    socket.on('drain', () => receiver.drain())
    socket.on('close', close)
    // Its event may be over already.
    if (socket.destroyed) queueMicrotask(close)
  }

  write(bytes: Uint8Array | string): boolean {
    return this.#socket.writable ? this.#socket.write(bytes) : false
  }
  writeAll(pieces: readonly Uint8Array[]): boolean {
    const socket = this.#socket
    socket.cork?.()
    let more = false
    for (let at = 0; at < pieces.length; at++) more = this.write(pieces[at] as Uint8Array)
    socket.uncork?.()
    return more
  }
  pause(): void {
    this.#socket.pause()
  }
  resume(): void {
    this.#socket.resume()
  }
  end(): void {
    this.#socket.end()
  }
  destroy(): void {
    // TLS itself distinguishes an end from a cut, and its sockets cannot be reset.
    // `resetAndDestroy` waits until the peer has read all written data.
    if (this.#resets && !this.tls && this.#socket.writableFinished !== true) this.#socket.resetAndDestroy?.()
    this.#socket.destroy()
  }
  resetUnlessEnded(): void {
    this.#resets = true
  }
  /** Only a checked certificate identifies the peer. */
  clientCertificate(): unknown {
    if (this.#socket.authorized !== true) return undefined
    const certificate = this.#socket.getPeerCertificate?.()
    return isCertificate(certificate) ? certificate : undefined
  }
}

/** True for what a peer has shown as certificate; Node gives an empty object where it has shown none. */
export const isCertificate = (certificate: unknown): boolean =>
  typeof certificate === 'object' && certificate !== null && Object.keys(certificate).length > 0
