import type { Clock, TimerHandle } from '../contract/clock.ts'
import type { Link } from '../contract/link.ts'
import { answerTimeout } from './failures.ts'

/** Milliseconds for an answer, unless the caller or the protocol says. */
export const DEFAULT_TIMEOUT = 30_000

/** One thing that a caller waits for: it ends with the caller's signal, at its deadline, and when its client closes. */
export class Call {
  readonly #controller = new AbortController()
  readonly #caller: AbortSignal | undefined
  readonly #clock: Clock
  readonly #calls: Set<Call>
  readonly #callerAborted = (): void => this.abort(this.#caller?.reason)
  #timer: TimerHandle | null = null
  /** While the peer is awaited. */
  #times: { readonly receipt: number; readonly answer: number } | null = null
  #link: Pick<Link, 'silence'> | undefined
  #reject: ((reason: unknown) => void) | null = null

  /** Is one of `calls` until `end`. @throws the reason of a signal that has aborted */
  constructor(caller: AbortSignal | undefined, clock: Clock, calls: Set<Call>) {
    caller?.throwIfAborted()
    this.#caller = caller
    this.#clock = clock
    this.#calls = calls
    calls.add(this)
    caller?.addEventListener('abort', this.#callerAborted, { once: true })
  }

  /** For the link: aborts with what the caller gets. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  get aborted(): boolean {
    return this.#controller.signal.aborted
  }

  /** True where the caller itself has given up. */
  get left(): boolean {
    return this.#caller?.aborted === true
  }

  /** The peer is awaited from now on: for `receipt` milliseconds at most, and for `answer` once it has received the request on this link. */
  await(receipt: number, answer: number = receipt, link?: Pick<Link, 'silence'>): void {
    this.#times = { receipt, answer }
    this.#link = link
    this.#arm(receipt)
  }

  /** What a link waits for now: the time starts again, unless nothing is awaited. */
  awaits(what: 'receipt' | 'answer' | 'body'): void {
    if (this.#times === null) return
    if (what === 'body') this.#disarm()
    else this.#arm(this.#times[what])
  }

  /** The peer is not awaited any more. */
  rest(): void {
    this.#disarm()
    this.#times = null
    this.#link = undefined
  }

  /** What `work` comes to; rejects at once when the call aborts. */
  run<T>(work: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.signal.throwIfAborted()
      this.#reject = reject
      work().then(resolve, reject)
    })
  }

  abort(reason: unknown): void {
    if (this.aborted) return
    this.rest()
    this.#controller.abort(reason)
    this.#reject?.(reason)
  }

  /** The call is over. */
  end(): void {
    this.rest()
    this.#reject = null
    this.#calls.delete(this)
    this.#caller?.removeEventListener('abort', this.#callerAborted)
  }

  #arm(timeout: number): void {
    this.#disarm()
    const expire = (): void => this.abort(answerTimeout(timeout, this.#link?.silence))
    if (Number.isFinite(timeout)) this.#timer = this.#clock.setTimeout(expire, timeout, { keep: true })
  }

  #disarm(): void {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer)
    this.#timer = null
  }
}
