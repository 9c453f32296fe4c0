import { randomBytes } from 'node:crypto'
import { isIP } from 'node:net'
import {
  abortable,
  type ByteNetwork,
  channelClosed,
  checkTarget,
  IopaError,
  type Limits,
  type Link,
  type LinkEnd,
  linkLost,
  type OpenOptions,
  overloaded
} from '@iopa/transport'
import { CoapLink } from '../client/coap-link.ts'
import type { ClientLink, OpenToken, TokenListener } from '../client/link.ts'
import { unusable } from '../client/request.ts'
import { BERT, MAX_SZX } from '../codec/block.ts'
import { type Message, tokenKey } from '../codec/message.ts'
import type { Options } from '../codec/options.ts'
import { hostOf } from '../datagrams/addresses.ts'
import { OVERHEAD } from './connection.ts'
import { ALPN } from './listener.ts'
import { StreamSession } from './session.ts'
import { bertPayload, takesBert } from './signalling.ts'

/** A link to the server of a `coap+tcp:` or `coaps+tcp:` URL, as soon as that has said what it can do. */
export const openStreams = async (url: URL, network: ByteNetwork, options: OpenOptions): Promise<Link> => {
  const { signal, clock, limits, tls } = options
  checkTarget(url, options)
  const secure = url.protocol === 'coaps+tcp:'
  const host = hostOf(url)
  const channel = await network.connect(
    {
      host,
      port: url.port === '' ? (secure ? 5684 : 5683) : Number(url.port),
      tls: secure ? (tls ?? {}) : undefined,
      alpn: secure ? ALPN : undefined
    },
    signal
  )
  const tokens = new StreamLink(limits)
  const session = (tokens.session = new StreamSession(channel, { clock, limits, maxMessageSize: limits.body + limits.headerBytes }, tokens))
  await abortable(signal, () => tokens.capable).catch((error: unknown) => {
    session.destroy()
    throw error
  })
  return new CoapLink({
    host: isIP(host) ? '' : host,
    clock,
    confirmable: true,
    bodyLimit: limits.body,
    tokens,
    closed: tokens.unusable,
    close: () => tokens.close(channelClosed())
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
  /** Resolves when no further request can be sent. */
  readonly unusable: Promise<LinkEnd>
  readonly #waiting = new Map<string, StreamToken>()
  readonly #limits: Limits
  #opened: () => void = () => undefined
  #refused: (error: unknown) => void = () => undefined
  #left: () => void = () => undefined
  #leaving: (end: LinkEnd) => void = () => undefined
  readonly #away: Promise<void>

  constructor(limits: Limits) {
    this.#limits = limits
    this.unusable = new Promise(resolve => {
      this.#leaving = resolve
    })
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
    const open = new StreamToken(this, token, listener, () => this.#forget(key))
    if (this.gone || this.#waiting.size >= this.#limits.queueMessages) {
      queueMicrotask(() => open.fail(this.gone ? linkLost({ sent: false }) : overloaded(this.#limits.queueMessages)))
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
    this.#leave({ reason: 'finish' })
    if (this.#waiting.size === 0) this.session!.release()
  }

  ended(): void {
    // No answer can come any more.
    this.#fail(linkLost({ sent: true }))
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
    const error = linkLost({ sent: true }, reason === '' ? undefined : new Error(reason))
    this.#refused(error)
    this.#fail(error)
    this.#left()
  }

  #forget(key: string): void {
    this.#waiting.delete(key)
    if (this.gone && this.#waiting.size === 0) this.session!.release()
  }

  #leave(end: LinkEnd): void {
    this.gone = true
    this.#leaving(end)
  }

  #fail(error: IopaError): void {
    this.#leave({ reason: 'lost', error })
    for (const open of [...this.#waiting.values()]) open.fail(error)
  }
}

class StreamToken implements OpenToken {
  readonly #link: StreamLink
  readonly #token: Uint8Array
  readonly #listener: TokenListener
  readonly #forget: () => void
  #closed = false

  constructor(link: StreamLink, token: Uint8Array, listener: TokenListener, forget: () => void) {
    this.#link = link
    this.#token = token
    this.#listener = listener
    this.#forget = forget
  }

  send(code: number, options: Options, payload: Uint8Array): void {
    this.#link.session!.send(code, this.#token, options, payload)
  }

  receive(message: Message): void {
    const error = unusable(message)
    if (error !== undefined) {
      this.fail(error)
      return
    }
    this.#listener.response(message)
  }

  fail(error: unknown): void {
    if (this.#closed) return
    this.close()
    this.#listener.failed(error)
  }

  close(): void {
    this.#closed = true
    this.#forget()
  }
}
