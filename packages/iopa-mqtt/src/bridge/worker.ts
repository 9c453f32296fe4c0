import { Backoff, IopaError, type SealedAnswer } from '@iopa/transport'
import type { Losses } from '../broker/operation/statistics.ts'
import type { RemoteBroker } from '../remote/broker.ts'
import type { Connection } from '../remote/connection.ts'
import type { InboundMessage } from '../remote/message.ts'
import { endController, pause, within } from '../remote/waiting.ts'
import { isTopicName } from '../topics/topic.ts'
import { Acknowledgements, type AckOrder, type Delivery } from './acknowledgements.ts'
import type { DeadLetters } from './dead-letters.ts'
import { Inbox } from './inbox.ts'
import { InboxPause } from './inbox-pause.ts'
import { invokeFor, type RequestParent, responseOf } from './requests.ts'

/** A message in the hands of the worker. */
interface Job extends Delivery {
  /** Gives back what was counted of it with the bodies in memory. */
  giveBack?: (() => void) | undefined
}

/** What a `Worker` needs. */
export interface WorkerParts extends RequestParent {
  readonly broker: RemoteBroker
  readonly deadLetters: DeadLetters
  readonly losses: Losses
  readonly window: number
  readonly ackOrder: AckOrder
  readonly attempts: number
  readonly retry: { readonly initial: number; readonly maximum: number }
  /** Whether a response may be published to a topic: not where it would pass for a command, a state or a dead letter. */
  mayRespondTo(topic: string): boolean
  /** Applies a message from a state topic; must not reject. */
  applyState(message: InboundMessage): Promise<void>
}

/** Handles messages at least once: each is acknowledged when the app is done with it, never before, and in the order of arrival. */
export class Worker {
  readonly #parts: WorkerParts
  readonly #commands: Inbox<Job>
  /** Apart, so that commands that are held cannot keep the state from coming in. */
  readonly #states: Inbox<Job>
  readonly #acknowledgements: Acknowledgements
  readonly #stopping = endController()
  readonly #pauses: InboxPause
  /** QoS 0 messages that found no room. */
  dropped = 0

  constructor(parts: WorkerParts) {
    const { limits } = parts.host
    this.#parts = parts
    this.#acknowledgements = new Acknowledgements(parts.ackOrder)
    this.#pauses = new InboxPause(parts.host.clock)
    const bounds = {
      window: parts.window,
      maxWaiting: limits.queueMessages,
      maxWaitingBytes: Math.max(limits.queueBytes, limits.body * 2, WAITING_BYTES),
      keyOf: ({ message }: Job) => message.topic,
      sizeOf: ({ message }: Job) => message.payload.length + message.topic.length
    }
    this.#commands = new Inbox<Job>({ ...bounds, run: job => this.#run(job, () => this.#handle(job)) })
    this.#states = new Inbox<Job>({ ...bounds, run: job => this.#run(job, () => parts.applyState(job.message).then(() => true)) })
  }

  /** Takes a message of a connection; `state` says that it comes from a state topic. Where a promise comes back, the connection reads on when it settles. */
  receive(message: InboundMessage, connection: Connection, state: boolean): void | Promise<void> {
    // On a connection that is ending nothing can be acknowledged; the next one brings it again.
    if (message.qos === 1 && !connection.connected) return
    const job: Job | null = this.#acknowledgements.take(message, connection)
    if (job === null) return
    const inbox = state ? this.#states : this.#commands
    if (inbox.offer(job)) {
      this.#acknowledgements.remember(job)
      return this.#count(job) ?? (inbox.full ? this.#pauses.until(inbox) : undefined)
    } else if (job.slot) {
      this.#parts.host.logger.warn(`iopa: the broker has more messages under way than agreed; the connection is renewed`)
      connection.destroy(RECEIVE_MAXIMUM_EXCEEDED)
    } else {
      this.dropped++
      this.#parts.losses.note('a message of QoS 0 finds no room and is dropped', message.topic)
    }
  }

  /** Acknowledges a message that is not for this app. */
  skip(message: InboundMessage, connection: Connection): void {
    this.#acknowledgements.skip(message, connection)
  }

  /** The broker has lost our session: nothing comes again under its old identifier. */
  forget(): void {
    this.#acknowledgements.forget()
  }

