import { IopaError } from '@iopa/transport'
import { SEQUENCE_END } from '../crypto/nonce.ts'

/** Gives each number once: a number that was given is never given again, whether or not it was used. */
export interface SequenceNumbers {
  /** @throws IopaError 503 if there are none left, or too many callers wait for one */
  next(): number | Promise<number>
}

export const numbersExhausted = (): IopaError =>
  new IopaError(503, 'sequence-exhausted', 'The security context has used up its sequence numbers: give both peers a new master secret.')

/** Numbers from zero for keys that only this object knows. */
export class FreshNumbers implements SequenceNumbers {
  #next: number

  constructor(first = 0) {
    this.#next = first
  }

  next(): number {
    if (this.#next >= SEQUENCE_END) throw numbersExhausted()
    return this.#next++
  }
}
