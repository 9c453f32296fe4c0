import type { Clock } from '@iopa/transport'
import type { Turns } from '../operation/turns.ts'
import type { Backpressure } from '../ports.ts'

/** Milliseconds in which no message began or ended: the running handlers are then assumed to wait for a message that waits here. */
const STALL = 50
/** Checks without such a stall after which the newest messages lose their extra turns. */
const CALM = 40

interface Waiting {
  readonly begin: () => void
  /** When it came. */
  readonly since: number
  /** Its place in the order of arrival. */
  readonly place: number
}

/** The waiting messages of one user, in the order of arrival. */
interface Row {
  readonly waiting: Waiting[]
  /** True if the last turn was for its newest message. */
  newest: boolean
}

/**
 * Admits PUBLISH packets to the pipeline. At most three quarters of `limits.inFlight` run; the others wait, round robin by user. So a client
 * within its receive maximum waits and is not refused, and a user with many messages does not delay the others. The deadline of a message
 * starts when its handler does.
 *
 * Users who had no turn since they began to wait get three of four turns. A user without waiting messages may begin one message in the last
 * eighth: a client with few messages does not wait for the others.
 *
 * A handler may wait for another message of its publisher. If all running handlers do, a further eighth of `limits.inFlight` lets the newest
 * messages go ahead, a few at a time: the message that a handler waits for was sent after the one that it handles.
 */
export class Admission {
  readonly #clock: Clock
  readonly #pressure: Readonly<Backpressure>
  readonly #most: number
  readonly #reserve: number
  #running = 0
  /** Waiting messages by user; the first user has the next turn. */
  readonly #waiting: Map<string, Row> = new Map()
  /** Users who had no turn since they began to wait. */
  readonly #fresh: Set<string> = new Set()
  #freshTurns = 0
  /** Users with a running message that went ahead. */
  readonly #ahead: Set<string> = new Set()
  readonly #mostAhead: number
  readonly #turns: Turns
  #letting = false
  /** Checks for which the newest messages still get every second turn. */
  #stalled = 0
  #places = 0
  #newest = false
  /** Counts ends and beginnings. */
  #moves = 0
  #seen = 0
  #timer: unknown = null

  /** `inFlight` is the bound on all work of the listener; under `pressure` nothing begins, and `resume` is called after that. */
  constructor(inFlight: number, clock: Clock, turns: Turns, pressure: Readonly<Backpressure>) {
    this.#clock = clock
    this.#turns = turns
    this.#pressure = pressure
    this.#most = Math.max(1, Math.floor(inFlight * 0.75))
    this.#reserve = Math.max(1, Math.floor(inFlight / 8))
    this.#mostAhead = Math.max(0, inFlight - this.#most - this.#reserve)
  }

  /** True if a message may begin now; call `leave` when it is done. */
  enter(): boolean {
    if (this.#running >= this.#most || this.#waiting.size > 0 || this.#pressure.authorizing || this.#pressure.forwarding) return false
    this.#running++
    return true
  }

  /** True if a message of a user without waiting messages may go ahead, within the last eighth; call `leaveAhead` when it is done. */
  enterAhead(user: string): boolean {
    if (this.#waiting.has(user) || this.#ahead.has(user) || this.#ahead.size >= this.#mostAhead || this.#pressure.overwhelmed) return false
    this.#ahead.add(user)
    return true
  }

  /** A message that went ahead is done. */
  leaveAhead(user: string): void {
    // Not counted as a move: it does not show that waiting messages progress.
    this.#ahead.delete(user)
  }

  /** Queues a message; `begin` is called when it has its turn, and it then counts as running. */
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

  /** A message is done. */
  leave(): void {
    this.#running--
    this.#moves++
    if (this.#waiting.size > 0 && !this.#letting) this.#let()
  }

  /** Messages may begin again after backpressure. */
  resume(): void {
    this.#moves++
    if (this.#waiting.size > 0 && !this.#letting) this.#let()
  }

  /** Drops all waiting messages. */
  close(): void {
    this.#waiting.clear()
    this.#fresh.clear()
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer)
    this.#timer = null
  }

  /** Starts waiting messages, in a loop: those that are handled at once must not nest. */
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

  get #held(): boolean {
    return this.#pressure.authorizing || this.#pressure.forwarding
  }

  /** The user with the next turn; undefined while no message may begin. */
  #next(): string | undefined {
    if (this.#waiting.size === 0 || this.#running >= this.#most || this.#held) return undefined
    const fresh = ++this.#freshTurns % 4 > 0 ? this.#fresh.keys().next().value : undefined
    return fresh ?? this.#waiting.keys().next().value
  }

  readonly #letOn = (): void => this.#let()

  /** Starts one message of a user, who then goes to the end. */
  #start(user: string): void {
    const row = this.#waiting.get(user) as Row
    const { waiting } = row
    // If messages of a user wait for long, every second turn is for the newest: its handlers may wait for one of them.
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
    if (this.#seen === this.#moves && !this.#held) this.#relieve()
    if (this.#waiting.size > 0) this.#watch()
    else this.#stalled = 0
  }

  /** Nothing has moved: starts the newest few messages, as far as there is room. */
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
