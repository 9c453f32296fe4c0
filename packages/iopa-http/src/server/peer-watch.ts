/** One thing that is awaited, and since when it makes no progress; a turn of the watch looks at it now and then. */
class Wait {
  active = false
  /** When the waiting was first seen, or progress last; -1 before that. */
  #since = -1
  /** A number that changes with progress. */
  #progress = 0

  begin(): void {
    this.active = true
    this.#since = -1
  }

  end(): void {
    this.active = false
  }

  /** True when it is awaited and `progress` has not changed for `limit` ms. */
  stalled(now: number, limit: number, progress: number): boolean {
    if (!this.active) return false
    if (this.#since < 0 || progress !== this.#progress) {
      this.#since = now
      this.#progress = progress
    }
    return now - this.#since >= limit
  }
}

/** Looks now and then whether a peer, or the body of an answer, gets on; requests pay nothing for it. */
export class PeerWatch {
  // A peer may owe the rest of its body and read nothing at the same time: each has its own time.
  readonly #body = new Wait()
  readonly #drain = new Wait()
  /** The next chunk of an answer's body. */
  readonly #chunk = new Wait()
  /** Since when a header, or the rest of a body, is awaited; -1 for neither. */
  #owingSince: number
  /** A number that changes when more of the rest has come. */
  #owed = 0

  /** A connection begins with a header that is awaited since `now`. */
  constructor(now: number) {
    this.#owingSince = now
  }

  /** Says what the peer is awaited for: to send more of the body, or to read. */
  wait(what: 'body' | 'drain'): void {
    this.#waitOf(what).begin()
  }

  /** Says that it has done so. */
  waited(what: 'body' | 'drain'): void {
    this.#waitOf(what).end()
  }

  /** Begins to wait until the peer reads, unless that is awaited already. */
  ensureDrain(): void {
    if (!this.#drain.active) this.#drain.begin()
  }

  /** True when something that was awaited has not come for `limit` ms, and no byte of it: `received` and `buffered` tell. */
  stalled(now: number, limit: number, received: number, buffered: number): boolean {
    const silent = this.#body.stalled(now, limit, received)
    return this.#drain.stalled(now, limit, buffered) || silent
  }

  /** The next chunk of an answer's body is awaited. */
  pull(): void {
    this.#chunk.begin()
  }

  /** It has come. */
  pulled(): void {
    this.#chunk.end()
  }

  /** True when an answer's body is silent for `limit` ms, and the peer, of whose body it may be made, is so too. */
  silent(now: number, limit: number, received: number): boolean {
    return this.#chunk.stalled(now, limit, received)
  }

  /**
   * True when the peer owes the rest of a header or of a body for `limit` ms, in which `progress` has not changed. Ask only
   * while no request is in work.
   */
  late(now: number, limit: number, owing: boolean, progress: number): boolean {
    if (!owing) this.#owingSince = -1
    else if (this.#owingSince < 0 || progress !== this.#owed) this.#owingSince = now
    this.#owed = progress
    return owing && now - this.#owingSince >= limit
  }

  #waitOf(what: 'body' | 'drain'): Wait {
    return what === 'body' ? this.#body : this.#drain
  }
}
