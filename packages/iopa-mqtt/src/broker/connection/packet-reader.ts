import type { ByteChannel, Clock } from '@iopa/transport'
import { FrameGuard, type FrameHandler } from '../../codec/frame-guard.ts'
import type { Timeouts } from './timeouts.ts'

/** Reads packets from a channel, and pauses the channel while packets wait. */
export class PacketReader {
  readonly #channel: ByteChannel
  readonly #clock: Clock
  readonly #timeouts: Timeouts
  readonly #guard: FrameGuard
  readonly #failed: (error: unknown) => void
  #closed = false
  /** True while the channel is paused. */
  paused = false
  /** True while a packet is worked on in slices: nothing further is read. */
  held = false

  /** `handle` gets each packet and returns false to stop; `failed` gets what it throws. */
  constructor(channel: ByteChannel, clock: Clock, timeouts: Timeouts, handlers: { handle: FrameHandler; failed: (error: unknown) => void }) {
    this.#channel = channel
    this.#clock = clock
    this.#timeouts = timeouts
    this.#failed = handlers.failed
    this.#guard = new FrameGuard(0, handlers.handle)
  }

  /** Bytes of a whole packet. */
  set maxPacketSize(bytes: number) {
    this.#guard.maxPacketSize = bytes
  }

  /** Bytes that wait for more, or for a further `read`. */
  get waiting(): number {
    return this.#guard.waiting
  }

  /** Reads packets from a chunk, or with null those that wait. */
  read(chunk: Uint8Array | null): void {
    try {
      if (chunk === null) this.#guard.resume()
      else this.#guard.push(chunk)
    } catch (error) {
      this.#failed(error)
    }
    const { stopped, waiting } = this.#guard
    const timeouts = this.#timeouts
    if (stopped || waiting === 0) timeouts.incompleteSince = Number.POSITIVE_INFINITY
    else if (timeouts.incompleteSince === Number.POSITIVE_INFINITY) timeouts.incompleteSince = this.#clock.elapsed()
    if (stopped !== this.paused && !this.#closed) this.#pause(stopped)
  }

  /** Drops what waits, and reads nothing any more. */
  close(): void {
    this.#closed = true
    this.#guard.close()
  }

  #pause(paused: boolean): void {
    this.paused = paused
    if (paused) this.#channel.pause()
    else {
      this.#timeouts.lastActive = this.#clock.elapsed()
      this.#channel.resume()
    }
  }
}
