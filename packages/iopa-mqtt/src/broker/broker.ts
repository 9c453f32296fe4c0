import { type ByteChannel, type Clock, type Connections, type Counters, type Counts, type Host, type UserWatches, usersOf } from '@iopa/transport'
import { PacketDecoder } from '../codec/packet-decoder.ts'
import { REASON } from '../codec/reason-codes.ts'
import { brokerSettings, type EmbeddedOptions, type PublishOptions } from '../options.ts'
import { Administration } from './admin/administration.ts'
import type { AdminRoutes } from './admin/routes.ts'
import { Admission } from './app/admission.ts'
import { AppPublisher } from './app/app-publisher.ts'
import { AuthorizationQueue } from './app/authorization-queue.ts'
import { PublishHandler } from './app/publish-handler.ts'
import { Requests } from './app/requests.ts'
import { StateUpdates } from './app/state-updates.ts'
import { SubscribeHandler } from './app/subscribe-handler.ts'
import { TopicObservations } from './app/topic-observations.ts'
import { Connection, type ConnectionPorts } from './connection/connection.ts'
import { OutgoingForm } from './connection/packet-sender.ts'
import { Flusher } from './connection/send-buffer.ts'
import { figuresOf } from './figures.ts'
import { ClientEvents } from './operation/client-events.ts'
import { Journal } from './operation/journal.ts'
import type { Operation } from './operation/operation.ts'
import { Quota } from './operation/quota.ts'
import { Losses, Statistics } from './operation/statistics.ts'
import { Turns } from './operation/turns.ts'
import { UserQuotas } from './operation/user-quotas.ts'
import type { AccessCheck } from './ports.ts'
import { restore } from './restore.ts'
import type { SessionPorts } from './session/session.ts'
import { Sessions } from './session/sessions.ts'
import { FanOuts } from './topics/fan-outs.ts'
import { Forwarder } from './topics/forwarder.ts'
import { ReceivedPublish } from './topics/message.ts'
import { RetainedMessages } from './topics/retained-messages.ts'
import { RouteIndex } from './topics/route-index.ts'
import { SubscriptionTable } from './topics/subscription-table.ts'
import { type Figures, SystemTopics } from './topics/system-topics.ts'
import { TopicTable } from './topics/topic-table.ts'

/** Milliseconds between two sweeps over connections, sessions and retained messages. */
const SWEEP = 500
/** Seconds between two notifications of the statistics where nothing is published under `$SYS`. */
const FIGURES = 10
/** Milliseconds for which the quota of a user is remembered. */
const QUOTAS = 10_000

/** An MQTT broker: it creates the parts, connects them, and runs their periodic work. */
export class Broker {
  readonly #host: Host
  readonly #store: EmbeddedOptions['store']
  readonly #operation: Operation
  readonly #quotas: UserQuotas
  readonly #subscriptions: SubscriptionTable
  readonly #topics: TopicTable
  readonly #retained: RetainedMessages
  readonly #admission: Admission
  readonly #requests: Requests
  readonly #observations: TopicObservations
  readonly #states: StateUpdates
  readonly #sessions: Sessions
  readonly #session: SessionPorts
  readonly #users: UserWatches
  readonly #publisher: AppPublisher
  readonly #systemTopics: SystemTopics
  readonly #admin: AdminRoutes | null
  readonly #administration: Administration
  readonly #connection: ConnectionPorts
  readonly #open = new Map<ByteChannel, Connection>()
  #closed = false
  #sweepTimer: unknown = null
  #nextFigures: number
  #quotasAskedAt = 0

