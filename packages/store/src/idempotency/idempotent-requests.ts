import { type Context, IopaError } from '@iopa/appbuilder'
import type { StorageChange } from '@iopa/appbuilder/extension'
import { type KeptAnswer, replayed } from './kept-answer.ts'
import type { KeptAnswers } from './kept-answers.ts'
import { type RequestKey, requestKey } from './request-key.ts'

/** Retries that may wait for a request under way. */
const MOST_WAITING = 16

/** Keeps the answer of a request that may be sent again. */
export interface AnswerKeeper {
  /** The changes that keep an answer, for the batch that has the effect of the request. */
  changesFor(answer: KeptAnswer): readonly StorageChange[]
  /** A batch with these changes has been written. */
  kept(changes: readonly StorageChange[]): void
  /** Writes the answer by itself. */
  keep(answer: KeptAnswer): Promise<void>
}

interface UnderWay {
  readonly id: number
  readonly fingerprint: string
  readonly done: Promise<unknown>
  waiting: number
}

/** Runs requests with an idempotency key once: a retry gets the answer that the first one got. */
export class IdempotentRequests {
  readonly #answers: KeptAnswers
  readonly #underWay = new Map<string, UnderWay>()

  constructor(answers: KeptAnswers) {
    this.#answers = answers
  }

  /**
   * Runs `work` for a request that has no answer yet, and for every request without a key, then without a keeper. A retry while the first is
   * under way waits for it.
   * @throws IopaError 422 for another request with the same key, 409 where too many retries wait.
   */
  run(context: Context, work: (keeper: AnswerKeeper | null) => unknown): unknown {
    const key = requestKey(context)
    return key === undefined ? work(null) : key.then(known => this.#once(context, known, work))
  }

  async #once(context: Context, key: RequestKey, work: (keeper: AnswerKeeper | null) => unknown): Promise<unknown> {
    for (;;) {
      const before = this.#underWay.get(key.name)
      if (before === undefined) {
        // From the look-up to the registration below nothing may come between.
        const known = await this.#answers.get(key.name)
        if (this.#underWay.has(key.name)) continue
        if (known === undefined) return this.#first(context, key, work)
        assertSame(known.fingerprint, key)
        return replayed(known.answer)
      }
      // The same middleware twice on the way of one request.
      if (before.id === context['iopa.Id']) return work(null)
      assertSame(before.fingerprint, key)
      if (before.waiting >= MOST_WAITING)
        throw new IopaError(409, 'request-under-way', 'A request with this idempotency key is being handled; try again.', {
          headers: { 'retry-after': '1' }
        })
      before.waiting++
      await before.done.catch(() => undefined)
      if (context.ended) throw new IopaError(408, 'answer-gone', 'The request was over before its turn came.')
    }
  }

  #first(context: Context, key: RequestKey, work: (keeper: AnswerKeeper | null) => unknown): Promise<unknown> {
    const keeper: AnswerKeeper = {
      changesFor: answer => this.#answers.changesFor(key, answer),
      kept: changes => this.#answers.kept(key.user, changes),
      keep: answer => this.#answers.write(key.user, this.#answers.changesFor(key, answer))
    }
    const done = (async () => work(keeper))()
    const underWay: UnderWay = { id: context['iopa.Id'], fingerprint: key.fingerprint, done, waiting: 0 }
    this.#underWay.set(key.name, underWay)
    return done.finally(() => this.#underWay.delete(key.name))
  }
}

const assertSame = (fingerprint: string, key: RequestKey): void => {
  if (fingerprint !== key.fingerprint)
    throw new IopaError(422, 'idempotency-key-reused', 'This idempotency key was used with another request: send a new key with a new request.')
}
