import type { Clock, Logger } from '@iopa/transport'
import type { Store, StoreRecord } from '../store.ts'
import { moved } from './stored-time.ts'

/**
 * What has to be kept, on its way to the store: everything that happens while a write is under way goes with the next one.
 * Without a store it does nothing, and what waits for it goes on at once.
 */
export class Journal {
  readonly #store: Store | null
  readonly #logger: Logger
  readonly #clock: Clock
  #batch: StoreRecord[] = []
  #waiting: ((kept: boolean) => void)[] = []
  #writing: Promise<void> | null = null
  #scheduled = false

  constructor(store: Store | null, logger: Logger, clock: Clock) {
    this.#store = store
    this.#logger = logger
    this.#clock = clock
  }

  /** True when there is a store. */
  get active(): boolean {
    return this.#store !== null
  }

  /** Keeps or removes a record, some time soon; its times are of the broker, those of the store are dates. */
  add(record: StoreRecord): void {
    if (this.#store === null) return
    this.#batch.push(moved(record, this.#clock.now() - this.#clock.elapsed()))
    this.#schedule()
  }

  /** Runs `done` when everything added so far is kept, at once when there is nothing to wait for; false when it could not be. */
  kept(done: (kept: boolean) => void): void {
    if (this.#store === null || (this.#batch.length === 0 && this.#writing === null)) {
      done(true)
      return
    }
    this.#waiting.push(done)
    this.#schedule()
  }

  /** Resolves when everything is written. */
  async flush(): Promise<void> {
    while (this.#writing !== null || this.#batch.length > 0) await (this.#writing ?? this.#write())
  }

  #schedule(): void {
    if (this.#writing !== null || this.#scheduled) return
    this.#scheduled = true
    // One turn later, so that all that one read brings is one write.
    queueMicrotask(() => {
      this.#scheduled = false
      if (this.#writing === null) void this.#write()
    })
  }

  #write(): Promise<void> {
    const batch = this.#batch
    const waiting = this.#waiting
    this.#batch = []
    this.#waiting = []
    const write = batch.length === 0 ? Promise.resolve() : (this.#store as Store).write(batch)
    const settled = write.then(
      () => true,
      (error: unknown) => {
        this.#logger.error('iopa: the MQTT store could not write; what it should keep is not acknowledged', error)
        return false
      }
    )
    this.#writing = settled.then(kept => {
      // What these bring about waits its turn, and does not pass those behind them.
      for (const done of waiting) done(kept)
      this.#writing = null
      if (this.#batch.length > 0 || this.#waiting.length > 0) this.#schedule()
    })
    return this.#writing
  }
}
