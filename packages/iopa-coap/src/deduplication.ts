// A record in the ring: position of the record before it in its bucket (4 bytes), when in seconds (4), fingerprint (4),
// message id (2), length of the answer (2), the answer.
const HEADER = 16
const FIRST_SIZE = 512
/** Bytes of the ring for each bucket of the index. */
const BYTES_PER_BUCKET = 64
const NOWHERE = 0
/** Positions are counted on for ever; before they leave 31 bits the table starts anew. */
const LAST_POSITION = 0x7fff0000

/** Marks a message whose handler runs. */
export const IN_PROGRESS = -1
/** Says that an id has not been seen, or so long ago that it may be used again. */
export const UNSEEN = -2

/** The bytes that all tables of one message layer may take together. */
export interface DeduplicationBudget {
  /** Most bytes of one peer's answers; the oldest go first. */
  readonly peerBytes: number
  /** Most bytes of all peers together; beyond it a table keeps the size that it has, at least the first. */
  readonly bytes: number
  used: number
}

/**
 * What one peer has sent and what it was answered, so that a message that comes again is answered the same and handled once (RFC 7252 section 4.5).
 * The records lie in one ring of bytes that begins small and doubles up to its limit; then the oldest are overwritten. They are found through
 * buckets that hold the position of their newest record, which holds that of the one before: a position that the ring has passed ends the chain.
 * Nothing is allocated for a message, and nothing has to be deleted.
 */
export class Deduplication {
  readonly #budget: DeduplicationBudget
  #ring: Uint8Array | undefined
  #view: DataView = NO_VIEW
  #buckets: Int32Array = NO_BUCKETS
  /** Where the next record goes; positions count on while the ring turns, and begin after 0, which is nowhere. */
  #head = 0
  /** True when records have been overwritten, so that the ring cannot be copied into a larger one any more. */
  #lapped = false
  /** The message whose handler was called and has not returned. */
  #current = -1
  /** Messages whose handlers have returned without an answer. */
  #pending: Set<number> | undefined

  constructor(budget: DeduplicationBudget) {
    this.#budget = budget
  }

  /** Bytes that the ring takes. */
  get bytes(): number {
    return this.#ring?.length ?? 0
  }

  /**
   * Where the answer to a message lies, IN_PROGRESS, or UNSEEN.
   * An id with another fingerprint is another message: a peer that restarts begins its ids anew, and must not get answers to its former life.
   */
  find(id: number, fingerprint: number, now: number, lifetime: number): number {
    if (id === this.#current || this.#pending?.has(id)) return IN_PROGRESS
    const size = this.bytes
    if (size === 0) return UNSEEN
    const view = this.#view
    const oldest = this.#head - size
    for (let position = this.#buckets[id & (this.#buckets.length - 1)]!; position > NOWHERE && position >= oldest; ) {
      const at = position & (size - 1)
      if (view.getUint16(at + 12) === id) return view.getInt32(at + 8) === fingerprint && now - view.getUint32(at + 4) < lifetime ? at : UNSEEN
      position = view.getInt32(at)
    }
    return UNSEEN
  }

  /** Marks a message before its handler runs. */
  begin(id: number): void {
    this.#current = id
  }

  /** The handler has returned; `pending` says that its answer is still to come. */
  leave(id: number, pending: boolean): void {
    this.#current = -1
    if (pending) (this.#pending ??= new Set()).add(id)
  }

  /** Forgets a message that was begun and will have no answer to repeat. */
  forget(id: number): void {
    if (this.#current === id) this.#current = -1
    this.#pending?.delete(id)
  }

  /**
   * Keeps an answer; none for a message that is only to be ignored when it comes again.
   * An answer that does not fit is not kept, but the message is still not handled twice.
   */
  record(id: number, fingerprint: number, now: number, answer: Uint8Array | undefined): void {
    this.forget(id)
    let length = answer === undefined ? 0 : answer.length
    let at = this.#reserve(aligned(HEADER + length))
    if (at < 0) {
      length = 0
      at = this.#reserve(HEADER)
    }
    const view = this.#view
    const bucket = id & (this.#buckets.length - 1)
    view.setInt32(at, this.#buckets[bucket]!)
    view.setUint32(at + 4, now)
    view.setInt32(at + 8, fingerprint)
    view.setUint16(at + 12, id)
    view.setUint16(at + 14, length)
    this.#buckets[bucket] = this.#head
    this.#head += aligned(HEADER + length)
    if (length > 64) this.#ring!.set(answer!, at + HEADER)
    else for (let i = 0, to = at + HEADER, ring = this.#ring!; i < length; i++) ring[to++] = answer![i]!
  }

  /** A copy of the answer that find has found, or undefined when there is nothing to repeat. */
  answer(at: number): Uint8Array | undefined {
    const length = this.#view.getUint16(at + 14)
    return length === 0 ? undefined : this.#ring!.slice(at + HEADER, at + HEADER + length)
  }

  /** Gives the bytes back. */
  clear(): void {
    this.#budget.used -= this.bytes
    this.#ring = undefined
    this.#view = NO_VIEW
    this.#buckets = NO_BUCKETS
    this.#pending = undefined
    this.#head = 0
    this.#lapped = false
  }

  /** Makes room for a record in one piece and returns where in the ring, or -1 when it is larger than that may be. */
  #reserve(size: number): number {
    if (size > this.#budget.peerBytes) return -1
    if (this.#ring === undefined || this.#head > LAST_POSITION) this.#allocate(this.bytes || FIRST_SIZE)
    for (;;) {
      const length = this.bytes
      const at = this.#head & (length - 1)
      const skipped = at + size > length ? length - at : 0
      // Position 0 is nowhere, so the first turn of the ring begins at its length.
      const laps = this.#head + skipped + size > 2 * length
      if (laps && !this.#lapped && this.#grow()) continue
      if (size > length) return -1
      if (laps) this.#lapped = true
      this.#head += skipped
      return skipped > 0 ? 0 : at
    }
  }

  #allocate(length: number): void {
    this.#budget.used += length - this.bytes
    this.#ring = new Uint8Array(length)
    this.#view = new DataView(this.#ring.buffer)
    this.#buckets = new Int32Array(length / BYTES_PER_BUCKET)
    this.#head = length
    this.#lapped = false
  }

  #grow(): boolean {
    const former = this.#ring!
    const formerView = this.#view
    const from = former.length
    const to = 2 * from
    if (to > this.#budget.peerBytes || this.#budget.used + to - from > this.#budget.bytes) return false
    const end = this.#head - from
    this.#allocate(to)
    // In the first turn the records lie one behind the other, from the beginning.
    this.#ring!.set(former.subarray(0, end))
    for (let at = 0; at < end; ) {
      const bucket = formerView.getUint16(at + 12) & (this.#buckets.length - 1)
      this.#view.setInt32(at, this.#buckets[bucket]!)
      this.#buckets[bucket] = to + at
      at += aligned(HEADER + formerView.getUint16(at + 14))
    }
    this.#head = to + end
    return true
  }
}

/** Records begin at multiples of four. */
const aligned = (size: number): number => (size + 3) & ~3

const NO_VIEW = new DataView(new ArrayBuffer(0))
const NO_BUCKETS = new Int32Array(1)
