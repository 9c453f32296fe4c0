import { IopaError } from '@iopa/transport'
import { numbersExhausted, type SequenceNumbers } from '../contexts/sequence-numbers.ts'
import { SEQUENCE_END } from '../crypto/nonce.ts'
import { BLOCK_SIZE, type NumberBlocks } from './number-blocks.ts'

/** Callers that wait for a block. */
const MOST_WAITING = 1000
/** Numbers that are left when the next block is claimed. */
const AHEAD = BLOCK_SIZE / 2

/** The sequence numbers of one key, from blocks that are claimed before use (RFC 8613 appendix B.1.1). */
export class StoredNumbers implements SequenceNumbers {
  readonly #blocks: NumberBlocks
  #block = -1
  #used = BLOCK_SIZE
  #waiting = 0

  constructor(blocks: NumberBlocks) {
    this.#blocks = blocks
  }

  next(): number | Promise<number> {
    return this.#take() ?? this.#wait()
  }

  #take(): number | undefined {
    if (this.#used === BLOCK_SIZE) {
      const block = this.#blocks.after(this.#block)
      if (block === undefined) return undefined
      this.#block = block
      this.#used = 0
    }
    const number = this.#block * BLOCK_SIZE + this.#used
    if (number >= SEQUENCE_END) throw numbersExhausted()
    this.#used++
    // A claim that fails here fails again when its numbers are needed, and is reported then.
    if (this.#used === AHEAD) this.#blocks.claim(this.#block).catch(() => undefined)
    return number
  }

  async #wait(): Promise<number> {
    if (this.#waiting >= MOST_WAITING)
      throw new IopaError(503, 'overloaded', `${MOST_WAITING} messages wait for sequence numbers of OSCORE: send fewer of them.`)
    this.#waiting++
    try {
      for (;;) {
        await this.#blocks.claim(this.#block)
        const number = this.#take()
        if (number !== undefined) return number
      }
    } finally {
      this.#waiting--
    }
  }
}
