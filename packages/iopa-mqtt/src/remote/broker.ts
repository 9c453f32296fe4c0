import { Backoff, type Clock, connectionLost, IopaError, type TimerHandle } from '@iopa/transport'
import type { RemoteOptions } from '../options.ts'
import type { BrokerCapabilities } from './capabilities.ts'
import { Connection } from './connection.ts'
import type { InboundMessage, OutboundMessage, Receipt } from './message.ts'
import { type ConnectionOptions, credentialsOf, elsewhere, nameOf } from './network-connection.ts'
import { Publisher } from './publisher.ts'
import { abortable, type Deferred, deferred, either, endController, limited } from './waiting.ts'

/** What a `RemoteBroker` needs of its owner. */
export interface RemoteBrokerOptions extends RemoteOptions {
  readonly url: URL
  readonly clean: boolean
  /** Messages that the broker is asked to have on its way to us at once. */
  readonly receiveMaximum: number
  readonly maximumPacketSize: number
  /** Publishes that wait for a connection or for their turn, at most. */
  readonly maxWaiting: number
  readonly clock: Clock
  /** True for one connection: where that is lost, the owner makes another relation. */
  readonly once?: boolean
  /** Called for each message, with the connection that it came by; must not throw. The connection is paused until its promise settles, if it gives one. */
  receive(message: InboundMessage, connection: Connection): void | Promise<void>
  /** Prepares each new connection, above all subscribes; rejecting drops it. */
  connected(connection: Connection): Promise<void>
  /** A connection that was prepared is gone, or one that was to replace it could not be had. */
  interrupted(error: Error | null, retryIn: number): void
}

/**
 * A lasting relation to a broker: connects with MQTT 5 or what the broker speaks, reconnects with growing waits, publishes at most as many
 * messages at once as the broker takes, and sends those again that a lost connection has left without an answer.
 */
export class RemoteBroker {
  readonly url: URL
  readonly #options: RemoteBrokerOptions
  readonly #clientId: string
  #versions: (4 | 5)[]
  #server: URL
  #connection: Connection | null = null
  /** Resolves with the next prepared connection. */
  #ready: Deferred<Connection> = waiting()
  readonly #backoff: Backoff
  #timer: TimerHandle = undefined
  /** When a try was made without waiting. */
  #atOnce: number = Number.NEGATIVE_INFINITY
  readonly #closing = endController()
  readonly #publisher: Publisher

  constructor(options: RemoteBrokerOptions) {
    this.#options = options
    this.url = options.url
    this.#server = options.url
    this.#clientId = options.clientId ?? `iopa-${crypto.randomUUID().replaceAll('-', '').slice(0, 18)}`
    this.#versions = options.protocolVersion ? [options.protocolVersion] : [5, 4]
    this.#publisher = new Publisher(options.maxWaiting, signal => this.ready(signal))
    this.#backoff = new Backoff({ initial: options.reconnect?.initial ?? 1000, maximum: options.reconnect?.maximum ?? 60_000 })
  }

  /** The identifier that the broker knows us by. */
  get clientId(): string {
    return this.#connection?.clientId ?? this.#clientId
  }

  /** The prepared connection, or null. */
  get connection(): Connection | null {
    return this.#connection
  }

  get capabilities(): BrokerCapabilities | null {
    return this.#connection?.capabilities ?? null
  }

  /** Connects for the first time. @throws IopaError when that fails; nothing is tried again then. */
  async start(signal?: AbortSignal): Promise<void> {
    try {
      await this.#connect(signal)
    } catch (error) {
      this.#end(error)
      throw error
    }
  }

  /** A prepared connection, as soon as there is one. Rejects when the broker is given up, and with the reason of `signal`. */
  ready(signal?: AbortSignal): Promise<Connection> {
    return this.#connection ? Promise.resolve(this.#connection) : abortable(this.#ready.promise, signal)
  }

  /** As `Publisher.publish`. */
  publish(message: OutboundMessage, signal?: AbortSignal, again?: () => boolean): Promise<Receipt> {
    return this.#publisher.publish(message, signal, again)
  }

