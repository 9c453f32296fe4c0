import type { Context } from '@iopa/transport'
import { ALLOWED, DENIED, type Recipient, UNKNOWN } from './recipients.ts'
import type { Session } from './session.ts'
import { isPassing, isRefusal } from './status.ts'
import type { Topic } from './topic-table.ts'

/** Milliseconds between two questions whose answer says nothing about the next time. */
const RETRIES = [100, 1000, 3000, 10_000]
/** Topics whose verdict a session remembers. */
const REMEMBERED = 1000

/**
 * Whether a session may do something with a topic, such as receive from it. The first time, a request runs in its name; 401 and 403
 * mean never. What was said holds until the session's user changes, or is forgotten for newer topics and asked again.
 */
export class Verdicts {
  readonly #session: Session
  readonly #request: (session: Session, topic: Topic) => Context
  #known: Map<string, boolean> | null = null
  #asking: Map<string, ((allowed: boolean) => void)[]> | null = null
  #epoch = 0

  /** `request` makes the context whose answer is the verdict. */
  constructor(session: Session, request: (session: Session, topic: Topic) => Context) {
    this.#session = session
    this.#request = request
  }

  /** Forgets everything: the session has another user. */
  reset(): void {
    this.#epoch++
    this.#known = null
  }

  /** Draws the verdict from the status of a request, and remembers it unless that says nothing about the next time. */
  conclude(topic: Topic, status: number): boolean {
    if (isPassing(status)) return false
    // Where no route answers GET, the guards of the others have not been asked: what they hide is for users.
    const hidden = status === 405 && topic.isGuarded && this.#session.context['server.User'] === undefined
    const allowed = !hidden && !isRefusal(status)
    this.#remember(topic.name, allowed)
    return allowed
  }

  #remember(topic: string, allowed: boolean): void {
    const known = (this.#known ??= new Map())
    if (known.size >= REMEMBERED && !known.has(topic)) known.delete(known.keys().next().value as string)
    known.set(topic, allowed)
    // What waits for the same decision goes first, so that no later message passes it.
    this.#answer(topic, allowed)
  }

  #answer(topic: string, allowed: boolean): void {
    const questions = this.#asking?.get(topic)
    if (questions === undefined) return
    this.#asking?.delete(topic)
    if (this.#asking?.size === 0) this.#asking = null
    for (const done of questions) done(allowed)
  }

  /** The verdict for a recipient of a topic, where it is known without asking. */
  of(topic: Topic, recipient: Recipient): typeof UNKNOWN | typeof ALLOWED | typeof DENIED {
    if (recipient.epoch === this.#epoch) return recipient.verdict
    const known = this.#known?.get(topic.name)
    if (known === undefined) return UNKNOWN
    recipient.epoch = this.#epoch
    recipient.verdict = known ? ALLOWED : DENIED
    return recipient.verdict
  }

  /** True when it is known that the session may not. */
  isDenied(topic: string): boolean {
    return this.#known?.get(topic) === false
  }

  /** Calls back once with the verdict, in the order of the questions; at once where the pipeline is synchronous. False when too many wait already. */
  ask(topic: Topic, done: (allowed: boolean) => void): boolean {
    const known = this.#known?.get(topic.name)
    if (known !== undefined) {
      done(known)
      return true
    }
    const waiting = this.#asking?.get(topic.name)
    if (waiting) {
      if (waiting.length >= this.#session.broker.limits.queueMessages) return false
      waiting.push(done)
      return true
    }
    const questions = [done]
    this.#asking ??= new Map()
    this.#asking.set(topic.name, questions)
    this.#run(topic, questions)
    return true
  }

  #run(topic: Topic, questions: ((allowed: boolean) => void)[], attempt = 0): void {
    const session = this.#session
    const { broker } = session
    const epoch = this.#epoch
    const ask = (): Context => this.#request(session, topic)
    broker.authorising.run(ask, ({ response: { status } }) => {
      if (this.#asking?.get(topic.name) !== questions) return
      if (epoch !== this.#epoch && !session.ended) {
        // The client has come back meanwhile: what is to be sent to it is decided for its present user, and not lost.
        this.#run(topic, questions)
        return
      }
      const current = !session.ended
      const wait = RETRIES[attempt]
      if (current && isPassing(status) && wait !== undefined) {
        // What was acknowledged is not lost because the app is busy.
        broker.clock.setTimeout(() => broker.flusher.batch(() => this.#run(topic, questions, attempt + 1)), wait)
        return
      }
      if (current && isPassing(status)) {
        broker.losses.note('a message is not delivered, for it could not be authorised', `${topic.path}, ${status}`)
        for (let lost = questions.length; lost > 0; lost--) session.drop()
      }
      const allowed = current && this.conclude(topic, status)
      this.#answer(topic.name, allowed)
    })
  }
}
