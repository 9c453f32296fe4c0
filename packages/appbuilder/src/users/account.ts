import { IopaError, type Validity } from '@iopa/constants'
import type { Context } from '@iopa/context'
import { type Clock, type TimerHandle, withinTime } from '../transport/clock.ts'

/** Something that outlives its request: an observer, a connection. */
export class Watch {
  /** Milliseconds since 1970. */
  readonly until: number
  readonly ended: (error: IopaError) => void
  readonly checked: (() => void) | undefined

  constructor(until: number, ended: (error: IopaError) => void, checked: (() => void) | undefined) {
    this.until = until
    this.ended = ended
    this.checked = checked
  }
}

/** What accounts need of the app. */
export interface AccountHost {
  readonly clock: Clock
  readonly logger: Context['logger']
  readonly limits: { readonly requestTimeout: number }
}

/** Failures of a check in a row after which its user counts as invalid. */
const MOST_FAILURES = 3
/** A timer waits no longer, so that a change of the wall clock is noticed. */
const LONGEST_WAIT = 3_600_000
const NEVER = Number.POSITIVE_INFINITY

/** What one user has that outlives its request, with one check for all of it. */
export class Account {
  readonly #host: AccountHost
  readonly #empty: () => void
  readonly #watches = new Set<Watch>()
  #validity: Validity = {}
  #failures = 0
  /** Of `clock.elapsed()`, as `#due`: a jump of the wall clock moves `until` alone. */
  #checkAt = NEVER
  #due = NEVER
  #timer: TimerHandle

  /** `empty` is called when nothing is watched any more. */
  constructor(host: AccountHost, empty: () => void) {
    this.#host = host
    this.#empty = empty
  }

  add(watch: Watch, validity: Validity): void {
    this.#watches.add(watch)
    if (validity.check !== undefined) {
      this.#validity = validity
      if (this.#checkAt === NEVER) this.#plan()
    }
    this.#arm(watch.until)
  }

  delete(watch: Watch): void {
    this.#watches.delete(watch)
    this.#settle()
  }

  /** Ends what is valid until then, or for ever. */
  end(until: number, code: string): void {
    for (const watch of this.#watches) {
      if (watch.until > until) continue
      this.#watches.delete(watch)
      watch.ended(new IopaError(401, code, 'Authenticate again.'))
    }
    this.#settle()
  }

  /** With jitter, so that users who came together are not checked together. */
  #plan(): void {
    this.#checkAt = this.#host.clock.elapsed() + (this.#validity.every ?? 60_000) * (0.9 + Math.random() / 5)
  }

  #settle(): void {
    if (this.#watches.size > 0) return
    this.#host.clock.clearTimeout(this.#timer)
    this.#empty()
  }

  #arm(until: number): void {
    const { clock } = this.#host
    const elapsed = clock.elapsed()
    const due = Math.min(this.#checkAt, elapsed + Math.max(0, until - clock.now()))
    if (due >= this.#due) return
    this.#due = due
    clock.clearTimeout(this.#timer)
    this.#timer = clock.setTimeout(() => this.#look(), Math.min(LONGEST_WAIT, Math.max(0, due - elapsed)))
  }

  #look(): void {
    const { clock } = this.#host
    this.#due = NEVER
    this.end(clock.now(), 'user-expired')
    if (this.#checkAt <= clock.elapsed()) {
      this.#checkAt = NEVER
      void this.#check()
    }
    let first = NEVER
    for (const { until } of this.#watches) first = Math.min(first, until)
    this.#arm(first)
  }

  async #check(): Promise<void> {
    const { clock, logger, limits } = this.#host
    let passes = true
    try {
      const asked = Promise.resolve(this.#validity.check?.()).then(answer => {
        passes = answer !== false
      })
      if (!(await withinTime(clock, limits.requestTimeout, asked))) throw new Error('timeout')
      this.#failures = 0
    } catch (error) {
      passes = ++this.#failures < MOST_FAILURES
      logger.error('iopa: the check of a user failed; the third failure in a row ends it', error)
    }
    if (!passes) this.end(NEVER, 'user-expired')
    else if (this.#failures === 0) for (const { checked } of this.#watches) checked?.()
    if (this.#watches.size === 0) return
    this.#plan()
    this.#arm(NEVER)
  }
}
