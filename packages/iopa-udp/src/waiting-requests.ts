import { answerTimeout, type Clock, channelClosed, IopaError, type LinkAnswer, type TimerHandle } from '@iopa/transport'

/** Who waits for an answer. */
export interface Waiting {
  resolve(answer: LinkAnswer): void
  reject(error: unknown): void
}

interface Entry extends Waiting {
  readonly due: number
  forget(): void
}

/** Requests under way, by number: bounded, timed and abortable, so that each one settles. */
export class WaitingRequests {
  readonly #clock: Clock
  readonly #timeout: number
  readonly #limit: number
  /** In the order of their deadlines, since all have the same time. */
  readonly #entries = new Map<number, Entry>()
  #timer: TimerHandle | null = null
  #closed = false

  /** `timeout` in milliseconds; `limit` requests at most. */
  constructor(clock: Clock, timeout: number, limit: number) {
    this.#clock = clock
    this.#timeout = timeout
    this.#limit = limit
  }

  /** Rejects in time, on abort and on close. @throws the reason of an aborted signal; IopaError 503 over the limit or when closed. */
  add(number: number, signal: AbortSignal | undefined, waiting: Waiting): void {
    signal?.throwIfAborted()
    if (this.#closed) throw channelClosed()
    if (this.#entries.size >= this.#limit)
      throw new IopaError(503, 'overloaded', `${this.#limit} requests wait for an answer on this channel; wait for some of them.`)
    const abort = (): void => this.take(number)?.reject(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    this.#entries.set(number, { ...waiting, due: this.#clock.elapsed() + this.#timeout, forget: () => signal?.removeEventListener('abort', abort) })
    if (this.#timer === null) this.#arm(this.#timeout)
  }

  has(number: number): boolean {
    return this.#entries.has(number)
  }

  /** Takes a request out: the caller settles it. */
  take(number: number): Waiting | undefined {
    const entry = this.#entries.get(number)
    if (entry === undefined) return undefined
    this.#entries.delete(number)
    entry.forget()
    if (this.#entries.size === 0) this.#disarm()
    return entry
  }

  /** Rejects everything that waits, and all that comes. */
  close(): void {
    this.#closed = true
    for (const number of [...this.#entries.keys()]) this.take(number)?.reject(channelClosed())
  }

  #arm(time: number): void {
    this.#timer = this.#clock.setTimeout(() => this.#expire(), Math.max(1, time), { keep: true })
  }

  #disarm(): void {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer)
    this.#timer = null
  }

  #expire(): void {
    this.#timer = null
    const now = this.#clock.elapsed()
    for (const [number, { due }] of this.#entries) {
      if (due > now) {
        this.#arm(due - now)
        return
      }
      this.take(number)?.reject(answerTimeout(this.#timeout))
    }
  }
}
