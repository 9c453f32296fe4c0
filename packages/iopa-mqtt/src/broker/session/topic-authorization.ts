import type { Operation } from '../operation/operation.ts'
import { DROPS, type DropReason } from '../operation/statistics.ts'
import {
  type AccessCheck,
  ALLOWED,
  type Authorization,
  type AuthorizesTopics,
  DENIED,
  type Grant,
  type SessionScope,
  type TopicView,
  UNKNOWN
} from '../ports.ts'
import { isPassing, isRefusal } from '../status-codes.ts'

/** Milliseconds until a check whose outcome was temporary runs again. */
const RETRIES = [100, 1000, 3000, 10_000]
/** Topics that a session remembers. */
const REMEMBERED = 1000

/** The session that is authorized. */
export interface AuthorizedSession extends SessionScope {
  readonly ended: boolean
  drop(reason?: DropReason): void
}

/**
 * Whether a session may do something with a topic, such as receive from it. The first time, a request runs in its name; 401 and 403 mean
 * no. The outcome is valid until the user of the session changes, or until it is forgotten for newer topics.
 */
export class TopicAuthorization implements AuthorizesTopics {
  readonly #session: AuthorizedSession
  readonly #check: AccessCheck
  readonly #operation: Pick<Operation, 'settings' | 'turns' | 'statistics'>
  #known: Map<string, boolean> | null = null
  /** The callbacks that wait for a check, by topic. */
  #checking: Map<string, ((allowed: boolean) => void)[]> | null = null
  #epoch = 0

  constructor(session: AuthorizedSession, check: AccessCheck, operation: Pick<Operation, 'settings' | 'turns' | 'statistics'>) {
    this.#session = session
    this.#check = check
    this.#operation = operation
  }

  /** Forgets everything: the user of the session has changed. */
  reset(): void {
    this.#epoch++
    this.#known = null
  }

  /** Decides from the status of a request, and remembers that unless the status is temporary. */
  conclude(topic: TopicView, status: number): boolean {
    if (isPassing(status)) return false
    // Where no route answers GET, the guards of the other routes have not run: what they protect is for users.
    const hidden = status === 405 && topic.isGuarded && this.#session.context['server.User'] === undefined
    const allowed = !hidden && !isRefusal(status)
    this.#remember(topic.name, allowed)
    return allowed
  }

  of(topic: TopicView, grant: Grant): Authorization {
    if (grant.epoch === this.#epoch) return grant.authorization
    const known = this.#known?.get(topic.name)
    if (known === undefined) return UNKNOWN
    grant.epoch = this.#epoch
    grant.authorization = known ? ALLOWED : DENIED
    return grant.authorization
  }

  isDenied(topic: string): boolean {
    return this.#known?.get(topic) === false
  }

  ask(topic: TopicView, done: (allowed: boolean) => void): boolean {
    const known = this.#known?.get(topic.name)
    if (known !== undefined) {
      done(known)
      return true
    }
    const waiting = this.#checking?.get(topic.name)
    if (waiting) {
      if (waiting.length >= this.#operation.settings.limits.queueMessages) return false
      waiting.push(done)
      return true
    }
    const callbacks = [done]
    this.#checking ??= new Map()
    this.#checking.set(topic.name, callbacks)
    this.#run(topic, callbacks)
    return true
  }

  #remember(topic: string, allowed: boolean): void {
    const known = (this.#known ??= new Map())
    if (known.size >= REMEMBERED && !known.has(topic)) known.delete(known.keys().next().value as string)
    known.set(topic, allowed)
    // Callbacks that wait for this topic go first, so that no later message overtakes theirs.
    this.#answer(topic, allowed)
  }

  #answer(topic: string, allowed: boolean): void {
    const callbacks = this.#checking?.get(topic)
    if (callbacks === undefined) return
    this.#checking?.delete(topic)
    if (this.#checking?.size === 0) this.#checking = null
    for (const done of callbacks) done(allowed)
  }

  #run(topic: TopicView, callbacks: ((allowed: boolean) => void)[], attempt = 0): void {
    const session = this.#session
    const { turns, statistics } = this.#operation
    const epoch = this.#epoch
    this.#check(session, topic, status => {
      if (this.#checking?.get(topic.name) !== callbacks) return
      if (epoch !== this.#epoch && !session.ended) {
        // The client has reconnected meanwhile: its present user decides, and nothing is lost.
        this.#run(topic, callbacks)
        return
      }
      const current = !session.ended
      const wait = RETRIES[attempt]
      if (current && isPassing(status) && wait !== undefined) {
        // An acknowledged message is not lost because the app is busy.
        turns.later(() => this.#run(topic, callbacks, attempt + 1), wait)
        return
      }
      if (current && isPassing(status)) {
        statistics.losses.note(DROPS['not-authorised'], `${topic.path}, ${status}`)
        for (let lost = callbacks.length; lost > 0; lost--) session.drop('not-authorised')
      }
      const allowed = current && this.conclude(topic, status)
      this.#answer(topic.name, allowed)
    })
  }
}
