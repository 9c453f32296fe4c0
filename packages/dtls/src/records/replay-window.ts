const HALF = 32

/** The last 64 record numbers: which of them have come (RFC 6347 section 4.1.2.6). */
export class ReplayWindow {
  #highest = -1
  /** Bit n of the two halves stands for the number `highest - n`. */
  #recent = 0
  #older = 0

  /** The highest number so far; -1 before the first. */
  get highest(): number {
    return this.#highest
  }

  /** True for a number that has not come yet, and that is not too old to know. */
  isNew(sequence: number): boolean {
    const age = this.#highest - sequence
    if (age < 0) return true
    if (age >= 2 * HALF) return false
    return age < HALF ? ((this.#recent >>> age) & 1) === 0 : ((this.#older >>> (age - HALF)) & 1) === 0
  }

  /** Marks a number whose record was authentic. */
  accept(sequence: number): void {
    const age = this.#highest - sequence
    if (age >= HALF) this.#older |= 1 << (age - HALF)
    else if (age >= 0) this.#recent |= 1 << age
    else this.#advance(-age, sequence)
  }

  #advance(by: number, sequence: number): void {
    if (by < HALF) {
      this.#older = (this.#older << by) | (this.#recent >>> (HALF - by))
      this.#recent = (this.#recent << by) | 1
    } else {
      this.#older = by < 2 * HALF ? this.#recent << (by - HALF) : 0
      this.#recent = 1
    }
    this.#highest = sequence
  }
}
