import { Duplex } from 'node:stream'
import type { ByteChannel } from '../channels/byte-channel.ts'
import { isCertificate } from './socket-channel.ts'

type Done = (error?: Error | null) => void

/** A byte channel as the stream (a `Duplex` of node:stream) that libraries of Node take in the place of a socket. It opens the channel. */
export const channelStream = (channel: ByteChannel): object => new ChannelStream(channel)

class ChannelStream extends Duplex {
  readonly #channel: ByteChannel
  #written: Done | null = null
  /** As of a socket. */
  bytesRead = 0

  constructor(channel: ByteChannel) {
    super({ allowHalfOpen: true })
    this.#channel = channel
    // Its closing says all that there is to know.
    this.on('error', () => undefined)
    channel.open({
      data: chunk => {
        this.bytesRead += chunk.length
        if (!this.push(chunk)) channel.pause()
      },
      end: () => void this.push(null),
      drain: () => this.#release(),
      close: error => void this.destroy(error)
    })
  }

  get remoteAddress(): string {
    return this.#channel.remoteAddress
  }

  get remotePort(): number {
    return this.#channel.remotePort
  }

  get localAddress(): string {
    return this.#channel.localAddress
  }

  get localPort(): number {
    return this.#channel.localPort
  }

  get encrypted(): boolean {
    return this.#channel.tls
  }

  /** True where the peer has shown a certificate that was checked. */
  get authorized(): boolean {
    return isCertificate(this.#channel.clientCertificate?.())
  }

  getPeerCertificate(): unknown {
    return this.#channel.clientCertificate?.()
  }

  // What node:http asks of a socket beyond a stream; the network below has its own ways.
  setKeepAlive(): this {
    return this
  }
  setNoDelay(): this {
    return this
  }
  setTimeout(): this {
    return this
  }
  ref(): this {
    return this
  }
  unref(): this {
    return this
  }

  override _read(): void {
    this.#channel.resume()
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: Done): void {
    if (this.#channel.write(chunk)) done()
    else this.#written = done
  }

  override _writev(chunks: { readonly chunk: Uint8Array }[], done: Done): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'utf8', done)
  }

  override _final(done: Done): void {
    this.#channel.end()
    done()
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#channel.destroy()
    this.#release()
    done(error)
  }

  #release(): void {
    const written = this.#written
    this.#written = null
    written?.()
  }
}
