import { type Context, countersOf, type Host, IopaError, type Limits, optionError, type User } from '@iopa/transport'
import { Losses } from '../broker/operation/statistics.ts'
import type {} from '../keys.ts'
import type { MqttListener, PublishOptions, RemoteOptions } from '../options.ts'
import { RemoteBroker } from '../remote/broker.ts'
import type { Connection } from '../remote/connection.ts'
import type { InboundMessage } from '../remote/message.ts'
import { within } from '../remote/waiting.ts'
import type { Store } from '../store.ts'
import { isTopicName, topicMatches } from '../topics/topic.ts'
import type { AckOrder } from './acknowledgements.ts'
import { DeadLetters } from './dead-letters.ts'
import { BrokerEndpoint } from './requests.ts'
import { StateExchange } from './state-exchange.ts'
import { Subscriber } from './subscriber.ts'
import { planOf, purposeOf, type SubscriptionPlan } from './subscriptions.ts'
import { Worker } from './worker.ts'

/** Options of `bridge()`: the app is a worker on a broker or cluster. */
export interface BridgeOptions extends RemoteOptions {
  /**
   * Name of the group that this worker belongs to: each command goes to one of the group (`$share/<share>/...`). Without it, or where the broker
   * has no shared subscriptions, every worker gets every command.
   */
  readonly share?: string
  /** Filters of the command topics; those of the app's routes unless given. */
  readonly topics?: readonly string[]
  /** Where the state of a resource is kept for all workers: `<statePrefix>/<topic>`, retained. `state` unless given; false shares no state. */
  readonly statePrefix?: string | false
  /** Commands that are worked on at the same time; 64 unless given. */
  readonly window?: number
  /** `strict`, the default, acknowledges in the order of arrival ([MQTT-4.6.0-2]); `any` as soon as a command is done. */
  readonly ackOrder?: AckOrder
  /** How a command that fails for a passing reason (408, 5xx) is tried again. */
  readonly retry?: {
    /** Attempts in all; 5 unless given. */
    readonly attempts?: number
    /** Milliseconds to wait before the second; 200 unless given. */
    readonly initial?: number
    /** Milliseconds to wait at most; 10,000 unless given. */
    readonly maximum?: number
  }
  /**
   * Where commands go that failed for good: `<deadLetter>/<topic>`, or what the function says. `dead` unless given; false only logs them.
   */
  readonly deadLetter?: string | false | ((topic: string) => string)
  /** Who the messages of the broker act as (`server.User`): the broker has authenticated their publishers and does not say who they are. */
  readonly user?: User
  readonly limits?: Partial<Limits>
  /**
   * Keeps changed states that the broker does not have yet beyond the process: `disk(path)`, with a folder of its own. The next start
   * puts them into the app and publishes them. Without it they are lost with the process.
   */
  readonly outbox?: Store
}

/** Joins the app to a broker as a worker. Rejects when the broker cannot be reached or refuses the subscriptions. */
export const joinBroker = async (broker: string | URL, options: BridgeOptions, host: Host): Promise<MqttListener> => {
  const bridge = new Bridge(broker, options, host.withLimits(options.limits))
  await bridge.start()
  return bridge
}

/** Messages of state topics that may be on their way besides commands. */
const STATE_ROOM = 64
/** Commands that may wait behind one that is held, so that those of other topics still come in. */
const HELD_ROOM = 256
/** Paths that the log names when the worker is closed. */
const NAMED = 20
/** Milliseconds that the outbox has to keep what could not be shared, when there is no time left. */
const KEEPING = 1000
/** Bytes of a packet beside its payload. */
const PACKET_ROOM = 65_536
const SCHEMES = ['mqtt:', 'mqtts:', 'ws:', 'wss:', 'mqtt+ws:', 'mqtt+wss:']

