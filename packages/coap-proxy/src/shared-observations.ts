import { IopaError } from '@iopa/appbuilder'
import type { ForwardedAnswer } from './forwarding.ts'
import { Shares } from './shares.ts'

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
  readonly #byKey = new Map<string, SharedObservation>()
  readonly #shares: Shares

  constructor(most: number) {
    this.#shares = new Shares(most)
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
      if (shared === undefined && !this.#shares.hasPlace(observer.account))
        throw new IopaError(503, 'proxy-busy', 'This proxy observes as many resources as it may; try again later.')
      shared = new SharedObservation(observe, changed, observer.account)
      this.#byKey.set(key, shared)
      this.#shares.take(shared.account)
    }
    const joined = shared
    joined.observers++
    observer.leaving(() => {
      if (--joined.observers > 0) return
      joined.ending.abort()
      this.#shares.give(joined.account)
      if (this.#byKey.get(key) === joined) this.#byKey.delete(key)
    })
    return joined.newest ?? joined.first
  }

  close(): void {
    for (const { ending } of this.#byKey.values()) ending.abort()
    this.#byKey.clear()
  }
}
