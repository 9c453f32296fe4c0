import { type AnswerRecord, READ, type RunContext, SCOPE } from '@iopa/context/host'
import { type Cause, OUTSIDE } from './cause.ts'
import { type Asker, type Identities, isPrivate, keyOf, Users } from './inputs.ts'
import type { RunStarter } from './run-starter.ts'
import type { SharedRun } from './shared-run.ts'
import type { Turns } from './turns.ts'

/** What the runs of a path need of the registry. */
export interface RunHost {
  readonly turns: Turns
  readonly identities: Identities
  readonly starter: RunStarter
  /** Milliseconds that have passed. */
  elapsed(): number
  /** Runs `release` after a while, for a path that seems to notify itself; what it returns cancels that. */
  hold(path: string, release: () => void): () => void
  /** Called when nothing is under way and nobody observes. */
  idle(runs: PathRuns): void
}

/** Runs of one path under way, and runs begun in one turn of the event loop. */
const MOST_RUNS = 64
/** Rounds in a row that runs of the path seem to have caused, before it is held back. */
const MOST_LOOPS = 16
/** Milliseconds that these rounds may take, where another path's runs seem to lie between. */
const LOOP_TIME = 1000

/**
 * The GETs of one path. Askers share a run as long as they are equal in the inputs that runs have read so far; one that differs in an input that the
 * run has read gets another run. Equal askers get one run at a time, and one in a turn of the event loop.
 */
export class PathRuns {
  readonly path: string
  /** Those who are told of every change. */
  readonly observers: Set<Asker> = new Set()
  readonly #host: RunHost
  /** Those who are owed an answer, by their inputs. */
  readonly #waiting = new Map<string, Asker[]>()
  readonly #active = new Map<string, SharedRun>()
  /** All observers are owed an answer, and have not been put to those who wait. */
  #dirty = false
  /** All observers wait. */
  #full = false
  /** The inputs that runs read, as far as is known, and those that have been read since nothing was under way. */
  #profile = 0
  #batch = 0
  #scheduled = false
  #turn = -1
  readonly #started = new Set<string>()
  /** Why the next runs begin. */
  #cause: Cause | null = null
  /** The context that made the newest of the changes that they tell of, where one is known. */
  #origin: RunContext | null = null
  #loops = 0
  #loopsSince = 0
  /** All of these rounds were caused while a run of the path itself was under way. */
  #direct = true
  #release: (() => void) | null = null

  constructor(path: string, host: RunHost) {
    this.path = path
    this.#host = host
  }

  get isIdle(): boolean {
    return this.#waiting.size === 0 && this.#active.size === 0 && !this.#dirty
  }