class Bridge implements MqttListener {
  /** Of the broker, without credentials. */
  readonly url: URL
  readonly #options: BridgeOptions
  readonly #host: Host
  readonly #statePrefix: string | false
  readonly #deadLetters: DeadLetters
  readonly #plan: SubscriptionPlan
  readonly #broker: RemoteBroker
  readonly #subscriber: Subscriber
  readonly #worker: Worker
  readonly #state: StateExchange | null
  /** Parent of every request; never run through the pipeline, for nobody connects to us. */
  readonly #connection: Context
  readonly #endpoint: BrokerEndpoint
  #closing: Promise<void> | null = null
  /** Keeps the process alive while the broker is away, as a listening socket would. */
  #hold: ReturnType<typeof setInterval> | null = null

  constructor(broker: string | URL, options: BridgeOptions, host: Host) {
    const { statePrefix = 'state', window = 64, retry = {}, share = null, user } = options
    assertNames(share, statePrefix)
    const url = brokerUrl(broker)
    this.url = new URL(url)
    this.url.username = this.url.password = ''
    this.#options = options
    this.#host = host
    this.#statePrefix = statePrefix
    this.#plan = planOf(host.routes(), options.topics, statePrefix)
    this.#subscriber = new Subscriber({ plan: this.#plan, statePrefix, share, clock: host.clock, logger: host.logger })
    this.#broker = new RemoteBroker({
      ...options,
      url,
      clean: false,
      receiveMaximum: Math.min(65_535, window + STATE_ROOM + Math.min(HELD_ROOM, host.limits.queueMessages)),
      maximumPacketSize: host.limits.body + PACKET_ROOM,
      maxWaiting: host.limits.inFlight,
      clock: host.clock,
      receive: (message, connection) => this.#receive(message, connection),
      connected: connection => this.#connected(connection),
      interrupted: (error, wait) =>
        host.logger.warn(`iopa: no connection to ${this.url}; trying again in ${Math.round(wait)} ms${error ? ` (${error.message})` : ''}`)
    })
    const endpoint = new BrokerEndpoint(this.url, this.#broker.clientId, host.limits.body)
    this.#endpoint = endpoint
    const connection = host.create({ method: 'CONNECT', path: '/', query: '', rawPath: '', endpoint, source: null })
    if (user !== undefined) connection['server.User'] = user
    this.#connection = connection
    const shared = { host, connection, endpoint, broker: this.#broker }
    this.#state =
      statePrefix === false || !this.#plan.state
        ? null
        : new StateExchange({
            ...shared,
            prefix: statePrefix,
            stateful: this.#plan.stateful,
            replaceable: this.#plan.replaceable,
            outbox: options.outbox ?? null
          })
    const losses = new Losses(host.logger, () => host.clock.elapsed())
    const attempts = Math.max(1, retry.attempts ?? 5)
    const waits = { initial: retry.initial ?? 200, maximum: retry.maximum ?? 10_000 }
    const isOurs = (topic: string): boolean => this.#isOurs(topic)
    this.#deadLetters = new DeadLetters({
      topics: options.deadLetter ?? 'dead',
      isOurs,
      broker: this.#broker,
      clock: host.clock,
      losses,
      attempts,
      retry: waits
    })
    countersOf(host, 'mqtt', () => ({ dropped: this.#worker.dropped }))
    this.#worker = new Worker({
      ...shared,
      window,
      ackOrder: options.ackOrder ?? 'strict',
      attempts,
      retry: waits,
      deadLetters: this.#deadLetters,
      losses,
      mayRespondTo: topic => !topic.startsWith('$') && !this.#deadLetters.includes(topic) && !this.#isOurs(topic),
      applyState: message => this.#state?.receive(message) ?? Promise.resolve()
    })
  }

  async start(): Promise<void> {
    this.#hold = setInterval(() => {}, 0x7fffffff)
    try {
      // Before the states of the broker come, which are older.
      await this.#state?.recover()
      await this.#broker.start(this.#host.signal)
    } catch (error) {
      await this.#end()
      throw error
    }
  }

  async publish(topic: string, payload: string | Uint8Array, options: PublishOptions = {}): Promise<void> {
    const { qos = 0, retain = false, signal, ...properties } = options
    if (!isTopicName(topic)) throw new IopaError(400, 'bad-topic', `'${topic}' is no topic to publish to.`)
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
    const { reasonCode } = await this.#broker.publish({ topic, payload: bytes, qos, retain, properties }, signal)
    if (reasonCode >= 0x80) throw new IopaError(502, 'publish-refused', `The broker refuses ${topic} (0x${reasonCode.toString(16)}).`)
  }

  close({ timeout = this.#host.limits.drainTimeout }: { readonly timeout?: number } = {}): Promise<void> {
    return (this.#closing ??= this.#close(timeout))
  }

  async #close(timeout: number): Promise<void> {
    const { clock } = this.#host
    const deadline = clock.elapsed() + timeout
    const left = (): number => Math.max(0, deadline - clock.elapsed())
    const { connection } = this.#broker
    if (connection) await within(left(), clock, this.#subscriber.leave(connection))
    await this.#worker.drain(left())
    // Without a connection there may be one again in time.
    if (this.#state) await within(left(), clock, this.#state.drained())
    if (this.#state) await within(Math.max(left(), KEEPING), clock, this.#state.kept())
    this.#report(this.#state?.unshared ?? [])
    await this.#broker.close(this.#options.clientId !== undefined)
    await this.#end()
  }

  #report(unshared: readonly string[]): void {
    if (unshared.length === 0) return
    const named = unshared.slice(0, NAMED).join(', ')
    const more = unshared.length > NAMED ? ` and ${unshared.length - NAMED} more` : ''
    const unkept = this.#state?.unkept ?? 0
    const kept =
      this.#options.outbox === undefined
        ? '; they are lost where the app does not keep them'
        : unkept > 0
          ? `; the outbox could not keep ${unkept} of them: these are lost where the app does not keep them`
          : '; the outbox keeps them for the next start'
    this.#host.logger.error(`iopa: ${unshared.length} changed states were not shared before the worker was closed: ${named}${more}${kept}`)
  }

  async #end(): Promise<void> {
    if (this.#hold) clearInterval(this.#hold)
    await this.#state?.close()
    await this.#connection.end('shutdown')
  }

  #receive(message: InboundMessage, connection: Connection): void | Promise<void> {
    const { topic, retain } = message
    const purpose = purposeOf(this.#plan, this.#statePrefix, topic, message.subscriptionIdentifiers)
    // MQTT 3.1.1 cannot be told to leave out retained messages: one on a command topic is an old command, and the state has its own topics.
    const replayed = purpose === 'command' && retain && connection.capabilities.protocolVersion === 4
    if (this.#subscriber.takes(topic) || purpose === 'nothing' || replayed || this.#deadLetters.includes(topic))
      this.#worker.skip(message, connection)
    else return this.#worker.receive(message, connection, purpose === 'state')
  }

  async #connected(connection: Connection): Promise<void> {
    this.#endpoint.speaks(connection.capabilities.protocolVersion)
    this.#connection['mqtt.ProtocolVersion'] = connection.capabilities.protocolVersion
    // A broker that has lost our session may have lost the retained messages too.
    if (!connection.sessionPresent) {
      this.#state?.forget()
      this.#worker.forget()
    }
    await this.#subscriber.subscribe(connection)
    await this.#state?.subscribed(connection)
  }

  /** True for the topics that this worker listens to. */
  #isOurs(topic: string): boolean {
    return (
      purposeOf(this.#plan, this.#statePrefix, topic, []) === 'state' ||
      this.#plan.commands.some(({ filters }) => filters.some(filter => topicMatches(filter, topic)))
    )
  }
}

const brokerUrl = (broker: string | URL): URL => {
  const text = String(broker)
  if (URL.canParse(text) && SCHEMES.includes(new URL(text).protocol)) return new URL(text)
  throw optionError(`The broker must be a URL such as mqtt://broker.example:1883, mqtts://, ws:// or wss://.`)
}

const assertNames = (share: string | null, statePrefix: string | false): void => {
  if (share !== null && (share === '' || /[/+#\0]/.test(share))) {
    throw optionError(`'${share}' is no name of a group: it may not hold '/', '+' or '#'.`)
  }
  if (statePrefix !== false && !isTopicName(statePrefix)) {
    throw optionError(`'${statePrefix}' is no topic: give a statePrefix without wildcards, or false.`)
  }
}
