import type { ByteChannel, Clock, Connections, Context, Counts, HeldBytes, Host, Limits, UserWatches } from '@iopa/transport'
import { DEFAULT_LIMITS, IopaError, usersOf } from '@iopa/transport'
import { encodeMessageProperties } from '../codec/message-properties.ts'
import { PacketDecoder } from '../codec/packet-decoder.ts'
import { PublishFields } from '../codec/publish-decoder.ts'
import { REASON } from '../codec/reason-codes.ts'
import type { BrokerOptions, PublishOptions } from '../options.ts'
import { RouteIndex } from '../topics/route-index.ts'
import { SubscriptionTrie } from '../topics/subscription-trie.ts'
import { Admission } from './admission.ts'
import { Authorising } from './authorising.ts'
import { Connection } from './connection.ts'
import { Counters } from './counters.ts'
import { Distribution } from './distribution.ts'
import { Flusher } from './flusher.ts'
import { Journal } from './journal.ts'
import { Losses } from './losses.ts'
import { Message } from './message.ts'
import { NotifiedTopics } from './notified-topics.ts'
import { OutgoingForm } from './outgoing-form.ts'
import { Publishing } from './publishing.ts'
import { Quota } from './quota.ts'
import { Requests } from './requests.ts'
import { restore } from './restoring.ts'
import { RetainedMessages } from './retained.ts'
import { Sessions } from './sessions.ts'
import { States } from './states.ts'
import { Statistics } from './statistics.ts'
import type { SharedGroup, Subscriber } from './subscription.ts'
import { TopicTable } from './topic-table.ts'
import { Turns } from './turns.ts'
import { UserQuotas } from './user-quotas.ts'

/** Milliseconds between two looks at what has expired. */
const SWEEP = 500
/** Subscriptions of one session, where nothing else is said. */
const SUBSCRIPTIONS = 10_000
/** Milliseconds for which the quota of a user is remembered. */
const QUOTAS = 10_000
/** Room in a packet for what is beside its payload. */
const PACKET_OVERHEAD = 65_536
/** Topics of changed states that a subscription with wildcards finds. */
const NOTIFIED = 10_000

/** An MQTT broker within an app: it holds the parts together and knows nothing of the network. */
export class Broker {
  readonly host: Host
  /** The bodies in memory of the app. */
  readonly bodies: HeldBytes | undefined
  readonly options: BrokerOptions
  readonly limits: Limits
  readonly clock: Clock
  /** Milliseconds that pass whatever is done to the wall clock: every duration. */
  readonly elapsed: () => number
  /** Bytes of a packet that a client may send. */
  readonly maxPacketSize: number
  /** Subscriptions of one session. */
  readonly maxSubscriptions: number
  readonly trie: SubscriptionTrie<object, Subscriber> = new SubscriptionTrie()
  readonly groups: Map<string, SharedGroup> = new Map()
  readonly routes: RouteIndex
  readonly topics: TopicTable
  readonly retained: RetainedMessages
  readonly notified: NotifiedTopics = new NotifiedTopics(NOTIFIED)
  readonly quotas: UserQuotas
  /** Bytes that wait for clients. */
  readonly queued: Quota
  /** Subscriptions of all sessions. */
  readonly subscribed: Quota
  readonly journal: Journal
  readonly flusher: Flusher = new Flusher()
  /** Long walks, in slices. */
  readonly turns: Turns
  readonly authorising: Authorising
  readonly admission: Admission
  readonly losses: Losses
  readonly decoder: PacketDecoder
  /** Filled by each PUBLISH that is read. */
  readonly fields: PublishFields = new PublishFields()
  /** Filled by each PUBLISH that is written. */
  readonly form: OutgoingForm = new OutgoingForm()
  readonly counters: Counters = new Counters()
  readonly users: UserWatches
  readonly requests: Requests
  readonly sessions: Sessions
  readonly distribution: Distribution
  readonly publishing: Publishing
  readonly states: States
  readonly #statistics: Statistics
  readonly #open = new Map<ByteChannel, Connection>()
  /** When the last sweep began: what had expired by then is over. */
  sweptAt = 0
  #sweepTimer: unknown = null
  #nextStatistics: number

  constructor(host: Host, options: BrokerOptions, clock: Clock) {
    this.host = host
    this.bodies = host.scope.environment.bodies
    this.options = options
    this.limits = host.limits
    this.clock = clock
    this.elapsed = () => clock.elapsed()
    this.maxPacketSize = options.maxPacketSize ?? host.limits.body + PACKET_OVERHEAD
    const { observersPerConnection } = host.limits
    const most = observersPerConnection === DEFAULT_LIMITS.observersPerConnection ? SUBSCRIPTIONS : observersPerConnection
    this.maxSubscriptions = options.maxSubscriptionsPerSession ?? most
    this.quotas = new UserQuotas(options.quota, error => this.losses.note('the function in the option quota has failed', String(error)))
    this.routes = new RouteIndex(host.routes())
    this.topics = new TopicTable(this.trie, this.routes, host.limits.pathSegments, options.maxTopicLength)
    this.retained = new RetainedMessages(options.maxRetained, options.maxRetainedBytes, (account, of) => this.quotas.limit(account, of))
    this.queued = new Quota(
      options.maxQueuedBytes,
      () => this.sessions.accounts > 1,
      account => this.quotas.limit(account, 'queuedBytes')
    )
    this.subscribed = new Quota(options.maxSubscriptions, undefined, account => this.quotas.limit(account, 'subscriptions'))
    this.turns = new Turns(clock, this.flusher)
    this.admission = new Admission(host.limits.inFlight, clock, this.turns, ahead =>
      ahead ? this.authorising.full : this.authorising.busy || this.distribution.fanOuts.busy
    )
    this.authorising = new Authorising(host, this.turns, () => this.admission.resume())
    this.losses = new Losses(host.logger, this.elapsed)
    this.journal = new Journal(options.store, host.logger, clock)
    this.decoder = new PacketDecoder(host.limits.headerCount)
    this.users = usersOf(host)
    this.requests = new Requests(host)
    this.sessions = new Sessions(this)
    this.distribution = new Distribution(this)
    this.publishing = new Publishing(this)
    this.states = new States(this)
    this.#statistics = new Statistics(this)
    this.#nextStatistics = clock.elapsed()
  }

