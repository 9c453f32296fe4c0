import type { ByteChannel } from './byte-channel.ts'

/** Bounds of an outbox. */
export interface OutboxLimits {
  readonly queueBytes: number
}

/**
 * Writes of one connection, joined: what is written while it is corked, or within one turn of the event loop, leaves as
 * one write. When the peer does not read, bytes wait up to a bound, and `writable` says so.
 */
export class Outbox {
  readonly #channel: ByteChannel
  readonly #limit: number
  #chunks: Uint8Array[] = []
  #bytes = 0
  #corked = 0
  #scheduled = false
  #blocked = false
  /** False while the peer does not read as fast as is written: a sender that can wait should. Set by the outbox alone. */
  writable = true
  readonly #waiting: (() => void)[] = []
  #closed = false

  constructor(channel: ByteChannel, limits: OutboxLimits) {
    this.#channel = channel
    this.#limit = limits.queueBytes
  }

  /** Bytes that wait here and in the channel. */
  get pendingBytes(): number {
    return this.#bytes + this.#channel.buffered
  }

  /** Queues bytes. False when they were dropped: the peer does not read and the bound is reached, or the connection is gone. */
  write(bytes: Uint8Array): boolean {
    if (this.#closed || (this.#blocked && this.pendingBytes + bytes.length > this.#limit)) return false
    this.#chunks.push(bytes)
    this.#bytes += bytes.length
    if (this.#corked === 0) this.#schedule()
    return true
  }

  /** Holds writes back until `uncork`: at the begin of what one read brings. */
  cork(): void {
    this.#corked++
  }

  /** Writes out what was held back. */
  uncork(): void {
    if (--this.#corked === 0) this.flush()
  }

  /** Writes everything queued, as one write. */
  flush(): void {
    this.#scheduled = false
    if (this.#bytes === 0 || this.#closed) return
    const chunks = this.#chunks
    const length = this.#bytes
    this.#chunks = []
    this.#bytes = 0
    if (!this.#channel.write(joined(chunks, length))) {
      this.#blocked = true
      this.writable = false
    }
  }

  /** Resolves when the peer reads again, or the connection is gone. */
  drained(): Promise<void> {
    return this.writable || this.#closed ? Promise.resolve() : new Promise(resolve => this.#waiting.push(resolve))
  }

  /** The channel's `drain`. */
  onDrain(): void {
    this.#blocked = false
    this.writable = !this.#closed
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** The channel's `close`: everything that waits is dropped. */
  onClose(): void {
    this.#closed = true
    this.#chunks = []
    this.#bytes = 0
    this.onDrain()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      // A cork that came in between writes out itself.
      if (this.#corked === 0) this.flush()
      else this.#scheduled = false
    })
  }
}

const SLAB = 64 * 1024
const LARGEST = 16 * 1024

/** Small writes are copied into shared arrays, because a separate array costs more than the copy; no part is reused. */
const slab = { bytes: new Uint8Array(0), used: 0 }

const joined = (chunks: readonly Uint8Array[], length: number): Uint8Array => {
  if (chunks.length === 1) return chunks[0] as Uint8Array
  let target: Uint8Array
  if (length > LARGEST) target = new Uint8Array(length)
  else {
    if (slab.used + length > slab.bytes.length) {
      slab.bytes = new Uint8Array(SLAB)
      slab.used = 0
    }
    target = slab.bytes.subarray(slab.used, slab.used + length)
    slab.used += length
  }
  let at = 0
  for (const chunk of chunks) {
    target.set(chunk, at)
    at += chunk.length
  }
  return target
}
