import { randomBytes } from 'node:crypto'
import { isIP } from 'node:net'
import {
  answerTimeout,
  type ByteNetwork,
  type Channel,
  type Clock,
  type ConnectOptions,
  channelClosed,
  checkTargetUrl,
  connectionLost,
  DEFAULT_LIMITS,
  IopaError,
  isIopaError,
  type Limits,
  mergeLimits,
  type TimerHandle
} from '@iopa/appbuilder'
import { BERT, MAX_SZX } from '../codec/block.ts'
import { type Message, tokenKey } from '../codec/message.ts'
import type { Options } from '../codec/options.ts'
import type { ClientLink, OpenToken, TokenListener } from '../exchanges/requester.ts'
import { OVERHEAD } from '../exchanges/stream-exchanges.ts'
import { until } from '../exchanges/until.ts'
import { ALPN } from '../listeners/stream-listener.ts'
import { hostOf } from '../messages/addresses.ts'
import { StreamSession } from '../streams/session.ts'
import { bertPayload, takesBert } from '../streams/signalling.ts'
import { ClientChannel } from './channel.ts'
import { unusable } from './request.ts'

const DEFAULT_TIMEOUT = 30_000

/** What a client over connections is made of. */
export interface StreamClientInit {
  readonly url: URL
  readonly options: ConnectOptions
  readonly clock: Clock
  readonly network: ByteNetwork
}

