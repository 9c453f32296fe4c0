/** A callback that waits for its time. */
export interface Timer {
  /** When it is due, in milliseconds of its clock. */
  readonly due: number
  /** Timers due at the same time run in the order in which they were set. */
  readonly order: number
  /** Undefined once it has run or was cleared. */
  callback: (() => void) | undefined
}

const isBefore = (a: Timer, b: Timer): boolean => a.due < b.due || (a.due === b.due && a.order < b.order)

/** Timers by due time: a binary heap, from which cleared ones fall when they come up. */
export class TimerQueue {
  readonly #heap: Timer[] = []
  #waiting = 0
  #order = 0

  /** Timers that will run. */
  get size(): number {
    return this.#waiting
  }

  add(due: number, callback: () => void): Timer {
    const timer: Timer = { due, order: this.#order++, callback }
    this.#waiting++
    const heap = this.#heap
    let at = heap.push(timer) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (isBefore(heap[parent]!, timer)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = timer
    return timer
  }

  clear(timer: Timer): void {
    if (!timer.callback) return
    timer.callback = undefined
    this.#waiting--
    this.#dropCleared()
  }

  /** When the next timer is due; undefined when there is none. */
  get due(): number | undefined {
    return this.#heap[0]?.due
  }

  /** Takes the next callback, if it is due by `time`. */
  take(time: number): (() => void) | undefined {
    const timer = this.#heap[0]
    if (!timer || timer.due > time) return undefined
    const callback = timer.callback
    timer.callback = undefined
    this.#waiting--
    this.#dropCleared()
    return callback
  }

  #dropCleared(): void {
    while (this.#heap.length > 0 && !this.#heap[0]!.callback) this.#pop()
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let at = 0
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (isBefore(last, heap[child]!)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}