  /** Adds an observer, that has the newest answer. */
  observe(asker: Asker): void {
    this.observers.add(asker)
    // So that a further change finds all of them waiting.
    if (this.#full) this.#add([asker])
  }

  /** Owes every observer an answer that is read from now on: changes within one turn share it. */
  refresh(cause: Cause, origin: RunContext | null): void {
    this.#dirty = true
    if (origin !== null) this.#origin = origin
    this.#because(cause)
    this.#schedule()
  }

  /** As `refresh`, for some observers. */
  owe(askers: Iterable<Asker>, cause: Cause, origin: RunContext | null = null): void {
    this.#add(askers)
    if (origin !== null) this.#origin = origin
    this.#because(cause)
    this.#schedule()
  }

  /** Owes one asker an answer, whose run begins at once where it can. */
  ask(asker: Asker, cause: Cause): void {
    this.#add([asker])
    this.#because(cause)
    if (!this.#scheduled) this.#pump()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(this.#pump)
  }

  #add(askers: Iterable<Asker>): void {
    const profile = this.#profile
    const users = (profile & READ.User) === 0 ? null : new Users(this.#host.identities)
    let last: string | null = null
    let group: Asker[] = []
    for (const asker of askers) {
      if (asker.waits) continue
      asker.waits = true
      const known = users === null && asker.inputBits === profile
      const key = known ? asker.inputs : keyOf(asker, profile, users === null ? undefined : asker.context['server.User'], users)
      if (key !== last) {
        last = key
        const waiting = this.#waiting.get(key)
        if (waiting === undefined) this.#waiting.set(key, (group = []))
        else group = waiting
      }
      group.push(asker)
    }
  }

  #because(cause: Cause): void {
    const known = this.#cause
    const own = this.#active.size > 0
    if (cause === OUTSIDE || (cause.chain === null && !own && cause.suspects?.has(this.path) !== true)) {
      this.#cause = cause === OUTSIDE || known === null ? cause : known
      this.#loops = 0
      this.#direct = true
      this.#release?.()
      return
    }
    if (!own) this.#direct = false
    if (known === null) this.#cause = cause
    else if (known !== OUTSIDE) this.#cause = { chain: known.chain ?? cause.chain, suspects: union(known.suspects, cause.suspects) }
  }

  readonly #pump = (): void => {
    this.#scheduled = false
    if (this.isIdle || this.#release !== null) return
    const { number } = this.#host.turns
    if (this.#turn !== number) {
      this.#turn = number
      this.#started.clear()
    }
    // Within one turn all observers are put to those who wait once.
    let later = this.#dirty && this.#started.size > 0
    if (this.#dirty && !later) this.#spread()
    const cause = this.#cause ?? OUTSIDE
    const looping = cause.suspects?.has(this.path) === true
    const before = this.#started.size
    for (const [key, askers] of this.#waiting) {
      if (this.#active.size >= MOST_RUNS) break
      if (this.#active.has(key)) continue
      if (this.#started.size >= MOST_RUNS || this.#started.has(key)) {
        later = true
        if (this.#started.size >= MOST_RUNS) break
        continue
      }
      if (looping && this.#isLoop()) {
        this.#hold(cause)
        return
      }
      this.#waiting.delete(key)
      this.#start(key, askers, cause)
    }
    if (looping && this.#started.size > before && this.#loops++ === 0) this.#loopsSince = this.#host.elapsed()
    if (this.#waiting.size === 0 && !this.#dirty) this.#cause = this.#origin = null
    if (later && !this.#scheduled) {
      this.#scheduled = true
      this.#host.turns.next(this.#pump)
    }
    if (this.observers.size === 0 && this.isIdle) this.#host.idle(this)
  }

  #spread(): void {
    this.#dirty = false
    if (this.#full) return
    this.#add(this.observers)
    this.#full = this.observers.size > 0
  }

  /** True after many rounds in a row; where other paths lie between, after as many in a short time, for many paths that change often look alike. */
  #isLoop(): boolean {
    if (this.#loops < MOST_LOOPS) return false
    if (this.#direct || this.#host.elapsed() - this.#loopsSince < LOOP_TIME) return true
    this.#loops = 0
    this.#direct = true
    return false
  }

  /** Limits a path to a few runs a second if it changes again and again during its own runs and the origin of the changes is unknown. */
  #hold(cause: Cause): void {
    const cancel = this.#host.hold(this.path, () => {
      this.#release = null
      this.#cause = { chain: cause.chain, suspects: null }
      this.#pump()
    })
    this.#release = () => {
      this.#release = null
      cancel()
      this.#schedule()
    }
  }

  #start(key: string, askers: readonly Asker[], cause: Cause): void {
    let leader: Asker | null = null
    let lives = false
    for (const asker of askers) {
      asker.waits = false
      if (lives || asker.removed) continue
      leader = asker
      lives = !asker.context[SCOPE].ended
    }
    this.#full = false
    if (leader === null) return
    this.#started.add(key)
    // What begins in the next turn has seen more.
    this.#host.turns.count()
    const run = this.#host.starter.start(leader, askers, cause, this.#origin, (ended, answer) => this.#finished(key, ended, answer))
    this.#active.set(key, run)
    // The others need not wait for a run that is not theirs.
    if (askers.length > 1) {
      if ((run.reads.bits & READ.Private) !== 0) this.#split(run)
      else run.reads.onPrivate = () => queueMicrotask(() => this.#split(run))
    }
  }

  /** Gives all but the leader of a run that has turned out private runs of their own. */
  #split(run: SharedRun): void {
    const { leader, askers } = run
    if (run.over || askers.length === 1) return
    const others = askers.filter(asker => asker !== leader && !asker.removed)
    run.askers = [leader]
    this.#profile |= READ.Private
    this.#batch |= READ.Private
    this.#again(others, run)
    this.#schedule()
  }

  #again(askers: Iterable<Asker>, run: SharedRun): void {
    this.#add(askers)
    this.#cause ??= run.cause
  }

  #finished(key: string, run: SharedRun, answer: AnswerRecord | null): void {
    this.#active.delete(key)
    const { leader, askers, reads } = run
    const bits = reads.bits | (answer !== null && answer.fields !== null && isPrivate(answer) ? READ.Private : 0)
    this.#profile |= bits
    this.#batch |= bits
    if (answer === null) for (const asker of askers) asker.told(null, run)
    else {
      // The run of a leader that has gone meanwhile may have been broken off.
      const whole = !leader.context[SCOPE].ended
      const compared = bits !== 0 && askers.length > 1
      const users = compared ? new Users(this.#host.identities) : null
      const inputs = compared ? keyOf(leader, bits, run.user, users) : ''
      const left: Asker[] = []
      leader.told(answer, run)
      const byUser = (bits & READ.User) !== 0
      for (const asker of askers) {
        if (asker === leader || asker.removed) continue
        if (whole && (!compared || keyOf(asker, bits, byUser ? asker.context['server.User'] : undefined, users) === inputs)) asker.told(answer, run)
        else left.push(asker)
      }
      if (left.length > 0) this.#again(left, run)
    }
    if (!this.isIdle) {
      if (!this.#scheduled) this.#pump()
      return
    }
    this.#profile = this.#batch
    this.#batch = 0
    if (this.observers.size === 0) this.#host.idle(this)
  }
}

const union = (one: ReadonlySet<string> | null, other: ReadonlySet<string> | null): ReadonlySet<string> | null =>
  one === null ? other : other === null ? one : new Set([...one, ...other])
