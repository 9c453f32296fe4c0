import type { ByteChannel, Clock, TimerHandle } from '@iopa/transport'

type Purpose = 'first' | 'frame' | 'stall' | 'probe'

// How long a connection that this side has ended waits for the other side, in milliseconds.
const LINGER = 1000
// How often a peer that has finished sending is asked for a sign of life at least, in milliseconds.
const PROBE = 30_000

/** Finds out about peers that are slow, stuck or gone; one timer for each purpose. */
export class PeerWatch {
  readonly #channel: ByteChannel
  readonly #clock: Clock
  readonly #idleTimeout: number
  readonly #timers = new Map<Purpose, TimerHandle>()
  #leaving = false

  /** `idleTimeout` in milliseconds: so long may a peer take nothing of what was written to it. */
  constructor(channel: ByteChannel, clock: Clock, idleTimeout: number) {
    this.#channel = channel
    this.#clock = clock
    this.#idleTimeout = idleTimeout
  }

  /** Calls `silent` when nothing has come for `time` ms since the connection began; `spoken` says that something has. */
  first(time: number, silent: () => void): void {
    this.#start('first', time, silent)
  }

  spoken(): void {
    this.#stop('first')
  }

  /** Asks after `time` ms whether a message that has begun is whole. */
  frame(time: number, check: () => void): void {
    if (!this.#timers.has('frame')) this.#start('frame', time, check)
  }

  /** Drops the connection when what was written does not leave within the idle timeout; calls `stuck` before. `moved` ends the wait. */
  stall(stuck: () => void): void {
    if (this.#leaving || this.#timers.has('stall')) return
    this.#start('stall', this.#idleTimeout, () => {
      stuck()
      this.#channel.destroy()
    })
  }

  /** Everything that was written has left. */
  moved(): void {
    if (!this.#leaving) this.#stop('stall')
  }

  /** Drops a connection that this side has ended, a while after everything has left it. */
  leave(): void {
    this.#leaving = true
    this.#start('stall', LINGER, () => {
      if (this.#channel.buffered > 0) this.#start('stall', this.#idleTimeout, () => this.#channel.destroy())
      else this.#channel.destroy()
    })
  }

  /** Finds out whether a peer that has finished sending has gone: only two writes in a row show that. */
  probe(write: () => void): void {
    if (this.#timers.has('probe')) return
    const again = (): void => {
      write()
      this.#start('probe', Math.min(PROBE, this.#idleTimeout / 2), again)
    }
    write()
    this.#start('probe', LINGER, again)
  }

  /** Stops all timers. */
  close(): void {
    for (const purpose of [...this.#timers.keys()]) this.#stop(purpose)
  }

  #start(purpose: Purpose, time: number, callback: () => void): void {
    this.#stop(purpose)
    const handle = this.#clock.setTimeout(() => {
      this.#timers.delete(purpose)
      callback()
    }, time)
    this.#timers.set(purpose, handle)
  }

  #stop(purpose: Purpose): void {
    const handle = this.#timers.get(purpose)
    if (handle === undefined) return
    this.#timers.delete(purpose)
    this.#clock.clearTimeout(handle)
  }
}
