import type { Clock, Logger } from '@iopa/transport'
import type { OpenNumberStore } from './number-store.ts'

/** Sequence numbers in a block. */
export const BLOCK_SIZE = 256
/** A block may be used when this time has passed for each block before it, counted from when the store was made: 1,000 messages per second, for 34 years. */
const BLOCK_TIME = BLOCK_SIZE
/** A block that is due later than this was claimed under another time: the clock was set back. */
const LONGEST_WAIT = 10_000

/**
 * Blocks of sequence numbers that all contexts of a process share: block n is the numbers from 256 n on, of each key. Two rules keep a number from being
 * used twice with a key. Each block is claimed in the store before it is used, and never claimed again. And no block is used before its time, while a
 * start begins with a block whose time has not come: so it begins above all that were used even if an old copy of the store was restored.
 */
export class NumberBlocks {
  readonly #store: OpenNumberStore
  readonly #clock: Clock
  readonly #logger: Logger
  /** The block that is due now, at the elapsed time 0. */
  #line: number
  #newest: number | undefined
  #claiming: Promise<void> | undefined

  constructor(store: OpenNumberStore, clock: Clock, logger: Logger) {
    this.#store = store
    this.#clock = clock
    this.#logger = logger
    this.#line = (clock.now() - store.since - clock.elapsed()) / BLOCK_TIME
  }

  /** The newest block that may be used, if there is one after `block`. */
  after(block: number): number | undefined {
    return this.#newest !== undefined && this.#newest > block ? this.#newest : undefined
  }

  /** Claims a block after `block`, unless there is one or one is under way; resolves when there is. Rejects if the store fails. */
  claim(block: number): Promise<void> {
    if (this.after(block) !== undefined) return Promise.resolve()
    this.#claiming ??= this.#claim().finally(() => {
      this.#claiming = undefined
    })
    return this.#claiming
  }

  async #claim(): Promise<void> {
    const least = this.#newest === undefined ? Math.max(1, Math.floor(this.#due()) + 1) : this.#newest + 1
    const block = await this.#store.claim(least)
    await this.#waitFor(block)
    this.#newest = block
  }

  #due(): number {
    return this.#line + this.#clock.elapsed() / BLOCK_TIME
  }

  async #waitFor(block: number): Promise<void> {
    const wait = (block - this.#due()) * BLOCK_TIME
    if (wait <= 0) return
    if (wait > LONGEST_WAIT) {
      // The store is ahead of the clock, so that the clock says nothing: the store alone is trusted.
      this.#line += block - this.#due()
      this.#logger.warn(
        `The store of OSCORE is ${Math.round(wait / 1000)} s ahead of the clock. Sequence numbers go on after the stored ones; check the clock, and never restore an old copy of the store.`
      )
      return
    }
    await new Promise<void>(resolve => this.#clock.setTimeout(resolve, Math.ceil(wait), { keep: true }))
  }
}
