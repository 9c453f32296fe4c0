// A record in the ring: when (4 bytes, seconds), fingerprint (4), message id (2), length of the answer (2), the answer.
const HEADER = 12
const PADDING = 0xffff
const FIRST_SIZE = 512

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
 * The answers lie in one ring of bytes that begins small and doubles up to its limit; then the oldest are overwritten.
 */
export class Deduplication {
  readonly #budget: DeduplicationBudget
  readonly #index = new Map<number, number>()
  #ring: Uint8Array | undefined
  #view: DataView | undefined
  /** Where the next record goes. */
  #head = 0
  /** The oldest record. */
  #tail = 0
  #count = 0

  constructor(budget: DeduplicationBudget) {
    this.#budget = budget
  }

  /** Ids that are remembered, those in progress included. */
  get size(): number {
    return this.#index.size
  }

  /**
   * Where the answer to a message lies, IN_PROGRESS, or UNSEEN.
   * An id with another fingerprint is another message: a peer that restarts begins its ids anew, and must not get answers to its former life.
   */
  find(id: number, fingerprint: number, now: number, lifetime: number): number {
    const at = this.#index.get(id)
    if (at === undefined) return UNSEEN
    if (at === IN_PROGRESS) return IN_PROGRESS
    const view = this.#view!
    return view.getInt32(at + 4) === fingerprint && now - view.getUint32(at) < lifetime ? at : UNSEEN
  }

  /** Marks a message before its handler runs. */
  begin(id: number): void {
    this.#index.set(id, IN_PROGRESS)
  }

  /** Forgets a message that was begun and will have no answer to repeat. */
  forget(id: number): void {
    if (this.#index.get(id) === IN_PROGRESS) this.#index.delete(id)
  }

  /**
   * Keeps an answer; none for a message that is only to be ignored when it comes again.
   * An answer that does not fit is not kept, but the message is still not handled twice.
   */
  record(id: number, fingerprint: number, now: number, answer: Uint8Array | undefined): void {
    const length = answer === undefined ? 0 : answer.length
    const at = this.#reserve(HEADER + length)
    if (at < 0) {
      this.record(id, fingerprint, now, undefined)
      return
    }
    const view = this.#view!
    view.setUint32(at, now)
    view.setInt32(at + 4, fingerprint)
    view.setUint16(at + 8, id)
    view.setUint16(at + 10, length)
    if (answer !== undefined) {
      const ring = this.#ring!
      if (length > 64) ring.set(answer, at + HEADER)
      else for (let i = 0, to = at + HEADER; i < length; i++) ring[to++] = answer[i]!
    }
    this.#index.set(id, at)
  }

  /** A copy of the answer that find has found, or undefined when there is nothing to repeat. */
  answer(at: number): Uint8Array | undefined {
    const length = this.#view!.getUint16(at + 10)
    return length === 0 ? undefined : this.#ring!.slice(at + HEADER, at + HEADER + length)
  }

  /** Gives the bytes back. */
  clear(): void {
    this.#budget.used -= this.#ring?.length ?? 0
    this.#ring = this.#view = undefined
    this.#index.clear()
    this.#head = this.#tail = this.#count = 0
  }

  /** Makes room for a record in one piece and returns where, or -1 when it is larger than the ring may be. */
  #reserve(size: number): number {
    if (this.#ring === undefined) this.#grow(size)
    for (;;) {
      const ring = this.#ring!
      const end = ring.length
      if (this.#count === 0) this.#head = this.#tail = 0
      // Free space is what lies from the head up to the tail, round the end.
      if (this.#head > this.#tail || this.#count === 0) {
        if (size <= end - this.#head) return this.#take(size)
        if (size < this.#tail) {
          if (end - this.#head >= HEADER) this.#view!.setUint16(this.#head + 10, PADDING)
          this.#head = 0
          return this.#take(size)
        }
      } else if (size <= this.#tail - this.#head) return this.#take(size)
      if (this.#grow(size)) continue
      if (size > end) return -1
      this.#evict()
    }
  }

  #take(size: number): number {
    const at = this.#head
    this.#head = at + size
    this.#count++
    return at
  }

  /** Forgets the oldest record. */
  #evict(): void {
    const view = this.#view!
    const end = this.#ring!.length
    if (this.#tail + HEADER > end || view.getUint16(this.#tail + 10) === PADDING) this.#tail = 0
    const id = view.getUint16(this.#tail + 8)
    if (this.#index.get(id) === this.#tail) this.#index.delete(id)
    this.#tail += HEADER + view.getUint16(this.#tail + 10)
    this.#count--
    if (this.#tail + HEADER > end || (this.#count > 0 && view.getUint16(this.#tail + 10) === PADDING)) this.#tail = 0
  }

  #grow(size: number): boolean {
    const former = this.#ring
    const from = former?.length ?? 0
    let to = Math.max(FIRST_SIZE, from * 2)
    while (to < from + size) to *= 2
    if (from === 0) to = FIRST_SIZE
    else if (to > this.#budget.peerBytes || this.#budget.used + to - from > this.#budget.bytes) return false
    const index = [...this.#index].filter(([, at]) => at !== IN_PROGRESS)
    const formerView = this.#view
    this.#budget.used += to - from
    this.#ring = new Uint8Array(to)
    this.#view = new DataView(this.#ring.buffer)
    const start = this.#tail
    this.#head = this.#tail = this.#count = 0
    if (former === undefined || formerView === undefined) return true
    // From the oldest to the newest; records that a newer one of the same id has replaced are left behind.
    const order = (at: number) => (at >= start ? at - start : at - start + from)
    for (const [id, at] of index.sort((a, b) => order(a[1]) - order(b[1]))) {
      const length = HEADER + formerView.getUint16(at + 10)
      this.#ring.set(former.subarray(at, at + length), this.#head)
      this.#index.set(id, this.#head)
      this.#head += length
      this.#count++
    }
    return true
  }
}
