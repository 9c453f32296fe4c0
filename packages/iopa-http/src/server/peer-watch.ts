/** Looks now and then whether a peer, or the body of an answer, gets on; requests pay nothing for it. */
export class PeerWatch {
  #waiting: 'body' | 'drain' | null = null
  /** When the waiting was first seen, or progress last; -1 before that. */
  #since = -1
  /** A number that changes when the peer gets on. */
  #progress = 0
  /** Since when a header, or the rest of a body, is awaited; -1 for neither. */
  #owingSince: number
  /** Since when the peer could have closed its side; -1 while something has still to leave. */
  #lingersSince = -1

  /** Since when the next chunk of an answer's body is awaited; -1 before that was seen. */
  #pullingSince = -1
  #pulling = false
  #received = 0

  /** A connection begins with a header that is awaited since `now`. */
  constructor(now: number) {
    this.#owingSince = now
  }

  /** A request has come. */
  begin(): void {
    this.#owingSince = -1
  }

  /** True while the peer is awaited for nothing. */
  get idle(): boolean {
    return this.#waiting === null
  }

  /** Says what the peer is awaited for: to send more of the body, or to read. */
  wait(what: 'body' | 'drain'): void {
    this.#waiting = what
    this.#since = -1
  }

  /** Says that it has done so. */
  waited(what: 'body' | 'drain'): void {
    if (this.#waiting === what) this.#waiting = null
  }

  /** True when what was awaited has not come for `limit` ms, and no byte of it: `received` and `buffered` tell. */
  stalled(now: number, limit: number, received: number, buffered: number): boolean {
    if (this.#waiting === null) return false
    const progress = this.#waiting === 'body' ? received : buffered
    if (this.#since < 0 || progress !== this.#progress) {
      this.#since = now
      this.#progress = progress
    }
    return now - this.#since >= limit
  }

  /** The next chunk of an answer's body is awaited. */
  pull(): void {
    this.#pulling = true
    this.#pullingSince = -1
  }

  /** It has come. */
  pulled(): void {
    this.#pulling = false
  }

  /** True when an answer's body is silent for `limit` ms, and the peer, of whose body it may be made, is so too. */
  silent(now: number, limit: number, received: number): boolean {
    if (!this.#pulling) return false
    if (this.#pullingSince < 0 || received !== this.#received) {
      this.#pullingSince = now
      this.#received = received
    }
    return now - this.#pullingSince >= limit
  }

  /** True when the peer owes the rest of a header or of a body for `limit` ms. To be asked only while no request is in work. */
  late(now: number, limit: number, owing: boolean): boolean {
    if (!owing) this.#owingSince = -1
    else if (this.#owingSince < 0) this.#owingSince = now
    return owing && now - this.#owingSince >= limit
  }

  /** True when everything has left for `limit` ms, and the peer has still not closed its side. To be asked only once this side has ended. */
  lingered(now: number, limit: number, buffered: number): boolean {
    if (buffered > 0) return false
    if (this.#lingersSince < 0) this.#lingersSince = now
    return now - this.#lingersSince >= limit
  }
}
