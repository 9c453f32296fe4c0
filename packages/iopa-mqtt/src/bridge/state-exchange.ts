import { type Context, type Endpoint, type Host, IopaError, receivedAnswer, type TimerHandle } from '@iopa/transport'
import type { RemoteBroker } from '../remote/broker.ts'
import type { Connection } from '../remote/connection.ts'
import { type InboundMessage, userProperty } from '../remote/message.ts'
import { endController, pause } from '../remote/waiting.ts'
import type { Store } from '../store.ts'
import { isCanonicalTopic, isTopicName, pathOf, topicMatches, topicOf } from '../topics/topic.ts'
import { StateOutbox } from './state-outbox.ts'
import { type Representation, STATE_VERSION, type StateMessage, StateReplica, sourceOf } from './state-replica.ts'

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
  /** Filters of the topics whose state others may put: what is there follows from nothing else. */
  readonly replaceable: readonly string[]
  /** Keeps what the broker does not have yet beyond the process; null for none. */
  readonly outbox: Store | null
}

/** User property that names who published a state: `<instance>:<number>`. */
const ORIGIN = 'iopa-origin'
/** Milliseconds to wait for our own message to come back. */
const ECHO_TIMEOUT = 5000
/** Representations that are made and published at the same time. */
const CONCURRENCY = 32
/** Changed paths that wait for the broker, and topics whose newest message is remembered. */
const MAX_PENDING = 10_000
/** Milliseconds that retained states take to come after the broker has answered the subscription and one more packet. */
const RETURN_TIMEOUT = 3000
/** A filter that no worker subscribes to: leaving it has no effect but an answer. */
const NOTHING_TO_LEAVE = 'iopa-round-trip'
/** Milliseconds, about, after a member has changed before a derived state is compared with the broker's. */
const COMPARED = 500
/** Waits before a replica that failed for a passing reason is applied again, in milliseconds. */
const RETRIES = [100, 500, 2000]

/** Carries the state of the app's resources to and from the broker's retained messages under one prefix. */
export class StateExchange {
  readonly #options: StateExchangeOptions
  readonly #replica: StateReplica
  readonly #stopping = endController()
  #full = false
  /** True once a state has come since the session was lost. */
  #arrived = false
  #lost: TimerHandle = undefined
  /** Paths of states that the broker had before it lost the session. */
  #forgotten: string[] = []
  /** Paths that replicas of others have changed here: this instance derives their state itself, such as that of a list. */
  readonly #derived = new Set<string>()
  /** Derived paths whose state is compared with the broker's soon. */
  readonly #comparing = new Map<string, TimerHandle>()
  readonly #outbox: StateOutbox | null

  constructor(options: StateExchangeOptions) {
    const { host, broker } = options
    this.#options = options
    const failed = (path: string, error: unknown): void => host.logger.error(`iopa: the outbox could not keep the state of ${path}`, error)
    const damaged = (what: string): void => host.logger.error(`iopa: the outbox is damaged: ${what}`)
    this.#outbox = options.outbox && new StateOutbox({ store: options.outbox, capture: path => this.#capture(path), failed, damaged })
    this.#replica = new StateReplica({
      instance: crypto.randomUUID(),
      concurrency: CONCURRENCY,
      maxPending: MAX_PENDING,
      echoTimeout: ECHO_TIMEOUT,
      clock: host.clock,
      ready: async () => void (await broker.ready(this.#stopping.signal)),
      capture: path => this.#capture(path),
      publish: (path, representation, origin) => this.#publish(path, representation, origin),
      replaces: path => options.replaceable.some(filter => topicMatches(filter, topicOf(path))),
      apply: (path, message) => this.#apply(path, message),
      failed: (path, error) => {
        if (this.#stopping.signal.aborted) return
        host.logger.error(`iopa: the state of ${path} could not be shared`, error)
        this.#outbox?.shared(path)
      },
      shared: path => this.#outbox?.shared(path)
    })
    host.changes(({ path, origin }) => {
      const replica = replicaOf(origin)
      if (replica === null) this.#changed(path)
      else if (path !== replica['iopa.PathBase'] + replica['iopa.Path']) this.#derive(path)
    })
  }

  /** Takes up what an earlier process could not share: its states are those of this app, and are published. */
  async recover(): Promise<void> {
    for (const { path, representation } of (await this.#outbox?.load()) ?? []) {
      await this.#apply(path, { ...representation, origin: '' })
      this.#changed(path)
    }
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
      stateVersion: userProperty(properties.userProperties, STATE_VERSION),
      origin: userProperty(properties.userProperties, ORIGIN) ?? ''
    })
  }

  /**
   * The broker has lost our session, and may have lost what it held. If none of the states that are known here comes back after the
   * subscription, it has: they are published again. If one comes, the broker has its store, and what does not come was deleted meanwhile.
   */
  forget(): void {
    // A connection that was lost before it was known keeps the question open.
    this.#forgotten = [...new Set([...this.#forgotten, ...this.#replica.forget()])].slice(0, MAX_PENDING)
    this.#arrived = false
    this.#options.host.clock.clearTimeout(this.#lost)
  }

