import { IopaError } from '@iopa/appbuilder'
import type { ForwardedAnswer } from './forwarding.ts'

/** Begins an observation of a server: its answers until `signal` aborts. */
export type Observe = (signal: AbortSignal, take: (answer: ForwardedAnswer) => void) => Promise<void>

/** One observation of a server, for all that observe the same here. */
class SharedObservation {
  readonly ending = new AbortController()
  /** The first answer. */
  readonly first: Promise<ForwardedAnswer>
  /** The newest answer. */
  newest: ForwardedAnswer | undefined
  failure: unknown
  observers = 0
  /** The one that began it. */
  readonly account: string

  constructor(observe: Observe, changed: () => void, account: string) {
    this.account = account
    this.first = new Promise((resolve, reject) => {
      const take = (answer: ForwardedAnswer): void => {
        const isFirst = this.newest === undefined
        this.newest = answer
        if (isFirst) resolve(answer)
        else changed()
      }
      const ended = (error: unknown): void => {
        if (this.ending.signal.aborted) return
        this.failure = error
        if (this.newest === undefined) reject(error)
        else changed()
      }
      observe(this.ending.signal, take).then(() => ended(new IopaError(502, 'upstream-failed', 'The server has ended the observation.')), ended)
    })
    this.first.catch(() => undefined)
  }
}

/** Who observes: an account has a share of the places. */
export interface Observer {
  readonly account: string
  /** Called with what the observer does when it leaves. */
  leaving(leave: () => void): void
}

/** The observations of servers: one for all observers that ask the same, as long as there is one. */
export class SharedObservations {
  readonly #most: number
  readonly #byKey = new Map<string, SharedObservation>()
  /** Observations that an account has begun. */
  readonly #begun = new Map<string, number>()

  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#byKey.size
  }

  /** The newest answer of an observation; undefined where there is none, or where it has failed. */
  newest(key: string): ForwardedAnswer | undefined {
    const shared = this.#byKey.get(key)
    return shared?.failure === undefined ? shared?.newest : undefined
  }

  /** Adds an observer, until it leaves, and gives it the newest answer. @throws IopaError 503 where there are too many; what the observation fails with */
  async join(key: string, observe: Observe, changed: () => void, observer: Observer): Promise<ForwardedAnswer> {
    let shared = this.#byKey.get(key)
    // One that has failed is over: a new observer begins another one.
    if (shared === undefined || shared.failure !== undefined) {
      if (shared === undefined && !this.#hasPlace(observer.account))
        throw new IopaError(503, 'proxy-busy', 'This proxy observes as many resources as it may; try again later.')
      shared = new SharedObservation(observe, changed, observer.account)
      this.#byKey.set(key, shared)
      this.#begun.set(shared.account, (this.#begun.get(shared.account) ?? 0) + 1)
    }
    const joined = shared
    joined.observers++
    observer.leaving(() => {
      if (--joined.observers > 0) return
      joined.ending.abort()
      const begun = (this.#begun.get(joined.account) as number) - 1
      if (begun > 0) this.#begun.set(joined.account, begun)
      else this.#begun.delete(joined.account)
      if (this.#byKey.get(key) === joined) this.#byKey.delete(key)
    })
    return joined.newest ?? joined.first
  }

  /** Above half of the places an account may have eight times as many as are free, so that one leaves room for others. */
  #hasPlace(account: string): boolean {
    const free = this.#most - this.#byKey.size
    return free > 0 && (this.#byKey.size < this.#most / 2 || (this.#begun.get(account) ?? 0) < 8 * free)
  }

  close(): void {
    for (const { ending } of this.#byKey.values()) ending.abort()
    this.#byKey.clear()
  }
}
