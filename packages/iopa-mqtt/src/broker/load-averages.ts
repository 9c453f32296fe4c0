/** Minutes over which averages are made. */
const MINUTES = [1, 5, 15] as const

/** How much of something there is a minute, as exponentially weighted averages over 1, 5 and 15 minutes. */
export class LoadAverages {
  readonly #averages = MINUTES.map(() => 0)
  #last = 0

  /** Takes the count as it is now, `seconds` after the one before, and gives the averages by name, such as `5min`. */
  update(count: number, seconds: number): (readonly [string, number])[] {
    const rate = ((count - this.#last) * 60) / seconds
    this.#last = count
    return MINUTES.map((minutes, index) => {
      const before = this.#averages[index] as number
      const average = rate + Math.exp(-seconds / (60 * minutes)) * (before - rate)
      this.#averages[index] = average
      return [`${minutes}min`, average] as const
    })
  }
}