  /**
   * The broker has answered the subscription. MQTT does not say when retained messages have all come: most brokers send them before they
   * answer the next packet, some a little later. So the wait begins with the answer to one more packet.
   */
  async subscribed(connection: Connection): Promise<void> {
    const { host, prefix } = this.#options
    if (this.#forgotten.length === 0) return
    await connection.unsubscribe([`${prefix}/${NOTHING_TO_LEAVE}`])
    this.#lost = host.clock.setTimeout(
      () => {
        const paths = this.#forgotten
        this.#forgotten = []
        if (this.#arrived || this.#stopping.signal.aborted) return
        host.logger.warn(`iopa: the broker has lost its retained messages; ${paths.length} states are published again`)
        for (const path of paths) this.#changed(path)
      },
      this.#arrived ? 0 : RETURN_TIMEOUT
    )
  }

  /** Resolves when every change has been published. */
  drained(): Promise<void> {
    return this.#replica.drained()
  }

  /** Paths of changed states that the broker does not have. */
  get unshared(): string[] {
    return this.#replica.unshared
  }

  /** How many of these the outbox could not keep. */
  get unkept(): number {
    return this.#outbox?.unkept ?? 0
  }

  /** Resolves when the outbox, if there is one, has kept what the broker does not have. */
  async kept(): Promise<void> {
    await this.#outbox?.settled()
  }

  /** Closes the outbox. */
  async close(): Promise<void> {
    this.stop()
    await this.#outbox?.close()
  }

  stop(): void {
    const { clock } = this.#options.host
    clock.clearTimeout(this.#lost)
    for (const timer of this.#comparing.values()) clock.clearTimeout(timer)
    this.#comparing.clear()
    this.#stopping.abort(new IopaError(503, 'closed', 'The bridge was closed.'))
  }

  #changed(path: string): void {
    const topic = topicOf(path)
    if (!this.#options.stateful.some(filter => topicMatches(filter, topic)) || !isTopicName(`${this.#options.prefix}/${topic}`)) return
    const taken = this.#replica.changed(path)
    if (taken) this.#outbox?.changed(path)
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
      if (answer.ok && answer.payloadBytes.length > 0) {
        const stateVersion = answer.headers.get(STATE_VERSION)
        return { payload: answer.payloadBytes, contentType: answer.type, stateVersion }
      }
      const gone = (answer.status === 404 || answer.status === 410) && answer.error?.code !== 'no-route'
      return gone ? { payload: new Uint8Array(0), contentType: '' } : null
    } finally {
      void as.end()
    }
  }

  async #publish(path: string, { payload, contentType, stateVersion }: Representation, origin: string): Promise<void> {
    const { broker, prefix } = this.#options
    const topic = `${prefix}/${topicOf(path)}`
    const retain = broker.capabilities?.retain !== false
    const properties = {
      ...(contentType === '' ? {} : { contentType }),
      userProperties: { [ORIGIN]: origin, ...(stateVersion === undefined ? {} : { [STATE_VERSION]: stateVersion }) }
    }
    const receipt = await broker.publish({ topic, payload, qos: 1, retain, properties }, this.#stopping.signal)
    if (receipt.reasonCode >= 0x80) {
      const code = `0x${receipt.reasonCode.toString(16)}`
      throw new IopaError(502, 'state-refused', `The broker refuses ${topic} (${code}): let this client publish there, or set statePrefix to false.`)
    }
  }

  #derive(path: string): void {
    this.#derived.delete(path)
    this.#derived.add(path)
    for (const oldest of this.#derived) {
      if (this.#derived.size <= MAX_PENDING) break
      this.#derived.delete(oldest)
    }
    this.#compare(path)
  }

  /**
   * What another instance has published of a derived state may be older than what follows from all members here. When the members have come
   * to rest the states are compared, and this one is published if it is another one. Instances do so at different times: mostly the first alone.
   */
  #compare(path: string): void {
    const { clock } = this.#options.host
    const topic = topicOf(path)
    if (this.#comparing.has(path) || this.#comparing.size >= MAX_PENDING) return
    if (this.#options.replaceable.some(filter => topicMatches(filter, topic))) return
    const compare = (): void => {
      this.#comparing.delete(path)
      this.#changed(path)
    }
    this.#comparing.set(path, clock.setTimeout(compare, COMPARED * (0.5 + Math.random())))
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
        host.deliver(path, receivedAnswer(gone ? 404 : 200, { type: message.contentType, payload }))
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

  async #request(path: string, message: StateMessage): Promise<{ status: number; code: string }> {
    const { host, connection, endpoint, prefix } = this.#options
    const method = message.payload.length === 0 ? 'DELETE' : 'PUT'
    const context = host.create({ method, path, query: '', rawPath: `${prefix}${path}`, endpoint, source: sourceOf(message) }, connection)
    context['server.IsReplica'] = true
    try {
      await host.invoke(context)
      return { status: context.response.status, code: context.response.error?.code ?? '' }
    } finally {
      void context.end()
    }
  }
}

/** The replica that has made a change, in a handler of its own or in one within it; null for a change of this app's own. */
const replicaOf = (origin: Context | null): Context | null => {
  for (let context = origin; context !== null; context = context['server.ParentContext']) if (context['server.IsReplica']) return context
  return null
}