  /** Takes leave: with `keepSession` the broker goes on collecting messages for this client. */
  async close(keepSession: boolean): Promise<void> {
    const connection = this.#connection
    this.#end(new IopaError(503, 'closed', 'The connection to the broker was closed.'))
    if (!connection) return
    await connection.disconnect(keepSession ? undefined : 0)
    if (!keepSession && connection.capabilities.protocolVersion === 4 && !this.#options.clean) await this.#discardSession()
  }

  async #connect(signal?: AbortSignal): Promise<void> {
    const connection = await this.#open(signal)
    try {
      const { clock, connectTimeout = 10_000 } = this.#options
      const late = (): Error => new IopaError(504, 'timeout', `The broker ${nameOf(this.#server)} did not answer the subscriptions in time.`)
      await abortable(limited(this.#options.connected(connection), connectTimeout, clock, late), signal)
    } catch (error) {
      connection.destroy()
      throw error
    }
    if (this.#closing.signal.aborted) {
      connection.destroy()
      throw this.#closing.signal.reason
    }
    const since = this.#options.clock.elapsed()
    void connection.closed.then(({ error, reasonCode, serverReference }) => {
      if (this.#connection === connection) {
        this.#connection = null
        this.#ready = waiting()
      }
      if (this.#options.once === true) {
        if (!this.#closing.signal.aborted) this.#end(connectionLost(error ?? undefined))
        this.#options.interrupted(error, 0)
        return
      }
      if (serverReference !== '') this.#server = elsewhere(this.url, serverReference)
      // A broker that takes us and drops us at once, as when another client has the same identifier, must not be asked every second.
      if (this.#options.clock.elapsed() - since > STEADY) this.#backoff.reset()
      this.#reconnect(error ?? (reasonCode === 0 ? null : new Error(closedWith(reasonCode, this.clientId))), true)
    })
    this.#connection = connection
    this.#ready.resolve(connection)
  }

  /** Connects where the broker says, to a server that it names if it does (MQTT 5 section 4.11). */
  async #open(signal: AbortSignal | undefined): Promise<Connection> {
    for (let redirects = 0; ; redirects++) {
      try {
        return await this.#openAny(signal)
      } catch (error) {
        const reference = (error as IopaError).extensions?.['serverReference']
        this.#server = typeof reference === 'string' ? elsewhere(this.url, reference) : this.url
        if (this.#server === this.url || redirects >= MAX_REDIRECTS) throw error
      }
    }
  }

  /** Tries the versions in turn; the one that worked stays. */
  async #openAny(signal: AbortSignal | undefined): Promise<Connection> {
    for (const protocolVersion of [...this.#versions]) {
      let opened: Connection | null = null
      const early: InboundMessage[] = []
      try {
        const options = { ...this.#connectionOptions(protocolVersion), signal: either(signal, this.#closing.signal) }
        opened = await Connection.open(options, message => (opened ? this.#options.receive(message, opened) : void early.push(message)))
        // A resumed session sends before CONNACK has been reported.
        for (const message of early) void this.#options.receive(message, opened)
        this.#versions = [protocolVersion]
        return opened
      } catch (error) {
        const { code } = error as IopaError
        if ((code !== 'protocol-version' && code !== 'disconnected') || protocolVersion === this.#versions.at(-1)) {
          // What worked does no longer: next time every version has its chance.
          if (code === 'protocol-version' && this.#options.protocolVersion === undefined) this.#versions = [5, 4]
          throw error
        }
      }
    }
    throw new IopaError(501, 'protocol-version', `The broker ${nameOf(this.url)} speaks no version of MQTT that this client does.`)
  }

  #connectionOptions(protocolVersion: 4 | 5): Omit<ConnectionOptions, 'signal'> {
    const { clean, keepAlive = 60, connectTimeout = 10_000, receiveMaximum, maximumPacketSize, tls, websocket, capabilities, clock } = this.#options
    return {
      url: this.#server,
      protocolVersion,
      clientId: this.#clientId,
      clean,
      sessionExpiry: this.#options.sessionExpiry ?? (clean ? 0 : this.#options.clientId === undefined ? 60 : 3600),
      keepAlive,
      ...credentialsOf(this.url, this.#options),
      tls,
      websocket,
      receiveMaximum,
      maximumPacketSize,
      connectTimeout,
      capabilities,
      clock
    }
  }

  /** `lost` says that there was a connection: then the first try is at once, since the broker drops shared subscriptions meanwhile. */
  #reconnect(error: Error | null, lost = false): void {
    if (this.#closing.signal.aborted) return
    const now = this.#options.clock.elapsed()
    const atOnce = lost && now - this.#atOnce > STEADY
    if (atOnce) this.#atOnce = now
    const wait = atOnce ? 0 : this.#backoff.next()
    this.#options.interrupted(error, wait)
    this.#timer = this.#options.clock.setTimeout(
      () => {
        this.#connect().catch(failure => this.#reconnect(failure as Error))
      },
      wait,
      { keep: true }
    )
  }

  #end(reason: unknown): void {
    this.#options.clock.clearTimeout(this.#timer)
    this.#closing.abort(reason)
    this.#connection = null
    this.#ready = waiting()
    this.#ready.reject(reason)
  }

  /** MQTT 3.1.1 ends a session with the next clean connection (section 3.1.2.4). */
  async #discardSession(): Promise<void> {
    const { connectTimeout } = this.#options
    const options = this.#connectionOptions(4)
    const brief = { ...options, clean: true, sessionExpiry: 0, connectTimeout: Math.min(connectTimeout ?? 1000, 1000), signal: undefined }
    const connection = await Connection.open(brief, () => {}).catch(() => null)
    await connection?.disconnect()
  }
}

/** Milliseconds after which a connection counts as one that works. */
const STEADY = 10_000
/** Servers that send us on to others, one after another. */
const MAX_REDIRECTS = 3
const SESSION_TAKEN_OVER = 0x8e

const closedWith = (reasonCode: number, clientId: string): string =>
  reasonCode === SESSION_TAKEN_OVER
    ? `another client uses the identifier '${clientId}': give each process a clientId of its own`
    : `the broker closed the connection with reason 0x${reasonCode.toString(16)}`

/** Rejecting it later must not count as unhandled when nobody waits. */
const waiting = (): Deferred<Connection> => {
  const next = deferred<Connection>()
  next.promise.catch(() => {})
  return next
}
