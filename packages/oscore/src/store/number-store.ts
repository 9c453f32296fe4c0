/**
 * Gives each number once, for good: what keeps nonces unique over restarts. `fileStore()` of `@iopa/oscore/node` is one; a database with a counter makes
 * another. One store belongs to one process at a time.
 */
export interface NumberStore {
  /**
   * Opens the store for this process alone. `now` is the wall clock, for a store that is new.
   * @throws IopaError 503 `store-locked` if another process uses it, 500 if it cannot be read
   */
  open(now: number): Promise<OpenNumberStore>
}

/** A store in use. */
export interface OpenNumberStore {
  /** When the store was made, in milliseconds since 1970. It never changes. */
  readonly since: number
  /**
   * A number of at least `least` that is larger than all it has given before, to this process or to others. It has to be durable when the promise
   * resolves: neither kill -9 nor a power cut may make the store give it again.
   */
  claim(least: number): Promise<number>
  /** Ends the use; other processes may open the store. */
  close(): Promise<void>
}
