import { IopaError } from '@iopa/appbuilder'
import type { Storage } from '@iopa/appbuilder/extension'
import type { Clock } from '@iopa/transport'
import { leaveStorage, takeStorage } from '../storage-keys.ts'

/** Milliseconds after a failed opening before the next one. */
const PAUSE = 1000

/** Reads what a storage has with the first use, and leaves the storage at the end. */
export class Opening {
  readonly #storage: Storage | undefined
  readonly #pattern: string
  readonly #clock: Clock
  readonly #failed: (error: unknown) => void
  readonly #read: () => Promise<void>
  #opening: Promise<void> | undefined
  #isOpen: boolean
  #failedAt: number | undefined
  #closing: Promise<void> | undefined

  constructor(storage: Storage | undefined, pattern: string, clock: Clock, failed: (error: unknown) => void, read: () => Promise<void>) {
    if (storage !== undefined) takeStorage(storage, pattern)
    this.#storage = storage
    this.#pattern = pattern
    this.#clock = clock
    this.#failed = failed
    this.#read = read
    this.#isOpen = storage === undefined
  }

  /** Undefined where all has been read; otherwise a promise of that. @throws IopaError 503 `closed` after `close`. */
  open(): Promise<void> | undefined {
    if (this.#closing !== undefined) throw new IopaError(503, 'closed', 'The twins have been closed.')
    if (this.#isOpen) return undefined
    const retries = this.#failedAt !== undefined && this.#clock.elapsed() - this.#failedAt >= PAUSE
    if (this.#opening === undefined || retries) this.#opening = this.#begin()
    return this.#opening
  }

  /** Leaves the storage after `work`. */
  close(work: () => Promise<void>): Promise<void> {
    this.#closing ??= this.#close(work)
    return this.#closing
  }

  async #begin(): Promise<void> {
    this.#failedAt = undefined
    try {
      await this.#read()
      this.#isOpen = true
    } catch (error) {
      this.#failedAt = this.#clock.elapsed()
      this.#failed(error)
      throw error
    }
  }

  async #close(work: () => Promise<void>): Promise<void> {
    await this.#opening?.catch(() => undefined)
    try {
      await work()
    } finally {
      if (this.#storage !== undefined) await leaveStorage(this.#storage, this.#pattern)
    }
  }
}
