/** The order of the notifications of one observation (RFC 8613 section 7.4.1). */
export class NotificationOrder {
  /** The Notification Number: the largest Partial IV so far. */
  #newest = -1
  #accepted = 0

  /** True if a notification was accepted. */
  get begun(): boolean {
    return this.#accepted > 0
  }

  /**
   * The Observe value of a verified notification, or undefined for one that is not newer than those before. One without a Partial IV is the oldest,
   * and there is at most one. Values count up, so that they have the order of RFC 7641 whatever the Partial IVs are.
   */
  place(partialIv: number | undefined): Uint8Array | undefined {
    if (partialIv === undefined ? this.begun : partialIv <= this.#newest) return undefined
    this.#newest = partialIv ?? this.#newest
    const value = ++this.#accepted % 0x1000000
    return Uint8Array.of(value >> 16, (value >> 8) & 0xff, value & 0xff)
  }
}
