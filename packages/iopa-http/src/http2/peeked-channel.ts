import type { ByteChannel, ByteReceiver, Clock, Connection } from '@iopa/transport'
import type { ServedConnection } from '../server/connection.ts'

/** What a client of HTTP/2 begins with (RFC 9113 section 3.4), up to where no request of HTTP/1.1 goes on. */
const PREFACE: Uint8Array = new TextEncoder().encode('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/** A channel whose first bytes say which protocol it carries. */
export class PeekedChannel implements ByteChannel {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly tls: boolean
  readonly raw: unknown
  readonly #channel: ByteChannel
  readonly #decided: (isHttp2: boolean) => void
  #receiver: ByteReceiver | null = null
  /** What has come before it is known to whom it goes. */
  readonly #early: Uint8Array[] = []
  /** Bytes of the preface that have come. */
  #matched = 0
  #gone: (() => void) | null = null

  /** `decided` is called once it is known; it opens this channel. */
  constructor(channel: ByteChannel, decided: (isHttp2: boolean) => void) {
    this.remoteAddress = channel.remoteAddress
    this.remotePort = channel.remotePort
    this.localAddress = channel.localAddress
    this.localPort = channel.localPort
    this.tls = channel.tls
    this.raw = channel.raw
    this.#channel = channel
    this.#decided = decided
    channel.open({
      data: chunk => this.#data(chunk),
      end: () => {
        if (this.#receiver === null) this.#decided(false)
        this.#receiver?.end()
      },
      drain: () => this.#receiver?.drain(),
      close: error => {
        if (this.#receiver !== null) this.#receiver.close(error)
        else this.#gone?.()
      }
    })
  }

  get buffered(): number {
    return this.#channel.buffered
  }

  /** What serves the connection until it is known which protocol it carries: it has the time of a head. */
  waiting(
    { clock, limits }: { readonly clock: Clock; readonly limits: { readonly headerTimeout: number } },
    counted: Connection,
    closed: () => void
  ): ServedConnection {
    const since = clock.elapsed()
    this.#gone = () => {
      counted.remove()
      closed()
    }
    return {
      finish: () => this.destroy(),
      endEvents: () => undefined,
      sweep: now => {
        if (now - since >= limits.headerTimeout) this.destroy()
      }
    }
  }

  open(receiver: ByteReceiver): void {
    this.#receiver = receiver
    for (const chunk of this.#early.splice(0)) receiver.data(chunk)
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

  #data(chunk: Uint8Array): void {
    if (this.#receiver !== null) {
      this.#receiver.data(chunk)
      return
    }
    this.#early.push(chunk)
    for (let at = 0; at < chunk.length && this.#matched < PREFACE.length; at++) {
      if (chunk[at] !== PREFACE[this.#matched]) {
        this.#decided(false)
        return
      }
      this.#matched++
    }
    if (this.#matched === PREFACE.length) this.#decided(true)
  }
}
