import type { Socket } from './socket.ts'

/** Looks now and then whether a peer gets on with what it has begun; requests pay nothing for it. */
export class PeerWatch {
  readonly #socket: Socket
  #waiting: 'body' | 'drain' | null = null
  /** When the waiting was first seen, or progress last; -1 before that. */
  #since = -1
  /** When bytes of an unfinished header were first seen; -1 for none. */
  #headerSince: number
  #resting = false
  #bytesRead = 0

  /** A connection begins with a header that is awaited since `now`. */
  constructor(socket: Socket, now: number) {
    this.#socket = socket
    this.#headerSince = now
  }

  /** A request has come. */
  begin(): void {
    this.#headerSince = -1
    this.#resting = false
  }

  /** Says what the peer is awaited for: to send more of the body, or to read; null for nothing. */
  wait(what: 'body' | 'drain' | null): void {
    this.#waiting = what
    this.#since = -1
  }

  /** True when what was awaited has not come for `limit` ms. */
  stalled(now: number, limit: number): boolean {
    if (this.#waiting === null) return false
    if (this.#since < 0 || (this.#waiting === 'body' && this.#socket.bytesRead !== this.#bytesRead)) {
      this.#since = now
      this.#bytesRead = this.#socket.bytesRead
    }
    return now - this.#since >= limit
  }

  /**
   * True when a header was begun and is not complete after `limit` ms, or the rest of a body that the peer owes.
   * To be asked only while no request is in work.
   */
  late(now: number, limit: number, owing: boolean): boolean {
    if (this.#headerSince >= 0) return now - this.#headerSince >= limit
    if (owing) this.#headerSince = now
    else if (!this.#resting) this.#bytesRead = this.#socket.bytesRead
    else if (this.#bytesRead !== this.#socket.bytesRead) this.#headerSince = now
    this.#resting = true
    return false
  }
}
