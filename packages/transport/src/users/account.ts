import { IopaError, type Validity } from '@iopa/constants'
import type { Context } from '@iopa/context'
import { type Clock, type TimerHandle, withinTime } from '../contract/clock.ts'
import type { FailureLog } from '../errors/failure-log.ts'

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
  /** Bounds what failing checks write into the log. */
  readonly failures: FailureLog
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
  /** Moments of `elapsed()`: of the next check, and of the timer. */
  #checkAt = NEVER
  #due = NEVER
  #checking = false
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
      if (this.#checkAt === NEVER && !this.#checking) this.#plan()
    }
    this.#arm(watch.until)
  }

  delete(watch: Watch): void {
    this.#watches.delete(watch)
    this.#settle()
  }

  /** Ends watches that are valid until then, or all. */
  end(until: number, code: string): void {
    for (const watch of this.#watches) {
      if (watch.until > until) continue
      this.#watches.delete(watch)
      watch.ended(new IopaError(401, code, 'Authenticate again.'))
    }
    this.#settle()
  }

  /** With jitter, so that users who connect together are not checked together. */
  #plan(): void {
    const { every = 0 } = this.#validity
    this.#checkAt = this.#host.clock.elapsed() + (every > 0 ? every : 60_000) * (0.9 + Math.random() / 5)
  }

  #settle(): void {
    if (this.#watches.size > 0) return
    this.#checkAt = NEVER
    this.#host.clock.clearTimeout(this.#timer)
    this.#empty()
  }

  /** Sets the timer for the check, or for a time since 1970 where that is earlier. */
  #arm(until: number): void {
    const { clock } = this.#host
    const elapsed = clock.elapsed()
    const wait = Math.min(LONGEST_WAIT, until - clock.now(), this.#checkAt - elapsed)
    // A time that is not a number counts as past.
    const due = elapsed + Math.max(0, wait || 0)
    if (due >= this.#due) return
    this.#due = due
    clock.clearTimeout(this.#timer)
    this.#timer = clock.setTimeout(() => this.#look(), due - elapsed)
  }

  #look(): void {
    const { clock } = this.#host
    this.#due = NEVER
    this.end(clock.now(), 'user-expired')
    if (this.#watches.size === 0) return
    if (this.#checkAt <= clock.elapsed()) {
      this.#checkAt = NEVER
      void this.#check()
    }
    let until = NEVER
    for (const watch of this.#watches) until = Math.min(until, watch.until)
    if (until < NEVER || this.#checkAt < NEVER) this.#arm(until)
  }

  async #check(): Promise<void> {
    const { clock, logger, limits, failures } = this.#host
    let passes: unknown
    this.#checking = true
    try {
      const asked = Promise.resolve(this.#validity.check?.()).then(answer => {
        passes = answer
      })
      if (!(await withinTime(clock, limits.requestTimeout, asked))) throw new Error('timeout')
      // Many checks return undefined for a missing user: that must not count as valid.
      if (typeof passes !== 'boolean') throw new TypeError('The check of a user must return true or false.')
      this.#failures = 0
    } catch (error) {
      passes = ++this.#failures < MOST_FAILURES
      if (failures.take()) logger.error('iopa: the check of a user failed; the third failure in a row ends it', error)
    }
    this.#checking = false
    if (passes !== true) this.end(NEVER, 'user-expired')
    else if (this.#failures === 0) for (const { checked } of this.#watches) checked?.()
    if (this.#watches.size === 0) return
    this.#plan()
    this.#arm(NEVER)
  }
}
