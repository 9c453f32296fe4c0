import type { Answer, Context } from '@iopa/context'
import type { Observer } from './observer.ts'
import { isPrivate } from './share-key.ts'

type State = 'idle' | 'scheduled' | 'running'

/** Observers of one path that may see the same answer: at most one GET is in flight for them, and one more is owed. */
export class ObserverGroup {
  readonly path: string
  readonly observers: Set<Observer<ObserverGroup>> = new Set()
  readonly #get: (path: string, as: Context) => Promise<Answer>
  readonly #isolate: (group: ObserverGroup) => void
  #key: string | null = null
  #state: State = 'idle'
  #dirty = false
  /** Observers that joined while a run was under way: their own GET was later, so its answer may be older than what they have. */
  readonly #late = new Set<Observer>()

  /** `isolate` is called when an answer may not be shared after all. */
  constructor(path: string, get: (path: string, as: Context) => Promise<Answer>, isolate: (group: ObserverGroup) => void) {
    this.path = path
    this.#get = get
    this.#isolate = isolate
  }

  /** The share key; null for a group of one. */
  get key(): string | null {
    return this.#key
  }

  add(observer: Observer<ObserverGroup>, key: string | null): void {
    this.#key = key
    this.observers.add(observer)
    if (this.#state === 'running') this.#late.add(observer)
    observer.group = this
  }

  delete(observer: Observer<ObserverGroup>): void {
    this.observers.delete(observer)
    this.#late.delete(observer)
    observer.group = null
  }

  /** Owes the observers a run: changes within one turn of the event loop share it. */
  refresh(): void {
    if (this.#state === 'running') this.#dirty = true
    else if (this.#state === 'idle') {
      this.#state = 'scheduled'
      queueMicrotask(() => this.#run())
    }
  }

  #run(): void {
    const first = this.observers.values().next().value
    if (first === undefined) {
      this.#state = 'idle'
      return
    }
    this.#state = 'running'
    this.#dirty = false
    const leader = first.context
    this.#get(this.path, leader).then(
      answer => this.#finished(leader, answer),
      (error: unknown) => {
        leader['server.Logger'].error(`iopa: a notification of ${this.path} failed`, error)
        this.#finished(leader, null)
      }
    )
  }

  #finished(leader: Context, answer: Answer | null): void {
    this.#state = 'idle'
    // The run belonged to the leader's scope; if that has ended, the others still wait for a whole one.
    if (leader.ended) this.#dirty = this.#dirty || this.observers.size > 0
    else if (answer !== null) {
      if (this.observers.size > 1 && isPrivate(answer)) this.#isolate(this)
      else for (const observer of [...this.observers]) if (!this.#late.has(observer)) observer.push(answer)
    }
    this.#late.clear()
    if (this.#dirty && this.observers.size > 0) this.refresh()
  }
}
