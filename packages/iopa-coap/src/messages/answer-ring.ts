// A record in the ring begins with four words of 32 bits: the position of the record before it in its bucket, when (in seconds), the
// fingerprint, and message id and length of the answer in one; the answer follows.
const HEADER = 16
/** Bytes of a ring with its first record: enough for the few answers of most peers. */
const FIRST_SIZE = 128
/** Bytes that every ring may have, however much all take. */
const GRANTED = 512
/** Bytes of the ring for each bucket of the index. */
const BYTES_PER_BUCKET = 64
const NOWHERE = 0
/** Positions are counted on for ever; before they leave 31 bits the table starts again. */
const LAST_POSITION = 0x7fff0000

/** Bytes of an answer that is written as words. */
const LONGEST_SHORT = 64

/** Marks a message whose handler runs. */
export const IN_PROGRESS = -1
/** Says that an id has not been seen, or so long ago that it may be used again. */
export const UNSEEN = -2

/** The bytes that all rings of one message layer may take together. */
export interface AnswerRingBudget {
  /** Most bytes of one peer; the oldest records go first. */
  readonly peerBytes: number
  /** Bytes beyond which a peer takes only what would leave half of all unused; as `peerBytes` unless given. */
  readonly share?: number
  /** Most bytes of all peers together; beyond it a table keeps the size that it has, at least 512 bytes. */
  readonly bytes: number
  used: number
}

/**
 * The ids of what one peer has sent, and the answers to it, so that a duplicate is answered the same and handled once (RFC 7252 section 4.5).
 * The records lie in one ring of bytes that begins small and doubles up to its limit; then the oldest are overwritten. They are found through
 * buckets that hold the position of their newest record, which holds that of the one before: a position that the ring has passed ends the chain.
 * Nothing is allocated for a message, and nothing has to be deleted.
 */
export class AnswerRing {
  readonly #budget: AnswerRingBudget
  /** The ring and behind it the buckets. */
  #words: Int32Array = NO_WORDS
  /** The same as bytes, which long answers are written and read by; most peers get none. */
  #view: Uint8Array | undefined
  /** Bytes of the ring, a power of two. */
  #size = 0
  /** Where the next record goes; positions count on while the ring turns, and begin after 0, which is nowhere. */
  #head = 0
  /** True when records have been overwritten, so that the ring cannot be copied into a larger one any more. */
  #lapped = false
  /** The message whose handler was called and has not returned. */
  #current = -1
  /** Messages whose handlers have returned without an answer. */
  #pending: Set<number> | undefined

  constructor(budget: AnswerRingBudget) {
    this.#budget = budget
  }

  /** Bytes that the ring takes. */
  get bytes(): number {
    return this.#size
  }

  /**
   * Where the answer to a message lies, IN_PROGRESS, or UNSEEN.
   * An id with another fingerprint is another message: a peer that restarts begins its ids again, and must not get answers to requests from before.
   */
  find(id: number, fingerprint: number, now: number, lifetime: number): number {
    if (id === this.#current || this.#pending?.has(id)) return IN_PROGRESS
    const size = this.#size
    if (size === 0) return UNSEEN
    const words = this.#words
    const oldest = this.#head - size
    for (let position = words[this.#bucketOf(id)]!; position > NOWHERE && position >= oldest; ) {
      const at = position & (size - 1)
      const word = at >> 2
      if (words[word + 3]! >>> 16 === id) return words[word + 2] === fingerprint && now - words[word + 1]! < lifetime ? at : UNSEEN
      position = words[word]!
    }
    return UNSEEN
  }

  /** Marks a message before its handler runs. */
  begin(id: number): void {
    this.#current = id
  }

  /** The handler has returned, and the answer is still to come. */
  suspend(id: number): void {
    if (this.#current === id) this.#current = -1
    ;(this.#pending ??= new Set()).add(id)
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
    const words = this.#words
    const bucket = this.#bucketOf(id)
    const word = at >> 2
    words[word] = words[bucket]!
    words[word + 1] = now
    words[word + 2] = fingerprint
    words[word + 3] = (id << 16) | length
    words[bucket] = this.#head
    this.#head += aligned(HEADER + length)
    if (length > LONGEST_SHORT) this.#bytes.set(answer!, at + HEADER)
    else if (length > 0) pack(answer!, length, words, (at + HEADER) >> 2)
  }

  /** A copy of the answer that find has found, or undefined when there is nothing to repeat. */
  answer(at: number): Uint8Array | undefined {
    const length = this.#words[(at >> 2) + 3]! & 0xffff
    if (length > LONGEST_SHORT) return this.#bytes.slice(at + HEADER, at + HEADER + length)
    return length === 0 ? undefined : unpacked(this.#words, (at + HEADER) >> 2, length)
  }

  /** Gives the bytes back. */
  clear(): void {
    this.#budget.used -= this.#size
    this.#words = NO_WORDS
    this.#view = undefined
    this.#size = 0
    this.#pending = undefined
    this.#head = 0
    this.#lapped = false
  }

  /** Makes room for a record in one piece and returns where in the ring, or -1 when it is larger than that may be. */
  #reserve(size: number): number {
    if (size > this.#budget.peerBytes) return -1
    if (this.#size === 0 || this.#head > LAST_POSITION) this.#allocate(this.#size || FIRST_SIZE)
    for (;;) {
      const length = this.#size
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

  /** The word that holds the newest position of an id's bucket. */
  #bucketOf(id: number): number {
    const size = this.#size
    return (size >> 2) + (id & (size / BYTES_PER_BUCKET - 1))
  }

  get #bytes(): Uint8Array {
    return (this.#view ??= new Uint8Array(this.#words.buffer))
  }

  #allocate(size: number): void {
    this.#budget.used += size - this.#size
    this.#words = new Int32Array((size >> 2) + size / BYTES_PER_BUCKET)
    this.#view = undefined
    this.#size = size
    this.#head = size
    this.#lapped = false
  }

  #grow(): boolean {
    const from = this.#size
    const to = 2 * from
    const { peerBytes, share = peerBytes, bytes, used } = this.#budget
    if (to > peerBytes || (to > GRANTED && used + to - from > (to > share ? bytes / 2 : bytes))) return false
    const former = this.#words
    const end = this.#head - from
    this.#allocate(to)
    // In the first turn the records lie one behind the other, from the beginning.
    const words = this.#words
    words.set(former.subarray(0, end >> 2))
    for (let at = 0; at < end; ) {
      const word = at >> 2
      const bucket = this.#bucketOf(words[word + 3]! >>> 16)
      words[word] = words[bucket]!
      words[bucket] = to + at
      at += aligned(HEADER + (words[word + 3]! & 0xffff))
    }
    this.#head = to + end
    return true
  }
}

/** Writes a short answer as words. */
const pack = (answer: Uint8Array, length: number, words: Int32Array, word: number): void => {
  let from = 0
  for (; from + 3 < length; from += 4)
    words[word++] = answer[from]! | (answer[from + 1]! << 8) | (answer[from + 2]! << 16) | (answer[from + 3]! << 24)
  for (let rest = 0; from < length; from++, rest += 8) words[word] = (rest === 0 ? 0 : words[word]!) | (answer[from]! << rest)
}

const unpacked = (words: Int32Array, word: number, length: number): Uint8Array => {
  const answer = new Uint8Array(length)
  for (let at = 0; at < length; at++) answer[at] = words[word + (at >> 2)]! >> (8 * (at & 3))
  return answer
}

/** Records begin at multiples of four. */
const aligned = (size: number): number => (size + 3) & ~3

const NO_WORDS = new Int32Array(0)
