import type { SealedAnswer } from '@iopa/context'
import { type AnswerRecord, RECORD, type RunContext, rareOf } from '@iopa/context/host'
import { type Asker, isAlone, isPrivate } from './inputs.ts'
import type { Question } from './question.ts'
import type { SharedRun } from './shared-run.ts'

/** What an observer tells the registry. */
export interface ObserverHost {
  remove(observer: Observer): void
  /** The answer that it has just been given came from this resource. */
  answered(observer: Observer, resource: string, since: number): void
}

/** One observer: it gets the newest answer when the delivery before has finished, and skips those in between. */
export class Observer implements Asker {
  readonly context: RunContext
  readonly question: Question
  readonly excerpt: number
  readonly #deliver: (answer: SealedAnswer) => Promise<void> | void
  readonly #host: ObserverHost
  #busy = false
  #last = false
  #newest: SealedAnswer | null = null
  #alone: boolean | null = null
  #order = 0
  inputs = ''
  waits = false
  inputBits = -1
  /** Path of the resource that it hears of. */
  resource: string
  removed = false

  constructor(context: RunContext, question: Question, excerpt: number, deliver: (answer: SealedAnswer) => Promise<void> | void, host: ObserverHost) {
    this.context = context
    this.question = question
    this.excerpt = excerpt
    this.resource = question.path
    this.#deliver = deliver
    this.#host = host
  }

  get id(): number {
    return this.context['iopa.Id']
  }

  /** Known when the first GET has run, for that says who the user is. */
  get alone(): boolean {
    return (this.#alone ??= isAlone(this.question, this.context))
  }

  /** Delivers the answer to the observing request itself. */
  async deliverFirst(answer: AnswerRecord): Promise<void> {
    if (answer.ok && isPrivate(answer)) this.#alone = true
    this.inputBits = -1
    if (answer.ok) this.#count()
    try {
      await this.#deliver(answer)
    } catch (error) {
      this.#failed(error)
    }
  }

  told(answer: AnswerRecord | null, run: SharedRun): void {
    if (answer === null || this.removed) return
    // Runs with other inputs may overlap; the later one has read the newer state.
    if (run.order < this.#order) return
    this.#order = run.order
    this.push(answer, run.ok)
    if (run.resource !== this.resource && run.ok && !this.removed) this.#host.answered(this, run.resource, run.since)
  }

  /** Delivers a notification, or keeps it until the delivery before has finished. One that is not 2xx, so not `ok`, is the last. */
  push(answer: SealedAnswer, ok: boolean): void {
    if (this.#busy) {
      this.#newest = answer
      return
    }
    if (!ok) this.#host.remove(this)
    this.#count()
    let delivered: Promise<void> | void
    try {
      delivered = this.#deliver(answer)
    } catch (error) {
      this.#failed(error)
      return
    }
    if (delivered === undefined) return
    this.#busy = true
    delivered.then(
      () => this.#next(),
      (error: unknown) => this.#failed(error)
    )
  }

  /** Delivers a last answer, in place of those that wait. */
  end(answer: SealedAnswer): void {
    this.#host.remove(this)
    this.#last = true
    this.push(answer, false)
  }

  #count(): void {
    const rare = rareOf(this.context[RECORD])
    if (rare.deliveries++ === 0) rare.observed?.()
  }

  #next(): void {
    this.#busy = false
    const newest = this.#newest
    this.#newest = null
    if (newest !== null && (!this.removed || this.#last)) this.push(newest, newest.ok)
  }

  #failed(error: unknown): void {
    this.#host.remove(this)
    if (!this.context.ended) this.context['server.Logger'].error(`iopa: an observer of ${this.question.path} could not be told`, error)
    void this.context.end('disconnect')
  }
}
