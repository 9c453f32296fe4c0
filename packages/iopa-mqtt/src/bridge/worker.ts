import { answerUnrun, type Context, checkPath, type Endpoint, type Host, IopaError, type SealedAnswer } from '@iopa/transport'
import { Losses } from '../broker/losses.ts'
import type {} from '../keys.ts'
import { Backoff } from '../remote/backoff.ts'
import type { RemoteBroker } from '../remote/broker.ts'
import type { Connection } from '../remote/connection.ts'
import type { InboundMessage } from '../remote/message.ts'
import { endController, pause, within } from '../remote/waiting.ts'
import { isCanonicalTopic, isTopicName, pathOf } from '../topics/topic.ts'
import { type AckOrder, AckQueue, type AckSlot } from './ack-queue.ts'
import { Inbox } from './inbox.ts'
import { InboxPause } from './inbox-pause.ts'
import { outcomeOf } from './outcome.ts'
import { MessageSource, methodOf, responseOf } from './request.ts'

/** A message in the hands of the worker, and how to acknowledge it. */
interface Job {
  readonly message: InboundMessage
  connection: Connection
  slot: AckSlot | null
  /** Worked on; its acknowledgement may have to wait for others, or may have missed its connection. */
  done: boolean
  /** Gives back what was counted of it with the bodies in memory. */
  giveBack?: (() => void) | undefined
}

/** What a `Worker` needs. */
export interface WorkerOptions {
  readonly host: Host
  /** Parent of all requests. */
  readonly connection: Context
  readonly endpoint: Endpoint
  readonly broker: RemoteBroker
  readonly window: number
  readonly ackOrder: AckOrder
  readonly attempts: number
  readonly retry: { readonly initial: number; readonly maximum: number }
  /** The dead-letter topic of a topic, or null when there is none. */
  deadLetter(topic: string): string | null
  /** Whether a response may be published to a topic: not where it would pass for a command, a state or a dead letter. */
  mayRespondTo(topic: string): boolean
  /** Applies a message from a state topic; must not reject. */
  applyState(message: InboundMessage): Promise<void>
}

/**
 * Works on messages at least once: each is acknowledged when the app is done with it, never before, and in the order of arrival. A message that
 * the broker sends again after a reconnect, because it could not be acknowledged yet, is not started a second time: the work goes on, or has
 * been done, and is acknowledged on the new connection.
 */
export class Worker {
  #options: WorkerOptions
  #commands: Inbox<Job>
  /** Apart, so that commands that are held cannot keep the state from coming in. */
  #states: Inbox<Job>
  #queues = new WeakMap<Connection, AckQueue>()
  /** QoS 1 messages not acknowledged yet, by packet identifier, which a resumed session keeps (MQTT 5 section 4.4). */
  #unacknowledged = new Map<number, Job>()
  #stopping = endController()
  readonly #pauses: InboxPause
  readonly #losses: Losses
  /** QoS 0 messages that found no room. */
  dropped = 0

  constructor(options: WorkerOptions) {
    const { limits } = options.host
    this.#options = options
    this.#pauses = new InboxPause(options.host.clock)
    this.#losses = new Losses(options.host.logger, () => options.host.clock.elapsed())
    const bounds = {
      window: options.window,
      maxWaiting: limits.queueMessages,
      maxWaitingBytes: Math.max(limits.queueBytes, limits.body * 2, WAITING_BYTES),
      keyOf: ({ message }: Job) => message.topic,
      sizeOf: ({ message }: Job) => message.payload.length + message.topic.length
    }
    this.#commands = new Inbox<Job>({ ...bounds, run: job => this.#run(job, () => this.#work(job)) })
    this.#states = new Inbox<Job>({ ...bounds, run: job => this.#run(job, () => options.applyState(job.message).then(() => true)) })
  }

