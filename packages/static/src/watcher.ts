/** Starts a timer and returns what stops it. */
export type Schedule = (callback: () => void, delay: number) => () => void

interface Watched {
  state: string
  /** True once there has been anything at the path. */
  seen: boolean
  observers: number
}

/** Looks taken at once. */
const CONCURRENCY = 16

/**
 * Checks paths in rounds while they have observers, and reports changes.
 * Looking works on every file system and source; a busy one is never asked twice at a time, for a round begins when the last one has ended.
 */
export class Watcher {
  readonly #watched = new Map<string, Watched>()
  readonly #look: (path: string) => Promise<string>
  readonly #changed: (path: string) => void
  readonly #schedule: Schedule
  readonly #interval: number
  #stop: (() => void) | undefined
  #looking = false

  /** `look` returns the state of a path as text, empty for a missing one; `interval` is in milliseconds. */
  constructor(look: (path: string) => Promise<string>, changed: (path: string) => void, schedule: Schedule, interval: number) {
    this.#look = look
    this.#changed = changed
    this.#schedule = schedule
    this.#interval = interval
  }

  get size(): number {
    return this.#watched.size
  }

  /** Watches a path whose state the observer has seen, until the returned function is called. */
  watch(path: string, state: string): () => void {
    const watched = this.#watched.get(path)
    if (watched === undefined) this.#watched.set(path, { state, seen: state !== '', observers: 1 })
    else watched.observers++
    this.#start()
    let active = true
    return () => {
      if (!active) return
      active = false
      const current = this.#watched.get(path)
      if (current !== undefined && --current.observers === 0) this.#watched.delete(path)
      if (this.#watched.size === 0) {
        this.#stop?.()
        this.#stop = undefined
      }
    }
  }

  /** True while a path is watched where there has been something since the watching began. */
  hasSeen(path: string): boolean {
    return this.#watched.get(path)?.seen ?? false
  }

  #start(): void {
    if (this.#stop !== undefined || this.#looking || this.#watched.size === 0) return
    this.#stop = this.#schedule(() => {
      this.#stop = undefined
      void this.#round()
    }, this.#interval)
  }

  async #round(): Promise<void> {
    this.#looking = true
    const paths = this.#watched.keys()
    const worker = async (): Promise<void> => {
      for (const path of paths) {
        // What cannot be looked at just now keeps its state until it can.
        const state = await this.#look(path).catch(() => undefined)
        const watched = this.#watched.get(path)
        if (state === undefined || watched === undefined || watched.state === state) continue
        watched.state = state
        if (state !== '') watched.seen = true
        this.#changed(path)
      }
    }
    await Promise.all(Array.from({ length: CONCURRENCY }, worker))
    this.#looking = false
    this.#start()
  }
}
