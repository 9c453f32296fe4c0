// Milliseconds. Closing a connection at once on which the peer still sends resets it, and the peer could lose the answer
// that says why (RFC 9112 section 9.6).
/** How long a connection that this side has ended is kept for a peer that sends nothing. */
export const LINGER = 1000
// The same for a peer that has not sent all of its body, and has sent something since.
const LONGEST_GAP = 5000
const LONGEST = 30_000
// Connections of a listener that are kept for longer than LINGER at the same time.
const MOST = 256

/** The connections of a listener that this side has ended and whose peers still send. */
export class Lingering {
  #long = 0

  /** Begins for one connection, whose peer owes the rest of a body or does not. One that is `late` has had its time. */
  begin(owing: boolean, late = false): Linger {
    return new Linger(this, owing && !late ? LONGEST_GAP : LINGER, late ? LINGER : LONGEST)
  }

  /** False when there is no room for another connection that is kept for long. */
  enter(): boolean {
    if (this.#long >= MOST) return false
    this.#long++
    return true
  }

  leave(): void {
    this.#long--
  }
}

/** How long one such connection takes in what its peer sends: while bytes arrive, up to a limit. */
export class Linger {
  readonly #all: Lingering
  readonly #gap: number
  readonly #most: number
  #entered = false
  /** When it was first looked at; -1 before that. */
  #from = -1
  /** When bytes were last seen to have come. */
  #since = -1
  #received = 0

  constructor(all: Lingering, gap: number, most: number) {
    this.#all = all
    this.#gap = gap
    this.#most = most
  }

  /** True when the connection is to be closed; never while something has still to leave. */
  over(now: number, received: number, buffered: number): boolean {
    if (buffered > 0) return false
    if (this.#from < 0) this.#from = now
    if (this.#since < 0 || received !== this.#received) this.#since = now
    this.#received = received
    if (now - this.#from < LINGER) return false
    if (now - this.#since >= this.#gap || now - this.#from >= this.#most) return true
    this.#entered ||= this.#all.enter()
    return !this.#entered
  }

  /** The connection is gone. */
  end(): void {
    if (this.#entered) this.#all.leave()
    this.#entered = false
  }
}