/** Opens a channel to the server of a `coap+tcp:` or `coaps+tcp:` URL; when the connection is lost, the next request makes a new one. Rejects when it cannot connect. */
export const connectStreams = async (init: StreamClientInit): Promise<Channel> => {
  const { url, options, clock, network } = init
  checkTargetUrl(url)
  const secure = url.protocol === 'coaps+tcp:'
  const host = hostOf(url)
  const limits = mergeLimits(DEFAULT_LIMITS, options.limits)
  const timeout = options.timeout ?? DEFAULT_TIMEOUT
  const closing = new AbortController()
  let link: StreamLink | undefined
  let connecting: Promise<StreamLink> | undefined

  const open = async (signal?: AbortSignal): Promise<StreamLink> => {
    const deadline = new AbortController()
    const abort = (): void => deadline.abort(closing.signal.aborted ? closing.signal.reason : signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    closing.signal.addEventListener('abort', abort, { once: true })
    const timer = clock.setTimeout(() => deadline.abort(new IopaError(504, 'timeout', `No connection to ${url.host} in time.`)), timeout, {
      keep: true
    })
    try {
      signal?.throwIfAborted()
      const channel = await network.connect(
        {
          host,
          port: url.port === '' ? (secure ? 5684 : 5683) : Number(url.port),
          tls: secure ? (options.tls ?? {}) : undefined,
          alpn: secure ? ALPN : undefined
        },
        deadline.signal
      )
      const fresh = new StreamLink(clock, limits, timeout)
      fresh.session = new StreamSession(channel, { clock, limits, maxMessageSize: limits.body + limits.headerBytes }, fresh)
      await until(fresh.capable, deadline.signal).catch((error: unknown) => {
        fresh.session!.destroy()
        throw error
      })
      return fresh
    } catch (cause) {
      if (deadline.signal.aborted) throw deadline.signal.reason
      if (isIopaError(cause)) throw cause
      throw new IopaError(502, 'connect-failed', `Cannot connect to ${url.host}.`, { cause })
    } finally {
      clock.clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      closing.signal.removeEventListener('abort', abort)
    }
  }
  const current = async (): Promise<ClientLink> => {
    closing.signal.throwIfAborted()
    if (link !== undefined && !link.gone) return link
    connecting ??= open().finally(() => {
      connecting = undefined
    })
    link = await connecting
    return link
  }
  link = await open(options.signal)
  return new ClientChannel({
    host: isIP(host) ? '' : host,
    clock,
    confirmable: true,
    bodyLimit: limits.body,
    timeout,
    link: current,
    close: async () => {
      closing.abort(channelClosed())
      await link?.close(channelClosed())
    }
  })
}

/** Requests on one connection; each has its token, and answers come in any order. */
class StreamLink implements ClientLink {
  readonly reliable: boolean = true
  echo: Uint8Array | undefined = undefined
  heard: (() => void) | undefined = undefined
  session: StreamSession | undefined
  gone = false
  /** Resolves when the server has said what it can do. */
  readonly capable: Promise<void>
  readonly #clock: Clock
  readonly #timeout: number
  readonly #waiting = new Map<string, StreamToken>()
  readonly #limits: Limits
  #opened: () => void = () => undefined
  #refused: (error: unknown) => void = () => undefined
  #left: () => void = () => undefined
  readonly #away: Promise<void>

  constructor(clock: Clock, limits: Limits, timeout: number) {
    this.#clock = clock
    this.#limits = limits
    this.#timeout = timeout
    this.capable = new Promise((resolve, reject) => {
      this.#opened = resolve
      this.#refused = reject
    })
    this.#away = new Promise(resolve => {
      this.#left = resolve
    })
  }

  get maxSzx(): number {
    return takesBert(this.session!.peer) ? BERT : MAX_SZX
  }

  get maxPayload(): number {
    const { peer } = this.session!
    return Math.max(16, bertPayload(peer, OVERHEAD) || peer.maxMessageSize - OVERHEAD)
  }

  open(code: number, options: Options, payload: Uint8Array, _confirmable: boolean, listener: TokenListener): OpenToken {
    const token = randomBytes(8)
    const key = tokenKey(token)
    const open = new StreamToken(this, this.#clock, this.#timeout, token, listener, () => this.#forget(key))
    if (this.gone || this.#waiting.size >= this.#limits.queueMessages) {
      queueMicrotask(() =>
        open.fail(
          this.gone ? connectionLost() : new IopaError(503, 'queue-full', 'Too many requests wait on this connection; wait for some of them first.')
        )
      )
      return open
    }
    this.#waiting.set(key, open)
    open.send(code, options, payload)
    return open
  }

  async close(error: IopaError): Promise<void> {
    this.#fail(error)
    this.session?.release()
    await this.#away
  }

  opened(): void {
    this.#opened()
  }

  message(message: Message): void {
    this.heard?.()
    if (message.code >= 64) this.#waiting.get(tokenKey(message.token))?.receive(message)
  }

  oversized(_code: number, token: Uint8Array): void {
    this.#waiting
      .get(tokenKey(token))
      ?.fail(new IopaError(502, 'answer-too-large', `The answer is larger than ${this.#limits.body} bytes; raise limits.body to take it.`))
  }

  released(): void {
    // What is in flight may still be answered; the next request makes a new connection.
    this.gone = true
    if (this.#waiting.size === 0) this.session!.release()
  }

  ended(): void {
    // No answer can come any more.
    this.#fail(connectionLost())
    this.session!.release()
  }

  ready(): boolean {
    return true
  }

  whenAnswered(work: () => void): void {
    // A client answers no requests.
    work()
  }

  ponged(): void {}

  closed(reason: string): void {
    const error = connectionLost(reason === '' ? undefined : new Error(reason))
    this.#refused(error)
    this.#fail(error)
    this.#left()
  }

  #forget(key: string): void {
    this.#waiting.delete(key)
    if (this.gone && this.#waiting.size === 0) this.session!.release()
  }

  #fail(error: IopaError): void {
    this.gone = true
    for (const open of [...this.#waiting.values()]) open.fail(error)
  }
}

class StreamToken implements OpenToken {
  readonly #link: StreamLink
  readonly #clock: Clock
  readonly #timeout: number
  readonly #token: Uint8Array
  readonly #listener: TokenListener
  readonly #forget: () => void
  #timer: TimerHandle | undefined
  #closed = false

  constructor(link: StreamLink, clock: Clock, timeout: number, token: Uint8Array, listener: TokenListener, forget: () => void) {
    this.#link = link
    this.#clock = clock
    this.#timeout = timeout
    this.#token = token
    this.#listener = listener
    this.#forget = forget
  }

  send(code: number, options: Options, payload: Uint8Array): void {
    this.#disarm()
    this.#timer = this.#clock.setTimeout(() => this.fail(answerTimeout(this.#timeout)), this.#timeout, { keep: true })
    this.#link.session!.send(code, this.#token, options, payload)
  }

  receive(message: Message): void {
    const error = unusable(message)
    if (error !== undefined) {
      this.fail(error)
      return
    }
    this.#disarm()
    this.#listener.response(message)
  }

  fail(error: unknown): void {
    if (this.#closed) return
    this.close()
    this.#listener.failed(error)
  }

  close(): void {
    this.#closed = true
    this.#disarm()
    this.#forget()
  }

  #disarm(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
