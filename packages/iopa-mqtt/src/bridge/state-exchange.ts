import { Answer, type Context, type Endpoint, type Host, IopaError, type TimerHandle } from '@iopa/appbuilder'
import type { RemoteBroker } from '../remote/broker.ts'
import { type InboundMessage, userProperty } from '../remote/message.ts'
import { endController, pause } from '../remote/waiting.ts'
import { isCanonicalTopic, isTopicName, pathOf, topicMatches, topicOf } from '../topics/topic.ts'
import { type Representation, type StateMessage, StateReplica } from './state-replica.ts'

/** What a `StateExchange` needs. */
export interface StateExchangeOptions {
  readonly host: Host
  /** Parent of all requests. */
  readonly connection: Context
  readonly endpoint: Endpoint
  readonly broker: RemoteBroker
  readonly prefix: string
  /** Filters, without the prefix, of the topics whose state is shared. */
  readonly stateful: readonly string[]
}

/** User property that names who published a state: `<instance>:<number>`. */
const ORIGIN = 'iopa-origin'
/** Milliseconds to wait for our own message to come back. */
const ECHO_TIMEOUT = 5000
/** Representations that are made and published at the same time. */
const CONCURRENCY = 32
/** Changed paths that wait for the broker, and topics whose newest message is remembered. */
const MAX_PENDING = 10_000
/** Milliseconds that retained states take to come after a new session was subscribed. */
const RETURN_TIMEOUT = 3000
/** Waits before a replica that failed for a passing reason is applied again, in milliseconds. */
const RETRIES = [100, 500, 2000]

/** Carries the state of the app's resources to and from the broker's retained messages under one prefix. */
export class StateExchange {
  #options: StateExchangeOptions
  #replica: StateReplica
  #stopping = endController()
  #full = false
  /** True once a state has come since the session was lost. */
  #arrived = false
  #lost: TimerHandle = undefined
  /** Paths that replicas of others have changed here: this instance derives their state itself, such as that of a list. */
  #derived = new Set<string>()

  constructor(options: StateExchangeOptions) {
    const { host, broker } = options
    this.#options = options
    this.#replica = new StateReplica({
      instance: crypto.randomUUID(),
      concurrency: CONCURRENCY,
      maxPending: MAX_PENDING,
      echoTimeout: ECHO_TIMEOUT,
      clock: host.clock,
      ready: async () => void (await broker.ready(this.#stopping.signal)),
      capture: path => this.#capture(path),
      publish: (path, representation, origin) => this.#publish(path, representation, origin),
      apply: (path, message) => this.#apply(path, message),
      failed: (path, error) => {
        if (!this.#stopping.signal.aborted) host.logger.error(`iopa: the state of ${path} could not be shared`, error)
      }
    })
    host.changes(({ path, origin }) => {
      if (isReplica(origin)) this.#derive(path)
      else this.#changed(path)
    })
  }

  /** Takes a message of a state topic; resolves when it may be acknowledged. */
  async receive({ topic, payload, properties, retain }: InboundMessage): Promise<void> {
    const resource = topic.slice(this.#options.prefix.length + 1)
    if (!isCanonicalTopic(resource)) return
    // Retained messages that arrive at the start of a subscription have the flag. Messages about later changes do not.
    if (retain) this.#arrived = true
    await this.#replica.receive(pathOf(resource), {
      payload,
      contentType: properties.contentType ?? '',
      origin: userProperty(properties.userProperties, ORIGIN) ?? ''
    })
  }

  /**
   * The broker has lost our session, and may have lost what it held. If none of the states that are known here comes back after the
   * subscription, it has: they are published again. If one comes, the broker has its store, and what does not come was deleted meanwhile.
   */
  forget(): void {
    const { host } = this.#options
    const paths = this.#replica.forget()
    this.#arrived = false
    host.clock.clearTimeout(this.#lost)
    if (paths.length === 0) return
    this.#lost = host.clock.setTimeout(() => {
      if (this.#arrived || this.#stopping.signal.aborted) return
      host.logger.warn(`iopa: the broker has lost its retained messages; ${paths.length} states are published again`)
      for (const path of paths) this.#changed(path)
    }, RETURN_TIMEOUT)
  }

  /** Resolves when every change has been published. */
  drained(): Promise<void> {
    return this.#replica.drained()
  }

  /** Changes that the broker does not have. */
  get pending(): number {
    return this.#replica.pending
  }

