import type { Clock, Logger } from '@iopa/transport'
import type { Store, StoreRecord } from '../../store.ts'

/**
 * Writes records to the store: everything that is added while a write is under way goes into the next one. Without a store it does nothing,
 * and calls back at once.
 */
export class Journal {
  /** True if there is a store. */
  readonly active: boolean
  readonly #store: Store | null
  readonly #logger: Logger
  readonly #clock: Clock
  #batch: StoreRecord[] = []
  #waiting: ((kept: boolean) => void)[] = []
  #writing: Promise<void> | null = null
  #scheduled = false
  /** True while records are made over several turns that belong into one write. */
  #held = false
  /** True while the records of such a walk wait to be written. */
  #due = false
  readonly #walks: ((done: () => void) => void)[] = []

  constructor(store: Store | null, logger: Logger, clock: Clock) {
    this.active = store !== null
    this.#store = store
    this.#logger = logger
    this.#clock = clock
  }

  /** Writes or removes a record soon; its times are those of `clock.elapsed`, the store gets dates. */
  add(record: StoreRecord): void {
    if (this.#store === null) return
    this.#batch.push(moved(record, this.#clock.now() - this.#clock.elapsed()))
    this.#schedule()
  }

  /** Calls back when everything added so far is written, at once when nothing waits; with false when the write failed. */
  kept(done: (kept: boolean) => void): void {
    if (this.#store === null || (this.#batch.length === 0 && this.#writing === null)) {
      done(true)
      return
    }
    this.#waiting.push(done)
    this.#schedule()
  }

  /**
   * Calls `walk`, which may add records over several turns and then calls back: all of them go into one write, so that a crash keeps all of
   * them or none. Nothing is written meanwhile. One walk follows the other, each after the write of the one before has begun.
   */
  together(walk: (done: () => void) => void): void {
    this.#walks.push(walk)
    this.#nextWalk()
  }

  /** Resolves when everything is written that was added; what a walk adds after that is not. */
  async flush(): Promise<void> {
    while (this.#writing !== null || this.#batch.length > 0) await (this.#writing ?? this.#write())
  }

  /** Flushes and closes the store. */
  async close(): Promise<void> {
    await this.flush()
    await this.#store?.close()
  }

  #schedule(): void {
    if (this.#writing !== null || this.#scheduled) return
    this.#scheduled = true
    // A microtask later, so that everything of one read goes into one write.
    queueMicrotask(() => {
      this.#scheduled = false
      if (this.#writing === null && !this.#held) void this.#write()
    })
  }

  #nextWalk(): void {
    if (this.#held || this.#due) return
    const walk = this.#walks.shift()
    if (walk === undefined) return
    this.#held = true
    walk(() => {
      this.#held = false
      this.#due = true
      if (this.#writing === null) void this.#write()
    })
  }

  #write(): Promise<void> {
    const batch = this.#batch
    const waiting = this.#waiting
    this.#batch = []
    this.#waiting = []
    this.#due = false
    const write = batch.length === 0 ? Promise.resolve() : (this.#store as Store).write(batch)
    const settled = write.then(
      () => true,
      (error: unknown) => {
        this.#logger.error('iopa: the MQTT store could not write; what it should keep is not acknowledged', error)
        return false
      }
    )
    this.#writing = settled.then(kept => {
      // Records that these callbacks add go into the next write, behind those that wait already.
      for (const done of waiting) done(kept)
      this.#writing = null
      if (this.#batch.length > 0 || this.#waiting.length > 0) this.#schedule()
    })
    this.#nextWalk()
    return this.#writing
  }
}

/**
 * The record with its times moved by so many milliseconds. A running broker uses elapsed time, which a jump of the wall clock does not
 * change; a store holds dates, which stay valid over a restart.
 */
export function moved(record: StoreRecord, by: number): StoreRecord {
  if (record.kind === 'retained' && record.value && record.value.expiresAt !== 0) {
    return { ...record, value: { ...record.value, expiresAt: date(record.value.expiresAt, by) } }
  }
  if (record.kind === 'session' && record.value && record.value.expiresAt !== null) {
    return { ...record, value: { ...record.value, expiresAt: date(record.value.expiresAt, by) } }
  }
  if (record.kind === 'message' && record.value && record.value.message.expiresAt !== 0) {
    const { message } = record.value
    return { ...record, value: { ...record.value, message: { ...message, expiresAt: date(message.expiresAt, by) } } }
  }
  return record
}

// 0 means never; one millisecond earlier is just as expired.
const date = (time: number, by: number): number => Math.round(time + by) || -1
