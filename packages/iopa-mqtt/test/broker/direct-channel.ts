import type { ByteChannel, ByteNetwork, ByteReceiver } from '@iopa/transport'

/** A channel without a network: what a test writes is received at once, what the broker writes is counted. */
export class DirectChannel implements ByteChannel {
  readonly remoteAddress = '127.0.0.1'
  readonly remotePort = 1
  readonly localAddress = '127.0.0.1'
  readonly localPort = 1883
  readonly tls = false
  readonly raw = null
  readonly buffered = 0
  receiver: ByteReceiver | undefined
  written: Uint8Array[] = []
  closed = false

  open(receiver: ByteReceiver): void {
    this.receiver = receiver
  }

  /** Receives bytes, unless the broker has closed. */
  receive(bytes: Uint8Array): void {
    if (!this.closed) this.receiver?.data(bytes)
  }

  write(bytes: Uint8Array | string): boolean {
    this.written.push(bytes as Uint8Array)
    return true
  }

  pause(): void {}
  resume(): void {}

  end(): void {
    this.destroy()
  }

  destroy(): void {
    if (this.closed) return
    this.closed = true
    this.receiver?.close()
  }
}

/** A network on which a test makes connections by itself. */
export class DirectNetwork implements ByteNetwork {
  #accept: (channel: ByteChannel) => void = () => undefined

  async listen(_address: unknown, accept: (channel: ByteChannel) => void): ReturnType<ByteNetwork['listen']> {
    this.#accept = accept
    return { address: '127.0.0.1', port: 1883, close: async () => undefined }
  }

  connect(): Promise<ByteChannel> {
    return Promise.reject(new Error('nobody connects from here'))
  }

  dial(): DirectChannel {
    const channel = new DirectChannel()
    this.#accept(channel)
    return channel
  }
}
