import type { ByteChannel, ByteReceiver } from '@iopa/transport'

/** A channel that another one has opened before: what comes is relayed to it, and kept until it is opened. */
export class RelayedChannel implements ByteChannel {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly tls: boolean
  readonly raw: unknown
  readonly pskIdentity: string | undefined
  readonly #channel: ByteChannel
  #receiver: ByteReceiver | null = null
  readonly #early: Uint8Array[] = []
  #ended = false

  constructor(channel: ByteChannel) {
    this.remoteAddress = channel.remoteAddress
    this.remotePort = channel.remotePort
    this.localAddress = channel.localAddress
    this.localPort = channel.localPort
    this.tls = channel.tls
    this.raw = channel.raw
    this.pskIdentity = channel.pskIdentity
    this.#channel = channel
  }

  get buffered(): number {
    return this.#channel.buffered
  }

  /** True once it has been opened. */
  get opened(): boolean {
    return this.#receiver !== null
  }

  /** As the callbacks of a receiver. */
  relay(chunk: Uint8Array): void {
    if (this.#receiver !== null) this.#receiver.data(chunk)
    else this.#early.push(chunk)
  }
  relayEnd(): void {
    this.#ended = true
    this.#receiver?.end()
  }
  relayDrain(): void {
    this.#receiver?.drain()
  }
  relayClose(error?: Error): void {
    this.#receiver?.close(error)
  }

  open(receiver: ByteReceiver): void {
    this.#receiver = receiver
    for (const chunk of this.#early.splice(0)) receiver.data(chunk)
    if (this.#ended) receiver.end()
  }
  write(bytes: Uint8Array | string): boolean {
    return this.#channel.write(bytes)
  }
  writeAll(pieces: readonly Uint8Array[]): boolean {
    if (this.#channel.writeAll !== undefined) return this.#channel.writeAll(pieces)
    let more = false
    for (const piece of pieces) more = this.write(piece)
    return more
  }
  pause(): void {
    this.#channel.pause()
  }
  resume(): void {
    this.#channel.resume()
  }
  end(): void {
    this.#channel.end()
  }
  destroy(): void {
    this.#channel.destroy()
  }
  resetUnlessEnded(): void {
    this.#channel.resetUnlessEnded?.()
  }
  clientCertificate(): unknown {
    return this.#channel.clientCertificate?.()
  }
}
