import type { Clock } from '@iopa/transport'

/** Milliseconds that a peer has to close its side after DISCONNECT. */
const CLOSING = 2000

/** The deadlines of one connection: CONNECT, keep alive (MQTT 5 section 3.1.2.10), packets that never end, and closing. */
export class Timeouts {
  readonly #clock: Clock
  readonly #packetTimeout: number
  /** Milliseconds without a packet after which the client counts as gone; 0 for never. */
  keepAlive = 0
  lastActive: number
  /** When the first byte of an incomplete packet arrived; Infinity while there is none. */
  incompleteSince: number = Number.POSITIVE_INFINITY
  /** When a connection without CONNECT, or one that is closing, is destroyed. */
  #deadline: number

  /** `connectTimeout` is for the first packet, `packetTimeout` for each of the others from its first byte to its last. */
  constructor(clock: Clock, connectTimeout: number, packetTimeout: number) {
    this.#clock = clock
    this.#packetTimeout = packetTimeout
    this.lastActive = clock.elapsed()
    this.#deadline = this.lastActive + connectTimeout
  }

  /** The connection is closing. */
  closing(): void {
    this.#deadline = this.#clock.elapsed() + CLOSING
  }

  /** True if a connection without CONNECT, or one that is closing, took too long. */
  get isPastDeadline(): boolean {
    return this.#deadline <= this.#clock.elapsed()
  }

  /** True if an open connection was silent for too long. While the broker `waits` and does not read, the client does not count as silent. */
  isSilent(waits: boolean): boolean {
    const now = this.#clock.elapsed()
    if (now - this.incompleteSince > this.#packetTimeout) return true
    return this.keepAlive !== 0 && now - this.lastActive > this.keepAlive && !waits
  }
}