  /** `admin` are the routes of its administration, if it has one. */
  constructor(host: Host, options: EmbeddedOptions, clock: Clock, counters: Pick<Counters, 'refusal'>, admin: AdminRoutes | null) {
    this.#host = host
    this.#admin = admin
    this.#store = options.store
    const settings = brokerSettings(options, host.limits)
    const { logger } = host
    const batches = new Flusher()
    const turns = new Turns(clock, batches)
    const statistics = new Statistics(new Losses(logger, () => clock.elapsed()))
    const journal = new Journal(options.store ?? null, logger, clock)
    const events = new ClientEvents(() => clock.now())
    const operation: Operation = { settings, clock, turns, batches, journal, statistics, events, logger }
    this.#operation = operation

    const quotas = new UserQuotas(options.quota, error => statistics.losses.note('the function in the option quota has failed', String(error)))
    this.#quotas = quotas
    const queued = new Quota(
      settings.maxQueuedBytes,
      () => this.#sessions.accounts > 1,
      account => quotas.limit(account, 'queuedBytes')
    )
    const subscribed = new Quota(settings.maxSubscriptions, undefined, account => quotas.limit(account, 'subscriptions'))

    const routes = new RouteIndex(host)
    const subscriptions = new SubscriptionTable(subscribed, journal)
    const topics = new TopicTable(subscriptions.trie, routes, host.limits.pathSegments, settings.maxTopicLength)
    const retained = new RetainedMessages(settings, journal, clock, (account, of) => quotas.limit(account, of))
    const pressure = { authorizing: false, overwhelmed: false, forwarding: false }
    const resume = (): void => this.#admission.resume()
    const fanOuts = new FanOuts(turns, pressure, resume)
    const authorizations = new AuthorizationQueue(host, turns, pressure, resume)
    const queues = {
      get room() {
        return queued.room
      },
      allowance: (account: string) => queued.allowance(account),
      relieve: (missing: number) => turns.wait(() => this.#sessions.idle.relieve(queued, missing, ({ outgoing }) => outgoing.queue.bytes))
    }
    const forwarder = new Forwarder({ topics, fanOuts, queues, authorizations, journal })
    this.#subscriptions = subscriptions
    this.#topics = topics
    this.#retained = retained
    this.#admission = new Admission(host.limits.inFlight, clock, turns, pressure)

    const requests = new Requests(host)
    const observations = new TopicObservations(host, requests, topics)
    const states = new StateUpdates({ host, topics, routes, observations, fanOuts })
    const publish = new PublishHandler({ host, admission: this.#admission, states, topics, forwarder, retained }, operation)
    this.#requests = requests
    this.#observations = observations
    this.#states = states

    const receive: AccessCheck = (scope, topic, done) =>
      authorizations.run(
        () => requests.read(scope, topic),
        context => done(context.response.status)
      )
    const reply: AccessCheck = (scope, topic, done) =>
      authorizations.run(
        () => requests.reply(scope, topic),
        context => done(context.response.status)
      )
    this.#session = {
      operation,
      queued,
      checks: { receive, reply },
      initial: { topics, retained, states, operation },
      overflowed: session => this.#sessions.endOverflowed(session)
    }
    const sessions = new Sessions(
      {
        session: this.#session,
        subscriptions,
        scope: connection => requests.scope(connection),
        publishWill: publish.publishWill,
        observe: (session, topic) => observations.observe(session, topic, () => undefined)
      },
      account => quotas.limit(account, 'sessions')
    )
    this.#sessions = sessions
    const subscribe = new SubscribeHandler(
      {
        host,
        requests,
        topics,
        subscriptions,
        observations,
        hasRoom: session =>
          session.subscriptions.size < settings.maxSubscriptionsPerSession &&
          sessions.idle.makeRoom(subscribed, session.account, 1, idle => idle.subscriptions.size)
      },
      operation
    )

    this.#users = usersOf(host)
    this.#publisher = new AppPublisher({ topics, retained, forwarder, operation })
    const count = (): Figures => figuresOf(sessions, queued, subscriptions)
    this.#administration = new Administration({ operation, sessions, subscriptions, topics, retained, count })
    this.#systemTopics = new SystemTopics({ statistics, topics, retained, forwarder }, clock, count)
    this.#nextFigures = clock.elapsed()
    this.#connection = {
      operation,
      counters,
      host,
      requests,
      sessions,
      topics,
      publish,
      subscribe,
      users: this.#users,
      bodies: host.scope.environment.bodies,
      decoder: new PacketDecoder(host.limits.headerCount),
      fields: new ReceivedPublish(),
      sender: { settings, clock, statistics, batches, form: new OutgoingForm() }
    }
  }

  /** Bytes of a packet that a client may send. */
  get maxPacketSize(): number {
    return this.#operation.settings.maxPacketSize
  }

  /** Reads the store, and begins to follow changes of paths and revocations of users. */
  async start(): Promise<void> {
    const sessions = this.#sessions
    if (this.#store)
      await restore(this.#store, {
        operation: this.#operation,
        session: this.#session,
        sessions,
        subscriptions: this.#subscriptions,
        topics: this.#topics,
        retained: this.#retained,
        requests: this.#requests,
        observe: (session, topic) => this.#observations.observe(session, topic, () => this.#states.changed({ path: topic.path, origin: null }))
      })
    this.#host.changes(this.#states.changed)
    sessions.sweptAt = this.#operation.clock.elapsed()
    const revocations = this.#users.revocations(id => this.#operation.batches.batch(() => sessions.revoke(id)))
    this.#host.scope.defer(() => revocations[Symbol.dispose]())
    this.#admin?.open(this.#administration, this.#operation.clock)
    this.#arm()
  }

  /** Its part of `app.counters()`. */
  get counts(): Partial<Counts> {
    let observers = 0
    for (const { observed } of this.#sessions) observers += observed?.size ?? 0
    return { observers, sessions: this.#sessions.size, dropped: this.#operation.statistics.dropped }
  }

  /** Serves a connection. */
  accept(channel: ByteChannel, connections: Connections): void {
    const counted = connections.admit(channel)
    this.#operation.statistics.sockets++
    if (counted === null) {
      channel.destroy()
      return
    }
    const connection = new Connection(channel, counted, this.#connection, () => this.#open.delete(channel))
    this.#open.set(channel, connection)
    channel.open(connection)
  }

  /** Publishes a message of the app (see `AppPublisher`). */
  publish(name: string, payload: string | Uint8Array, options?: PublishOptions): Promise<void> {
    return this.#publisher.publish(name, payload, options)
  }

  /** Ends one connection: the server shuts down. */
  disconnect(channel: ByteChannel): void {
    this.#open.get(channel)?.disconnect(REASON.SERVER_SHUTTING_DOWN, '')
  }

  /** Ends everything else, after all connections have ended. */
  async close(): Promise<void> {
    if (this.#sweepTimer !== null) this.#operation.clock.clearTimeout(this.#sweepTimer)
    this.#sweepTimer = null
    this.#closed = true
    this.#admin?.close()
    this.#admission.close()
    await this.#operation.journal.close()
    await this.#sessions.close()
  }

  #arm(): void {
    if (this.#closed) return
    const { clock, batches } = this.#operation
    this.#sweepTimer = clock.setTimeout(() => {
      batches.batch(() => this.#sweep())
      this.#arm()
    }, SWEEP)
  }

  #sweep(): void {
    const { clock, settings } = this.#operation
    const now = clock.elapsed()
    if (this.#quotasAskedAt + QUOTAS <= now) {
      this.#quotasAskedAt = now
      this.#quotas.forget()
    }
    this.#sweepConnections()
    this.#sessions.sweep(now)
    const { statistics } = settings
    if (this.#nextFigures <= now) {
      this.#nextFigures = now + (statistics || FIGURES) * 1000
      if (statistics !== false) this.#systemTopics.publish()
      this.#admin?.statisticsChanged()
    }
    this.#retained.sweep(now)
  }

  /** Ends connections that have been silent for too long, or have not closed in time. */
  #sweepConnections(): void {
    const late = [...this.#open.values()].filter(connection => connection.isLate())
    if (late.length === 0) return
    // After a long turn, packets that clients have sent in time are still to be read; they are read before.
    setImmediate(() => {
      this.#operation.batches.batch(() => {
        for (const connection of late) if (connection.isLate()) connection.expire()
      })
    })
  }
}