  /** Waits until everything taken has been handled, or `timeout` milliseconds; then gives up what is held, unacknowledged. */
  async drain(timeout: number): Promise<void> {
    await within(timeout, this.#parts.host.clock, Promise.all([this.#commands.idle(), this.#states.idle()]))
    this.#stopping.abort()
  }

  /** Counts a message among the bodies in memory until it is settled; where they have no room for more, the connection waits. */
  #count(job: Job): Promise<void> | undefined {
    const { host, endpoint } = this.#parts
    const { bodies } = host.scope.environment
    if (bodies === undefined) return undefined
    const owner = bodies.ownerOf({ 'server.User': undefined, 'server.RemoteAddress': endpoint.remoteAddress })
    const { length } = job.message.payload
    if (length > UNCOUNTED && !job.done) {
      bodies.take(owner, length)
      job.giveBack = () => {
        job.giveBack = undefined
        bodies.give(owner, length)
      }
    }
    return bodies.tight && !bodies.hasRoom(owner, 1) ? this.#pauses.untilFreed(bodies) : undefined
  }

  async #run(job: Job, work: () => Promise<boolean>): Promise<void> {
    try {
      const settled = await work()
      job.giveBack?.()
      if (!settled) return
    } catch (error) {
      // Only a defect of ours gets here; the message counts as handled, for it would fail the same way again.
      this.#parts.host.logger.error(`iopa: a message to ${job.message.topic} could not be worked on`, error)
    }
    job.giveBack?.()
    this.#acknowledgements.complete(job)
  }

  /** True when the message may be acknowledged; false leaves it to the broker. */
  async #handle({ message }: Job): Promise<boolean> {
    const { attempts, retry, deadLetters, host } = this.#parts
    const backoff = new Backoff(retry)
    for (let attempt = 1; ; attempt++) {
      const answer = await invokeFor(message, this.#parts)
      if (answer === null) return true
      if (message.properties.responseTopic !== undefined) {
        await this.#respond(message, answer, message.properties.responseTopic)
        return true
      }
      const outcome = outcomeOf(answer.status)
      if (outcome === 'acknowledge' || message.qos === 0) return true
      if (outcome === 'dead-letter' || (outcome === 'retry' && attempt >= attempts))
        return deadLetters.publish(message, answer, attempt, this.#stopping.signal)
      const after = Number(answer.headers.get('retry-after')) * 1000
      const wait = after > 0 ? Math.max(Math.min(after, retry.maximum), backoff.next()) : backoff.next()
      if (!(await pause(wait, host.clock, this.#stopping.signal))) return false
    }
  }

  async #respond(message: InboundMessage, answer: SealedAnswer, topic: string): Promise<void> {
    const { host, broker, losses, mayRespondTo } = this.#parts
    const late = new AbortController()
    if (!isTopicName(topic) || !mayRespondTo(topic)) {
      losses.note('a request asks for a response where this worker does not publish', `to ${topic}, from ${message.topic}`)
      return
    }
    // A response that cannot be published while its requester waits is of no use any more.
    const timer = host.clock.setTimeout(
      () => late.abort(new IopaError(504, 'timeout', 'The broker did not take the response in time.')),
      host.limits.requestTimeout
    )
    try {
      await broker.publish(responseOf(answer, message, topic), late.signal)
    } catch (error) {
      losses.note('the response to a request could not be published', `${message.topic}: ${String(error)}`)
    } finally {
      host.clock.clearTimeout(timer)
    }
  }
}

/** Bytes of a message that the number of messages bounds well enough. */
const UNCOUNTED = 16 * 1024
/** Bytes of commands that wait behind held ones. */
const WAITING_BYTES = 16 * 1024 * 1024
/** MQTT 5 section 2.4. */
const RECEIVE_MAXIMUM_EXCEEDED = 0x93

/**
 * What a worker does with a message once the app has answered it. A broker never offers a message elsewhere because of a negative
 * acknowledgement ([MQTT-4.8.2-6] makes it discard the message), so the worker acknowledges positively and keeps what failed itself.
 *
 * - `acknowledge`: done, or not for this app (404, 405).
 * - `dead-letter`: it will fail the same way again; it goes to the dead-letter topic, then it is acknowledged.
 * - `retry`: it may succeed later; tried again with growing waits, a limited number of times, then `dead-letter`.
 * - `hold`: the app has no room (429, 503); tried again with growing waits for as long as the connection lives, so that the broker's own
 *   queue fills instead of the dead-letter topic.
 */
type Outcome = 'acknowledge' | 'dead-letter' | 'retry' | 'hold'

/** The outcome of a neutral status, 100 to 599. */
export const outcomeOf = (status: number): Outcome => {
  if (status < 400 || status === 404 || status === 405 || status === 410) return 'acknowledge'
  if (status === 429 || status === 503) return 'hold'
  if (status === 408 || status === 425 || status >= 500) return status === 501 || status === 505 ? 'dead-letter' : 'retry'
  return 'dead-letter'
}
