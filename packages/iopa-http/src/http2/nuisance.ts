// What a browser that leaves page after page does stays far below.
const BURST = 500
const PER_SECOND = 50
/** Bytes that count as one. */
const BYTES = 1024

/**
 * What a peer does that costs the server and serves nobody: streams that are reset before their answer, by the peer or because it broke the protocol
 * (rapid reset, MadeYouReset), PING and SETTINGS frames, bytes that are neither heads
 * nor bodies. A little of it is normal.
 */
export class Nuisance {
  #count = 0
  #since: number

  /** Times are milliseconds of the clock. */
  constructor(now: number) {
    this.#since = now
  }

  /** Counts `times` more; true when it is too much. */
  add(times: number, now: number): boolean {
    this.#count = Math.max(0, this.#count - ((now - this.#since) * PER_SECOND) / 1000) + times
    this.#since = now
    return this.#count > BURST
  }

  /** The same for bytes. */
  addBytes(bytes: number, now: number): boolean {
    return this.add(Math.max(0, bytes) / BYTES, now)
  }
}

// Bytes that a window of flow control lets a client send before anything is read.
const WINDOW = 65_535
// Of bytes that carry a body: for the heads of frames, and for the frames that open the window of an answer.
const OF_BODY = 2
const OF_ANSWER = 0.01

/** The bytes of a connection that are of use. */
export class Traffic {
  #useful = WINDOW
  #overhead = 0

  /** A request has come. */
  request(headerBytes: number, bodyless: boolean): void {
    this.#useful += headerBytes + (bodyless ? 0 : WINDOW)
  }

  /** Bytes of its body were read. */
  received(bytes: number): void {
    this.#useful += bytes * OF_BODY
  }

  /** Bytes of an answer were written. */
  sent(bytes: number): void {
    this.#useful += bytes * OF_ANSWER
  }

  /** Bytes beyond those of use since the last call, of `received` in all. */
  overhead(received: number): number {
    const before = this.#overhead
    this.#overhead = Math.max(before, received - this.#useful)
    return this.#overhead - before
  }
}
