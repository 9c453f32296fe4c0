import type { Clock } from '@iopa/transport'
import type { Turns } from './turns.ts'

/** Milliseconds without an end and without a beginning after which the handlers at work are taken to wait for what waits here. */
const STALL = 50
/** Looks without such a stall after which the newest messages have no turns of their own any more. */
const CALM = 40

interface Waiting {
  readonly begin: () => void
  /** When it came. */
  readonly since: number
  /** Its place in the order of arrival. */
  readonly place: number
}

/** What waits of one user, in the order of arrival. */
interface Row {
  readonly waiting: Waiting[]
  /** True when its newest message has had the last turn. */
  newest: boolean
}

/**
 * Lets PUBLISH packets begin: at most three quarters of `limits.inFlight` are at work, the others wait, round robin by user, so that a
 * client within its receive maximum waits and is not refused, and one user with many messages does not keep the others waiting. A
 * deadline begins when the work does.
 *
 * Users who have had no turn since they wait have three of four turns. One of whom nothing waits may begin one message in the last eighth:
 * a client with little to say waits for no other.
 *
 * A handler may wait for a message of its publisher. Where all that may be at work do, a further eighth of `limits.inFlight` lets the
 * newest messages go ahead, a few at a time: what the handlers wait for is among those, for it was sent after what they handle.
 */
export class Admission {
  readonly #clock: Clock
  readonly #held: (ahead: boolean) => boolean
  readonly #most: number
  readonly #reserve: number
  #running = 0
  /** What waits, by user; the user at the front has the next turn. */
  readonly #waiting: Map<string, Row> = new Map()
  /** Of these, users who have had no turn since they wait: they have three of four. */
  readonly #fresh: Set<string> = new Set()
  #freshTurns = 0
  /** Users with a message that went ahead of what waits. */
  readonly #ahead: Set<string> = new Set()
  readonly #mostAhead: number
  readonly #turns: Turns
  #letting = false
  /** Looks for which the newest messages have every second turn; 0 for none. */
  #stalled = 0
  #places = 0
  #newest = false
  /** Counts ends and beginnings. */
  #moves = 0
  #seen = 0
  #timer: unknown = null

  /** `inFlight` is the bound on all work of the listener; while `held` says true, nothing begins, or nothing that goes ahead, and `resume` is called after that. */
  constructor(inFlight: number, clock: Clock, turns: Turns, held: (ahead: boolean) => boolean) {
    this.#clock = clock
    this.#turns = turns
    this.#held = held
    this.#most = Math.max(1, Math.floor(inFlight * 0.75))
    this.#reserve = Math.max(1, Math.floor(inFlight / 8))
    this.#mostAhead = Math.max(0, inFlight - this.#most - this.#reserve)
  }

  /** True when work may begin now; it says `leave` when it is done. */
  enter(): boolean {
    if (this.#running >= this.#most || this.#waiting.size > 0 || this.#held(false)) return false
    this.#running++
    return true
  }

  /** True when work of a user of whom nothing waits may begin ahead of the others, within the last eighth; it says `leaveAhead` when it is done. */
  enterAhead(user: string): boolean {
    if (this.#waiting.has(user) || this.#ahead.has(user) || this.#ahead.size >= this.#mostAhead || this.#held(true)) return false
    this.#ahead.add(user)
    return true
  }

  /** Work that went ahead is done. */
  leaveAhead(user: string): void {
    // No move: it says nothing about those that wait.
    this.#ahead.delete(user)
  }

  /** Has work wait for its turn; it is then counted as begun. */
  wait(user: string, begin: () => void): void {
    const row = this.#waiting.get(user)
    const last = { begin, since: this.#clock.elapsed(), place: ++this.#places }
    if (row) row.waiting.push(last)
    else {
      this.#waiting.set(user, { waiting: [last], newest: false })
      this.#fresh.add(user)
    }
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
    this.#fresh.clear()
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer)
    this.#timer = null
  }

  /** Work that is done at once does not nest. */
  #let(): void {
    this.#letting = true
    for (let user = this.#next(); user !== undefined; user = this.#next()) {
      if (!this.#turns.take()) {
        this.#turns.wait(this.#letOn)
        return
      }
      this.#newest = this.#stalled > 0 && !this.#newest
      this.#start(user)
    }
    this.#letting = false
  }

  /** Who has the next turn; undefined while no message may begin. */
  #next(): string | undefined {
    if (this.#waiting.size === 0 || this.#running >= this.#most || this.#held(false)) return undefined
    const fresh = ++this.#freshTurns % 4 > 0 ? this.#fresh.keys().next().value : undefined
    return fresh ?? this.#waiting.keys().next().value
  }

  readonly #letOn = (): void => this.#let()

  /** Begins one message of a user, who then has the last turn. */
  #start(user: string): void {
    const row = this.#waiting.get(user) as Row
    const { waiting } = row
    // Where a user's messages wait for long, the newest ones have every second turn: its handlers may wait for one of them.
    row.newest = !row.newest && this.#clock.elapsed() - (waiting[0] as Waiting).since > STALL
    const { begin } = (this.#newest || row.newest ? waiting.pop() : waiting.shift()) as Waiting
    this.#waiting.delete(user)
    this.#fresh.delete(user)
    if (waiting.length > 0) this.#waiting.set(user, row)
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
    if (this.#seen === this.#moves && !this.#held(false)) this.#relieve()
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
    for (const [user, { waiting }] of this.#waiting) {
      const last = waiting[waiting.length - 1] as Waiting
      if (last.place < place) continue
      latest = user
      place = last.place
    }
    return latest
  }
}
