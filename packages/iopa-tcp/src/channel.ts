import { setMaxListeners } from 'node:events'
import {
  abortable,
  type Bag,
  type BagRequest,
  type ByteAddress,
  type ByteNetwork,
  type Channel,
  type Clock,
  type ConnectOptions,
  channelClosed,
  checkTargetUrl,
  DEFAULT_LIMITS,
  IopaError,
  isIopaError,
  type LinkAnswer,
  mergeLimits,
  type OutgoingRequest,
  observationRefused,
  outgoing,
  readRequestBody,
  systemClock
} from '@iopa/transport'
import { ClientSession, type ClientSettings } from './client-session.ts'
import type { Framing } from './framing.ts'

const FIRST_PAUSE = 250
const LONGEST_PAUSE = 30_000
// After a connection that has brought answers the pause grows to this at most, and begins again where that has lasted so long.
const BRIEF_PAUSE = 5_000
const BRIEF = 1_000

/** Opens a channel to the address of a URL. Rejects when it cannot connect in time. */
export async function connect(
  url: URL,
  framing: Framing,
  bag: boolean,
  network: ByteNetwork,
  options: ConnectOptions & { readonly clock?: Clock } = {}
): Promise<Channel> {
  checkTargetUrl(url)
  const secure = url.protocol === 'tcps:'
  if (url.port === '') throw new IopaError(400, 'no-port', `Write the port: ${url.protocol}//${url.hostname || 'host'}:7000.`)
  if (options.tls && !secure) throw new IopaError(400, 'tls-scheme', 'For TLS, write tcps: in the URL.')
  const limits = mergeLimits(DEFAULT_LIMITS, options.limits)
  const address = { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port), tls: secure ? (options.tls ?? {}) : undefined }
  const frameLimit = bag ? Math.ceil((limits.body * 4) / 3) + 64 * 1024 : limits.body
  const channel = new TcpChannel(network, address, {
    framing,
    bag,
    frameLimit,
    limits,
    clock: options.clock ?? systemClock,
    timeout: options.timeout ?? 30_000
  })
  try {
    await channel.open(options.signal)
  } catch (error) {
    await channel.close()
    throw error
  }
  return channel
}

/** A client: one connection, made anew when it was lost and something is to be sent or observed. */
class TcpChannel implements Channel {
  readonly #network: ByteNetwork
  readonly #address: ByteAddress
  readonly #settings: ClientSettings
  readonly #closing = new AbortController()
  #session: ClientSession | null = null
  #connecting: Promise<ClientSession> | null = null

  constructor(network: ByteNetwork, address: ByteAddress, settings: ClientSettings) {
    this.#network = network
    this.#address = address
    this.#settings = settings
    // All that waits for something listens.
    setMaxListeners(0, this.#closing.signal)
  }

  async send(request: Bag): Promise<LinkAnswer> {
    const out = outgoing(request)
    const message = await this.#message(out)
    out.signal?.throwIfAborted()
    const session = await this.open(out.signal)
    return session.request(message, out.signal)
  }

  async *observe(request: Bag): AsyncGenerator<LinkAnswer> {
    if (!this.#settings.bag) throw new IopaError(501, 'not-observable', 'Only bags can observe; connect with the framing of bags.')
    const out = outgoing(request)
    const { signal } = out
    if (signal?.aborted) return
    const message = await this.#message(out)
    const { clock } = this.#settings
    let told = false
    for (let attempt = 0; ; attempt++) {
      if (signal?.aborted || this.#closing.signal.aborted) return
      const begun = clock.elapsed()
      let longest = LONGEST_PAUSE
      try {
        for await (const answer of this.#answers(message, signal)) {
          if (!answer.ok) throw observationRefused(answer)
          told = true
          longest = BRIEF_PAUSE
          yield answer
        }
        return
      } catch (error) {
        if (signal?.aborted || this.#closing.signal.aborted) return
        if (!told || !isLoss(error)) throw error
      }
      // A server that answers and closes at once is asked less and less often.
      if (clock.elapsed() - begun > BRIEF) attempt = 0
      await this.#pause(Math.min(longest, FIRST_PAUSE * 2 ** attempt) * (0.5 + Math.random() / 2), signal)
    }
  }

  async close(): Promise<void> {
    this.#closing.abort(channelClosed())
    await this.#connecting?.catch(() => undefined)
    await this.#session?.leave()
  }

  /** The connection, made when there is none. */
  async open(signal: AbortSignal | undefined): Promise<ClientSession> {
    this.#closing.signal.throwIfAborted()
    signal?.throwIfAborted()
    if (this.#session !== null && !this.#session.closed) return this.#session
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = null
    })
    const connecting = this.#connecting
    return abortable(signal, () => connecting)
  }

  async #connect(): Promise<ClientSession> {
    const { clock, timeout } = this.#settings
    const { signal } = this.#closing
    const giveUp = new AbortController()
    const abort = (): void => giveUp.abort(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    const timer = clock.setTimeout(
      () => giveUp.abort(new IopaError(504, 'timeout', `No connection to ${this.#address.host}, port ${this.#address.port}, within ${timeout} ms.`)),
      timeout,
      { keep: true }
    )
    try {
      this.#session = new ClientSession(await this.#network.connect(this.#address, giveUp.signal), this.#settings)
      return this.#session
    } catch (cause) {
      if (isIopaError(cause)) throw cause
      throw new IopaError(502, 'connect-failed', `Cannot connect to ${this.#address.host}, port ${this.#address.port}.`, { cause })
    } finally {
      clock.clearTimeout(timer)
      signal.removeEventListener('abort', abort)
    }
  }

  /** One connection's part of an observation. */
  async *#answers(message: Omit<BagRequest, 'seq'>, signal: AbortSignal | undefined): AsyncGenerator<LinkAnswer> {
    const session = await this.open(signal)
    const { seq, answers } = session.observe(message)
    const abort = (): void => answers.cut()
    signal?.addEventListener('abort', abort, { once: true })
    if (signal?.aborted) abort()
    try {
      yield* answers
    } finally {
      signal?.removeEventListener('abort', abort)
      session.unobserve(seq)
    }
  }

  async #message(out: OutgoingRequest): Promise<Omit<BagRequest, 'seq'>> {
    const { limits, clock, timeout } = this.#settings
    const body = await readRequestBody(out, { limit: limits.body, clock, timeout, closing: this.#closing.signal })
    return {
      method: out.method,
      path: out.path,
      query: out.query,
      headers: [...out.headers.pairs()],
      contentType: out.type,
      body,
      observe: undefined
    }
  }

  /** Resolves after the time, or when the signal or the channel ends. */
  #pause(time: number, signal: AbortSignal | undefined): Promise<void> {
    const { clock } = this.#settings
    return new Promise(resolve => {
      const wake = (): void => {
        clock.clearTimeout(timer)
        signal?.removeEventListener('abort', wake)
        this.#closing.signal.removeEventListener('abort', wake)
        resolve()
      }
      const timer = clock.setTimeout(wake, time, { keep: true })
      signal?.addEventListener('abort', wake)
      this.#closing.signal.addEventListener('abort', wake)
    })
  }
}

/** True when another connection may succeed where this one did not. */
const isLoss = (error: unknown): boolean =>
  isIopaError(error) &&
  (error.code === 'disconnected' || error.code === 'connect-failed' || error.code === 'timeout' || error.code === 'too-many-connections')
