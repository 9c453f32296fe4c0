type Later = (callback: () => void) => unknown

/** Runs a callback in a later turn of the event loop, after what has arrived meanwhile. */
const later: Later = callback => {
  const { setImmediate } = globalThis as { setImmediate?: Later }
  return setImmediate === undefined ? setTimeout(callback, 0) : setImmediate(callback)
}

/** Counts the turns of the event loop that a caller has asked for. */
export class Turns {
  /** Grows after each turn that was counted. */
  number = 0
  readonly #waiting: (() => void)[] = []
  #asked = false

  /** Counts this turn: the number grows when it is over. */
  count(): void {
    this.#ask()
  }

  /** Runs `callback` in the next turn. */
  next(callback: () => void): void {
    this.#waiting.push(callback)
    this.#ask()
  }

  #ask(): void {
    if (this.#asked) return
    this.#asked = true
    later(() => {
      this.#asked = false
      this.number++
      for (const callback of this.#waiting.splice(0)) callback()
    })
  }
}
