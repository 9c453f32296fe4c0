import type { Clock } from '@iopa/appbuilder'

/** Milliseconds without an end and without a beginning after which the handlers at work are taken to wait for what waits here. */
const STALL = 50
/** Looks without such a stall after which the newest messages have no turns of their own any more. */
const CALM = 40

interface Waiting {
  readonly begin: () => void
  /** Its place in the order of arrival. */
  readonly place: number
}

/**
 * Lets PUBLISH packets begin: at most three quarters of `limits.inFlight` are at work, the others wait, round robin by user, so that a
 * client within its receive maximum waits and is not refused, and one user with many messages does not keep the others waiting. A
 * deadline begins when the work does.
 *
 * A handler may wait for a message of its publisher. Where all that may be at work do, a further eighth of `limits.inFlight` lets the
 * newest messages go ahead, a few at a time: what the handlers wait for is among those, for it was sent after what they handle.
 */
export class Admission {
  readonly #clock: Clock
  readonly #held: () => boolean
  readonly #most: number
  readonly #reserve: number
  #running = 0
  /** What waits, by user; the user at the front has the next turn. */
  readonly #waiting: Map<string, Waiting[]> = new Map()
  #letting = false
  /** Looks for which the newest messages have every second turn; 0 for none. */
  #stalled = 0
  #places = 0
  #newest = false
  /** Counts ends and beginnings. */
  #moves = 0
  #seen = 0
  #timer: unknown = null

  /** `inFlight` is the bound on all work of the listener; while `held` says true, nothing begins, and `resume` is called after that. */
  constructor(inFlight: number, clock: Clock, held: () => boolean) {
    this.#clock = clock
    this.#held = held
    this.#most = Math.max(1, Math.floor(inFlight * 0.75))
    this.#reserve = Math.max(1, Math.floor(inFlight / 8))
  }

  /** True when work may begin now; it says `leave` when it is done. */
  enter(): boolean {
    if (this.#running >= this.#most || this.#waiting.size > 0 || this.#held()) return false
    this.#running++
    return true
  }

  /** Has work wait for its turn; it is then counted as begun. */
  wait(user: string, begin: () => void): void {
    const waiting = this.#waiting.get(user)
    const last = { begin, place: ++this.#places }
    if (waiting) waiting.push(last)
    else this.#waiting.set(user, [last])
    this.#watch()
  }

  /** Work is done. */
  leave(): void {
    this.#running--
    this.#moves++
    if (this.#waiting.size > 0 && !this.#letting) this.#let()
  }

  /** What was held may begin. */
  resume(): void {
    this.#moves++
    if (this.#waiting.size > 0 && !this.#letting) this.#let()
  }

  /** Drops what waits. */
  close(): void {
    this.#waiting.clear()
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer)
    this.#timer = null
  }

  /** Work that is done at once does not nest. */
  #let(): void {
    this.#letting = true
    while (this.#running < this.#most && this.#waiting.size > 0 && !this.#held()) {
      const user = this.#waiting.keys().next().value as string
      this.#newest = this.#stalled > 0 && !this.#newest
      this.#start(user)
    }
    this.#letting = false
  }

  /** Begins one message of a user, who then has the last turn. */
  #start(user: string): void {
    const waiting = this.#waiting.get(user) as Waiting[]
    const { begin } = (this.#newest ? waiting.pop() : waiting.shift()) as Waiting
    this.#waiting.delete(user)
    if (waiting.length > 0) this.#waiting.set(user, waiting)
    this.#running++
    this.#moves++
    begin()
  }

  #watch(): void {
    if (this.#timer !== null) return
    this.#seen = this.#moves
    this.#timer = this.#clock.setTimeout(this.#look, STALL)
  }

  readonly #look = (): void => {
    this.#timer = null
    if (this.#stalled > 0) this.#stalled--
    if (this.#seen === this.#moves && !this.#held()) this.#relieve()
    if (this.#waiting.size > 0) this.#watch()
    else this.#stalled = 0
  }

  /** Nothing has moved: the newest few messages begin, as far as there is room. */
  #relieve(): void {
    const most = Math.min(this.#most + this.#reserve, this.#running + Math.ceil(this.#reserve / 16))
    for (let turns = this.#waiting.size; turns > 0 && this.#running < most && this.#waiting.size > 0; turns--) {
      this.#stalled = CALM
      this.#newest = true
      this.#start(this.#latest())
    }
  }

  /** The user whose message came last. */
  #latest(): string {
    let latest = ''
    let place = 0
    for (const [user, waiting] of this.#waiting) {
      const last = waiting[waiting.length - 1] as Waiting
      if (last.place < place) continue
      latest = user
      place = last.place
    }
    return latest
  }
}
