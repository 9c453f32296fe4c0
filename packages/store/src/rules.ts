import type { Logger } from '@iopa/appbuilder'
import { type RunNesting, runNesting } from '@iopa/appbuilder/extension'
import type { MaybePromise } from './turns.ts'

/** Changes of one document that wait for the rules; beyond it the newest takes the place of the one before. */
const MOST_WAITING = 256
/** Changes that follow from one another by rules. */
const DEEPEST = 32

/** A change as rules hear of it. */
export interface RuleChange {
  readonly key: string
  readonly previous: unknown
  /** True for a change that another worker has made. */
  readonly replica: boolean
}

interface Rule<Change> {
  readonly run: (change: Change) => MaybePromise<unknown>
  readonly replicas: boolean
}

interface Waiting<Change> {
  readonly change: Change
  readonly depth: number
}

/** How many rules have led to the code that runs now, in all stores of the process. */
const depths: RunNesting<number> = runNesting()

/** The rules of a store: they run after a change has been kept, for each document in the order of its changes. */
export class Rules<Change extends RuleChange> {
  readonly #rules = new Set<Rule<Change>>()
  /** By document, what the run under way does not know of yet. */
  readonly #waiting = new Map<string, Waiting<Change>[]>()
  readonly #logger: () => Logger
  readonly #name: string
  #cut = false

  constructor(name: string, logger: () => Logger) {
    this.#name = name
    this.#logger = logger
  }

  get active(): boolean {
    return this.#rules.size > 0
  }

  add(run: Rule<Change>['run'], replicas: boolean): () => void {
    const rule = { run, replicas }
    this.#rules.add(rule)
    return () => void this.#rules.delete(rule)
  }

  /** Has the rules run for a change, after the code that runs now. */
  heard(change: Change): void {
    const depth = (depths.current() ?? 0) + 1
    if (depth > DEEPEST) {
      if (!this.#cut)
        this.#logger().error(`iopa: rules lead back to ${this.#name} in a circle, which is cut after ${DEEPEST} changes; compare before you put`)
      this.#cut = true
      return
    }
    const waiting = this.#waiting.get(change.key)
    if (waiting === undefined) {
      this.#waiting.set(change.key, [{ change, depth }])
      queueMicrotask(() => void this.#run(change.key))
      return
    }
    const last = waiting.at(-1)
    if (waiting.length < MOST_WAITING || last === undefined) waiting.push({ change, depth })
    else waiting[waiting.length - 1] = { change: { ...change, previous: last.change.previous }, depth: Math.max(depth, last.depth) }
  }

  async #run(key: string): Promise<void> {
    const waiting = this.#waiting.get(key) as Waiting<Change>[]
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { change, depth } = next
      for (const { run, replicas } of this.#rules) {
        if (change.replica && !replicas) continue
        try {
          await depths.run(depth, () => run(change))
        } catch (error) {
          this.#logger().error(`iopa: a rule of ${this.#name} failed`, error)
        }
      }
    }
    this.#waiting.delete(key)
  }
}