  /** Takes a message of a connection; `state` says that it comes from a state topic. Where a promise comes back, the connection reads on when it settles. */
  receive(message: InboundMessage, connection: Connection, state: boolean): void | Promise<void> {
    // On a connection that has been told to go nothing can be acknowledged; the next one brings it again.
    if (message.qos === 1 && !connection.connected) return
    const slot = message.qos === 1 ? this.#queueOf(connection).add(message.packetId) : null
    if (slot) {
      const known = this.#unacknowledged.get(message.packetId)
      if (known && message.dup && known.connection !== connection && isSame(known.message, message)) {
        known.connection = connection
        known.slot = slot
        if (known.done) this.#queueOf(connection).complete(slot)
        return
      }
    }
    const job: Job = { message, connection, slot, done: false }
    const inbox = state ? this.#states : this.#commands
    if (inbox.offer(job)) {
      if (slot) this.#unacknowledged.set(message.packetId, job)
      return this.#count(job) ?? (inbox.full ? this.#pauses.until(inbox) : undefined)
    } else if (slot) {
      this.#options.host.logger.warn(`iopa: the broker has more messages under way than agreed; the connection is renewed`)
      connection.destroy(RECEIVE_MAXIMUM_EXCEEDED)
    } else {
      this.dropped++
      this.#losses.note('a message of QoS 0 finds no room and is dropped', message.topic)
    }
  }

  /** Counts a message among the bodies in memory until it is settled; where they have no room for more, the connection waits. */
  #count(job: Job): Promise<void> | undefined {
    const { host, endpoint } = this.#options
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

  /** Acknowledges a message that is not for this app. */
  skip(message: InboundMessage, connection: Connection): void {
    if (message.qos !== 1) return
    const queue = this.#queueOf(connection)
    queue.complete(queue.add(message.packetId))
  }

  /** The broker has lost our session: nothing comes again under its old identifier. */
  forget(): void {
    for (const [packetId, { done }] of this.#unacknowledged) if (done) this.#unacknowledged.delete(packetId)
  }

  /** Waits until everything taken has been worked on, or `timeout` milliseconds; then gives up what is held, unacknowledged. */
  async drain(timeout: number): Promise<void> {
    await within(timeout, this.#options.host.clock, Promise.all([this.#commands.idle(), this.#states.idle()]))
    this.#stopping.abort()
  }

  #queueOf(connection: Connection): AckQueue {
    let queue = this.#queues.get(connection)
    if (!queue) {
      queue = new AckQueue(this.#options.ackOrder, packetId => {
        // What cannot be acknowledged any more is remembered: it comes again, and is not worked on again.
        if (!connection.connected) return
        connection.acknowledge(packetId)
        if (this.#unacknowledged.get(packetId)?.connection === connection) this.#unacknowledged.delete(packetId)
      })
      this.#queues.set(connection, queue)
    }
    return queue
  }

  async #run(job: Job, work: () => Promise<boolean>): Promise<void> {
    const { message } = job
    try {
      const settled = await work()
      job.giveBack?.()
      if (!settled) return
    } catch (error) {
      // Nothing above lets an error through but a defect of ours; the message counts as worked on, for it would fail the same way again.
      this.#options.host.logger.error(`iopa: a message to ${message.topic} could not be worked on`, error)
    }
    job.done = true
    job.giveBack?.()
    if (job.slot) this.#queueOf(job.connection).complete(job.slot)
  }

