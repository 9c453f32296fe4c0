import { isIopaError } from '@iopa/constants'
import type { LinkAnswer } from '@iopa/context'
import type { Clock } from '../contract/clock.ts'
import type { Limits } from '../contract/limits.ts'
import type { Sink } from '../contract/link.ts'
import { AnswerQueue } from './answer-queue.ts'
import { Backoff } from './backoff.ts'
import { Call, DEFAULT_TIMEOUT } from './call.ts'
import { isPeerGone, lossIn, observationRefused } from './failures.ts'
import type { LinkPool } from './link-pool.ts'
import type { OutgoingRequest } from './outgoing.ts'

/** Pauses before a subscription is tried again, in milliseconds. */
const FIRST_PAUSE = 500
const LONGEST_PAUSE = 60_000
/** A peer that names a shorter pause would be asked again and again. */
const LEAST_PAUSE = 100
/** After a subscription that was accepted pauses grow to this at most, and start again after one that lasted longer than BRIEF. */
const BRIEF_PAUSE = 5_000
const BRIEF = 1_000

/** What an observation needs of its client. */
export interface ObservationOwner {
  readonly clock: Clock
  readonly limits: Limits
  /** Milliseconds until the peer has accepted a subscription; undefined leaves it to the link, or to the default. */
  readonly timeout: number | undefined
  readonly calls: Set<Call>
  readonly pool: LinkPool
  /** Counts the observation. @throws IopaError where it may not begin */
  begun(observation: RemoteObservation): void
  /** The peer has accepted a subscription, or answered it. */
  answered(observation: RemoteObservation): void
  ended(observation: RemoteObservation): void
}

/**
 * One iteration over the answers of a peer. It subscribes on one link after another until the reader or the peer ends it. A failure before the first
 * subscription was accepted is the reader's; after that it tries again, unless the peer refuses.
 */
export class RemoteObservation implements AsyncIterableIterator<LinkAnswer, undefined> {
  readonly #request: OutgoingRequest
  readonly #owner: ObservationOwner
  readonly #queue: AnswerQueue
  readonly #sink: Sink = { next: answer => this.#take(answer), accepted: () => this.#accept() }
  /** Of attempts that failed, and of subscriptions that ended soon. */
  readonly #failures = new Backoff({ initial: 2 * FIRST_PAUSE, maximum: LONGEST_PAUSE })
  readonly #brief = new Backoff({ initial: LEAST_PAUSE, maximum: BRIEF_PAUSE })
  #running: Promise<void> | null = null
  /** The subscription under way. */
  #call: Call | null = null
  /** True once a subscription was accepted. */
  #begun = false
  /** True once the subscription under way was accepted. */
  #current = false
  /** True once it has brought an answer. */
  #told = false
  /** What the peer has refused the subscription under way with. */
  #refusal: unknown
  #prompted = false
  #wake: (() => void) | null = null

  constructor(request: OutgoingRequest, owner: ObservationOwner) {
    this.#request = request
    this.#owner = owner
    this.#queue = new AnswerQueue(owner.limits)
  }

  next(): Promise<IteratorResult<LinkAnswer, undefined>> {
    // The first read begins: a sequence without a reader would never end.
    this.#running ??= this.#run()
    return this.#queue.next()
  }

  async return(): Promise<IteratorResult<LinkAnswer, undefined>> {
    this.stop()
    await this.#running
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** Ends the observation at once; what waits for the reader is dropped. */
  stop(): void {
    this.#queue.cut()
    this.#call?.abort(undefined)
    this.#wake?.()
  }

  /** The peer serves others: tries again now. Only once until that succeeds, for two observations that fail must not prompt each other. */
  prompt(): void {
    if (this.#wake === null || this.#prompted) return
    this.#prompted = true
    this.#wake()
  }

  /** Subscribes until the end. Never rejects: the reader gets what is wrong. */
  async #run(): Promise<void> {
    const { clock } = this.#owner
    const { signal } = this.#request
    const abort = (): void => this.stop()
    if (signal?.aborted) this.stop()
    signal?.addEventListener('abort', abort, { once: true })
    try {
      if (!this.#queue.over) this.#owner.begun(this)
      let resume: unknown
      let first = FIRST_PAUSE
      while (!this.#queue.over) {
        const begun = clock.elapsed()
        const error = await this.#subscribe(resume)
        if (error === null) break
        if (!this.#begun || !mayPass(error)) throw error
        const loss = lossIn(error)
        resume = loss?.resume ?? resume
        if (loss !== undefined) first = Math.min(LONGEST_PAUSE, Math.max(LEAST_PAUSE, loss.retryAfter ?? FIRST_PAUSE))
        if (!this.#queue.over) await this.#pause(this.#pauseAfter(first, clock.elapsed() - begun))
      }
      this.#queue.end()
    } catch (error) {
      this.#queue.fail(error)
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#owner.ended(this)
    }
  }

  /** One subscription: null where the peer has ended it for good, else why it ended. */
  async #subscribe(resume: unknown): Promise<unknown> {
    const { clock, calls, timeout, pool } = this.#owner
    const call = new Call(undefined, clock, calls)
    this.#call = call
    this.#current = this.#told = false
    this.#refusal = null
    try {
      call.await(timeout ?? DEFAULT_TIMEOUT)
      const entry = pool.take() ?? (await pool.acquire(call.signal))
      try {
        const { link } = entry
        call.await(timeout ?? link.requestTimeout ?? DEFAULT_TIMEOUT, timeout ?? DEFAULT_TIMEOUT, link)
        await call.run(() => link.subscribe(this.#request, this.#sink, { signal: call.signal, resume, awaits: what => call.awaits(what) }))
      } finally {
        pool.release(entry)
      }
      return this.#refusal
    } catch (error) {
      return this.#refusal ?? error
    } finally {
      this.#call = null
      call.end()
    }
  }

  #accept(): void {
    this.#call?.rest()
    if (this.#current) return
    this.#current = this.#begun = true
    this.#prompted = false
    this.#owner.answered(this)
  }

  #take(answer: LinkAnswer): void {
    if (this.#call === null || this.#call.aborted) return
    if (answer.ok) {
      // After a loss what waits for the reader is older than this.
      if (!this.#told) this.#queue.clear()
      this.#told = true
      this.#accept()
      this.#queue.push(answer)
    } else {
      this.#refusal = observationRefused(answer)
      this.#call.abort(this.#refusal)
    }
  }

  /** How long to pause after a subscription that lasted so long. */
  #pauseAfter(first: number, lasted: number): number {
    if (!this.#current) return this.#failures.next({ initial: 2 * first })
    this.#failures.reset()
    if (lasted > BRIEF) this.#brief.reset()
    return this.#brief.next({ least: first })
  }

  /** Resolves after the time, or as soon as the observation is prompted or ends. */
  #pause(time: number): Promise<void> {
    const { clock } = this.#owner
    return new Promise(resolve => {
      this.#wake = () => {
        this.#wake = null
        clock.clearTimeout(timer)
        resolve()
      }
      const timer = clock.setTimeout(this.#wake, time, { keep: true })
    })
  }
}

const FINAL: ReadonlySet<string> = new Set(['redirected', 'bad-answer', 'received-too-large', 'closed'])

/** True where the next attempt may succeed. */
const mayPass = (error: unknown): boolean =>
  !isPeerGone(error) && (lossIn(error) !== undefined || (isIopaError(error) && [502, 503, 504].includes(error.status) && !FINAL.has(error.code)))