  stop(): void {
    this.#options.host.clock.clearTimeout(this.#lost)
    this.#stopping.abort(new IopaError(503, 'closed', 'The bridge was closed.'))
  }

  #changed(path: string): void {
    const topic = topicOf(path)
    if (!this.#options.stateful.some(filter => topicMatches(filter, topic)) || !isTopicName(`${this.#options.prefix}/${topic}`)) return
    const taken = this.#replica.changed(path)
    if (!taken && !this.#full)
      this.#options.host.logger.error(`iopa: ${MAX_PENDING} changed paths wait for the broker; the state of further ones is not shared`)
    this.#full = !taken
  }

  /** GET of the path as it is now: bytes, no bytes when it is gone, null when it is no state. */
  async #capture(path: string): Promise<Representation | null> {
    const { host, connection, endpoint } = this.#options
    const as = host.create({ method: 'GET', path, query: '', rawPath: path, endpoint, source: null }, connection)
    try {
      const answer = await host.represent(path, as)
      // A link to what is too large to be told is no body of a PUT.
      if (answer.excerpt !== null) return null
      if (answer.ok && answer.payloadBytes.length > 0) return { payload: answer.payloadBytes, contentType: answer.type }
      const gone = (answer.status === 404 || answer.status === 410) && answer.error?.code !== 'no-route'
      return gone ? { payload: new Uint8Array(0), contentType: '' } : null
    } finally {
      void as.end()
    }
  }

  async #publish(path: string, { payload, contentType }: Representation, origin: string): Promise<void> {
    const { broker, prefix } = this.#options
    const topic = `${prefix}/${topicOf(path)}`
    const retain = broker.capabilities?.retain !== false
    const properties = { ...(contentType === '' ? {} : { contentType }), userProperties: { [ORIGIN]: origin } }
    const receipt = await broker.publish({ topic, payload, qos: 1, retain, properties }, this.#stopping.signal)
    if (receipt.reasonCode >= 0x80) {
      const code = `0x${receipt.reasonCode.toString(16)}`
      throw new IopaError(502, 'state-refused', `The broker refuses ${topic} (${code}): let this client publish there, or set statePrefix to false.`)
    }
  }

  #derive(path: string): void {
    this.#derived.delete(path)
    this.#derived.add(path)
    if (this.#derived.size > MAX_PENDING) for (const oldest of this.#derived) return void this.#derived.delete(oldest)
  }

  /**
   * The state of another instance as a local PUT or DELETE; where the app takes none, observers get it as it is, unless it follows from others
   * that are replicated: then what follows here is as new, and may be newer.
   */
  async #apply(path: string, message: StateMessage): Promise<void> {
    const { host } = this.#options
    const gone = message.payload.length === 0
    for (let attempt = 0; ; attempt++) {
      const { status, code } = await this.#request(path, message)
      if (status < 400) return
      if (status === 405 || code === 'no-route') {
        if (this.#derived.has(path)) return
        const payload = gone ? null : message.payload
        host.deliver(path, Answer.received(gone ? 404 : 200, { type: message.contentType, payload }))
        return
      }
      if (gone && (status === 404 || status === 410)) return
      const passing = status >= 500 || status === 429 || status === 408
      const wait = RETRIES[attempt]
      if (!passing || wait === undefined) {
        host.logger.error(
          `iopa: the state of ${path} that another instance has published was answered with ${status} ${code}; this instance differs now`
        )
        return
      }
      if (!(await pause(wait, host.clock, this.#stopping.signal))) return
    }
  }

  async #request(path: string, { payload, contentType }: StateMessage): Promise<{ status: number; code: string }> {
    const { host, connection, endpoint, prefix } = this.#options
    const method = payload.length === 0 ? 'DELETE' : 'PUT'
    const source = payload.length === 0 ? null : { body: () => payload, contentType: () => contentType }
    const context = host.create({ method, path, query: '', rawPath: `${prefix}${path}`, endpoint, source }, connection)
    context['server.IsReplica'] = true
    try {
      await host.invoke(context)
      return { status: context.response.status, code: context.response.error?.code ?? '' }
    } finally {
      void context.end()
    }
  }
}

/** True for a change that a replica has made, in a handler of its own or in one within it. */
const isReplica = (origin: Context | null): boolean => {
  for (let context = origin; context !== null; context = context['server.ParentContext']) if (context['server.IsReplica']) return true
  return false
}