  /** True when the message may be acknowledged; false leaves it to the broker. */
  async #work(job: Job): Promise<boolean> {
    const { message } = job
    const backoff = new Backoff(this.#options.retry)
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#invoke(message)
      if (answer === null) return true
      const { status } = answer
      if (message.properties.responseTopic !== undefined) {
        await this.#respond(message, answer)
        return true
      }
      const outcome = outcomeOf(status)
      if (outcome === 'acknowledge' || message.qos === 0) return true
      if (outcome === 'dead-letter' || (outcome === 'retry' && attempt >= this.#options.attempts)) return this.#bury(message, answer, attempt)
      const after = Number(answer.headers.get('retry-after')) * 1000
      if (!(await this.#pause(after > 0 ? Math.max(Math.min(after, this.#options.retry.maximum), backoff.next()) : backoff.next()))) return false
    }
  }

  /** The app's answer, its payload in memory; null for a topic that no route can have. */
  async #invoke(message: InboundMessage): Promise<SealedAnswer | null> {
    const { host, connection, endpoint } = this.#options
    if (!isCanonicalTopic(message.topic)) return null
    const path = pathOf(message.topic)
    let context: Context
    try {
      checkPath(path, host.limits)
      context = host.create(
        { method: methodOf(message), path, query: '', rawPath: message.topic, endpoint, source: new MessageSource(message, host.limits) },
        connection
      )
      describe(context, message)
    } catch (error) {
      return refused(error, host, connection, endpoint)
    }
    try {
      await host.invoke(context, message.properties.responseTopic === undefined ? false : 'all')
      return context.response
    } catch (error) {
      return refused(error, host, connection, endpoint)
    } finally {
      void context.end()
    }
  }

  async #respond(message: InboundMessage, answer: SealedAnswer): Promise<void> {
    const { host, broker } = this.#options
    const topic = message.properties.responseTopic!
    const late = new AbortController()
    if (!isTopicName(topic) || !this.#options.mayRespondTo(topic)) {
      this.#losses.note('a request asks for a response where this worker does not publish', `to ${topic}, from ${message.topic}`)
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
      this.#losses.note('the response to a request could not be published', `${message.topic}: ${String(error)}`)
    } finally {
      host.clock.clearTimeout(timer)
    }
  }

  /** Publishes the message to its dead-letter topic. What cannot be had there either is logged and acknowledged, for it would block all others. */
  async #bury(message: InboundMessage, answer: SealedAnswer, attempts: number): Promise<boolean> {
    const { broker, deadLetter } = this.#options
    const topic = deadLetter(message.topic)
    const drop = (because = ''): true => {
      const why = `${answer.status} ${answer.error?.code ?? answer.reason} after ${attempts} attempt${attempts === 1 ? '' : 's'}`
      this.#losses.note('a message failed for good and is dropped', `${message.topic} (${why})${because}`)
      return true
    }
    if (topic === null) return drop()
    const userProperties = {
      ...message.properties.userProperties,
      status: String(answer.status),
      reason: answer.error?.detail || answer.reason,
      attempts: String(attempts),
      'original-topic': message.topic
    }
    const backoff = new Backoff(this.#options.retry)
    for (let attempt = 1; ; attempt++) {
      try {
        const receipt = await broker.publish(
          { topic, payload: message.payload, qos: 1, properties: { ...publishable(message.properties), userProperties } },
          this.#stopping.signal
        )
        if (receipt.reasonCode < 0x80) return true
        if (attempt >= this.#options.attempts) return drop(`: the broker refuses ${topic} (0x${receipt.reasonCode.toString(16)})`)
      } catch (error) {
        if (this.#stopping.signal.aborted) return false
        if ((error as IopaError).status === 413) return drop(': with its reason it is too large for the broker')
      }
      if (!(await this.#pause(backoff.next()))) return false
    }
  }

  /** Resolves with true after `milliseconds`, with false when the worker stops before. */
  #pause(milliseconds: number): Promise<boolean> {
    return pause(milliseconds, this.#options.host.clock, this.#stopping.signal)
  }
}

/** What only MQTT knows of a request. */
const describe = (context: Context, { topic, qos, retain, dup, properties }: InboundMessage): void => {
  context['mqtt.Topic'] = topic
  context['mqtt.Qos'] = qos
  context['mqtt.Retain'] = retain
  context['mqtt.Dup'] = dup
  if (properties.responseTopic !== undefined) context['mqtt.ResponseTopic'] = properties.responseTopic
  if (properties.correlationData !== undefined) context['mqtt.CorrelationData'] = properties.correlationData
}

/** Bytes of commands that wait behind held ones. */
/** Bytes of a message that the number of messages bounds well enough. */
const UNCOUNTED = 16 * 1024
const WAITING_BYTES = 16 * 1024 * 1024
/** MQTT 5 section 2.4. */
const RECEIVE_MAXIMUM_EXCEEDED = 0x93

const isSame = (one: InboundMessage, other: InboundMessage): boolean => one.topic === other.topic && Buffer.compare(one.payload, other.payload) === 0

/** The properties that a publisher may set again (those about our own subscriptions may not). */
const publishable = ({ contentType, correlationData, payloadFormatIndicator }: InboundMessage['properties']): InboundMessage['properties'] => ({
  ...(contentType === undefined ? {} : { contentType }),
  ...(correlationData === undefined ? {} : { correlationData }),
  ...(payloadFormatIndicator === undefined ? {} : { payloadFormatIndicator })
})

/** The answer to a message that is refused before the app sees it. */
const refused = (error: unknown, host: Host, connection: Context, endpoint: Endpoint): SealedAnswer => {
  const context = host.create({ method: 'GET', path: '/', query: '', rawPath: '/', endpoint, source: null }, connection)
  const answer = answerUnrun(
    context,
    error instanceof Error && error.name === 'IopaError' ? (error as IopaError) : new IopaError(500, 'internal-error', '', { cause: error })
  )
  void context.end()
  return answer
}