  /** Takes back what the store kept, and begins to hear of changes. */
  async start(): Promise<void> {
    if (this.options.store) await restore(this, this.options.store)
    this.host.changes(this.states.changed)
    this.sweptAt = this.elapsed()
    const revocations = this.users.revocations(id => this.flusher.batch(() => this.sessions.revoke(id)))
    this.host.scope.defer(() => revocations[Symbol.dispose]())
    this.#arm()
  }

  /** What it counts by itself for `app.counters()`. */
  get counts(): Partial<Counts> {
    let observers = 0
    for (const { observed } of this.sessions) observers += observed?.size ?? 0
    return { observers, sessions: this.sessions.size, dropped: this.counters.dropped }
  }

  /** Serves a connection. */
  accept(channel: ByteChannel, connections: Connections): void {
    const counted = connections.admit(channel)
    this.counters.sockets++
    if (counted === null) {
      channel.destroy()
      return
    }
    const connection = new Connection(this, channel, counted, () => this.#open.delete(channel))
    this.#open.set(channel, connection)
    channel.open(connection)
  }

  /**
   * Publishes from inside the app: plain pub/sub, past the pipeline. Resolves when the store has kept what it is to keep.
   * @throws IopaError 400 for what is no topic, 409 for one that a route covers, 503 when there is no room or the store fails
   */
  async publish(name: string, payload: string | Uint8Array, options: PublishOptions = {}): Promise<void> {
    const topic = this.topics.get(name)
    if (topic === null || name.startsWith('$')) throw new IopaError(400, 'bad-topic', `'${name}' is not a topic that messages can be published to.`)
    if (topic.isState)
      throw new IopaError(409, 'topic-is-state', `'${name}' is the state of ${topic.path}: change it there, or call app.notify('${topic.path}').`)
    const { qos = 0, retain = false, messageExpiryInterval, userProperties = {} } = options
    const expiresAt = messageExpiryInterval === undefined ? 0 : this.elapsed() + messageExpiryInterval * 1000
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
    const pairs = Object.entries(userProperties).flatMap(([key, values]) => [values].flat().map(value => [key, value] as const))
    const properties = encodeMessageProperties({ ...options, userProperties: pairs })
    const message = Message.of(topic.name, topic.bytes, bytes, qos, retain, properties, expiresAt, null)
    const kept = await new Promise<boolean>(resolve => {
      this.flusher.batch(() => this.publishing.share(message, topic, resolve))
    })
    if (!kept) throw new IopaError(503, 'not-kept', `The message to '${name}' was not kept: the store fails. It was given to no client.`)
  }

  /** Tells middleware that a connection has ended, and ends its scope. */
  farewell(context: Context, reasonCode: number, connected: boolean): void {
    if (!connected) {
      void context.end('disconnect')
      return
    }
    const leaving = this.requests.control('DISCONNECT', '/', context.endpoint, null, context)
    leaving['mqtt.ReasonCode'] = reasonCode
    this.host.run(leaving, () => {
      void leaving.end()
      void context.end('disconnect')
    })
  }

  /** Says goodbye to one connection. */
  dismiss(channel: ByteChannel): void {
    this.#open.get(channel)?.disconnect(REASON.SERVER_SHUTTING_DOWN, '')
  }

  /** Ends what is left, once no connection is. */
  async close(): Promise<void> {
    if (this.#sweepTimer !== null) this.clock.clearTimeout(this.#sweepTimer)
    this.#sweepTimer = null
    this.#closed = true
    this.admission.close()
    await this.journal.flush()
    await this.options.store?.close()
    await this.sessions.close()
  }

  #closed = false
  #quotasAskedAt = 0

  #arm(): void {
    if (this.#closed) return
    this.#sweepTimer = this.clock.setTimeout(() => {
      this.flusher.batch(() => this.#sweep())
      this.#arm()
    }, SWEEP)
  }

  /** Closes connections that have been silent, or have not gone, for too long. */
  #sweepConnections(): void {
    const late = [...this.#open.values()].filter(connection => connection.isLate())
    if (late.length === 0) return
    // After a turn that took long, what a client has sent in time is still to be read: it gets the chance before its connection is closed.
    setImmediate(() => {
      this.flusher.batch(() => {
        for (const connection of late) if (connection.isLate()) connection.expire()
      })
    })
  }

  #sweep(): void {
    const now = this.elapsed()
    this.sweptAt = now
    if (this.#quotasAskedAt + QUOTAS <= now) {
      this.#quotasAskedAt = now
      this.quotas.forget()
    }
    this.#sweepConnections()
    this.sessions.sweep()
    if (this.options.statistics !== false && this.#nextStatistics <= now) {
      this.#nextStatistics = now + this.options.statistics * 1000
      this.#statistics.publish()
    }
    for (const topic of this.retained.sweep(now)) this.journal.add({ kind: 'retained', topic, value: null })
  }
}
