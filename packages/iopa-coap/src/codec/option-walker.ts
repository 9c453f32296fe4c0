const NOTHING = new Uint8Array(0)

/**
 * Steps through encoded options (RFC 7252 section 3.1); all code that reads options reads them with this.
 * It checks what it reads, so it walks bytes from the network and bytes that were walked before.
 */
export class OptionWalker {
  /** Number of the option. */
  number = 0
  /** Offset of its header. */
  header = 0
  /** Offsets of its value. */
  start = 0
  end = 0
  /** After the last option: where the options end, at the payload marker or at the limit; -1 where they are malformed. */
  optionsEnd = 0
  #bytes: Uint8Array = NOTHING
  #limit = 0

  /** Starts before the first option. */
  begin(bytes: Uint8Array, from: number, limit: number): this {
    this.#bytes = bytes
    this.#limit = limit
    this.number = 0
    this.end = from
    return this
  }

  /** Goes to the next option; false where there is none, or a malformed one: a reserved nibble, a value past the limit, a marker without payload, a number over 65535. */
  next(): boolean {
    const bytes = this.#bytes
    const limit = this.#limit
    let at = this.end
    if (at >= limit) {
      this.optionsEnd = at
      return false
    }
    this.header = at
    const head = bytes[at++]!
    let delta = head >> 4
    let length = head & 15
    if (delta >= 13) {
      if (delta === 13) delta = at < limit ? bytes[at++]! + 13 : Number.POSITIVE_INFINITY
      else if (delta === 14) {
        delta = at + 1 < limit ? ((bytes[at]! << 8) | bytes[at + 1]!) + 269 : Number.POSITIVE_INFINITY
        at += 2
      } else {
        this.optionsEnd = length === 15 && at < limit ? at - 1 : -1
        return false
      }
    }
    if (length >= 13) {
      if (length === 13) length = at < limit ? bytes[at++]! + 13 : Number.POSITIVE_INFINITY
      else if (length === 14) {
        length = at + 1 < limit ? ((bytes[at]! << 8) | bytes[at + 1]!) + 269 : Number.POSITIVE_INFINITY
        at += 2
      } else length = Number.POSITIVE_INFINITY
    }
    const number = this.number + delta
    if (at + length > limit || number > 65_535) {
      this.optionsEnd = -1
      return false
    }
    this.number = number
    this.start = at
    this.end = at + length
    return true
  }
}

/** For walks that run to their end before another one can begin. */
export const SHARED_WALKER: OptionWalker = new OptionWalker()

/** Offset where the options that start at `start` end: at the payload marker or at the end of the bytes; -1 where they are malformed. */
export const scanOptions = (bytes: Uint8Array, start: number): number => {
  const walker = SHARED_WALKER.begin(bytes, start, bytes.length)
  while (walker.next());
  return walker.optionsEnd
}
