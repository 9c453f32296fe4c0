import { IopaError, type Limits, type LinkEnd, linkLost, overloaded } from '@iopa/transport'
import { BERT, MAX_SZX } from '../codec/block.ts'
import { CODE } from '../codec/codes.ts'
import { type Message, tokenKey } from '../codec/message.ts'
import { NO_OPTIONS, type Options } from '../codec/options.ts'
import { USUAL_TOKEN } from '../codec/token-length.ts'
import type { StreamHandlers, StreamSession } from '../streams/session.ts'
import { takesBert } from '../streams/signalling.ts'
import { badOptionOf, type OpenRequest, type Requester, type ResponseListener, tokenTooLong } from './requester.ts'
import { maxPayloadOf } from './stream-exchanges.ts'
import { Tokens } from './tokens.ts'

const NOTHING = new Uint8Array(0)

/** Requests on one connection; each has its token, and responses come in any order. It answers no requests: they get 5.01, for a connection has no reset. */
export class StreamRequester implements Requester, StreamHandlers {
  readonly reliable: boolean = true
  echo: Uint8Array | undefined = undefined
  heard: (() => void) | undefined = undefined
  session: StreamSession | undefined
  /** True where the connection belongs to another: it stays when the requests end. */
  shared = false
  /** Resolves when the server has sent its capabilities. */
  readonly capable: Promise<void>
  /** Resolves when the connection takes no further request. */
  readonly finished: Promise<LinkEnd>
  readonly #limits: Limits
  readonly #tokens: Tokens
  /** Critical options of answers that the app reads itself. */
  readonly critical: ReadonlySet<number>
  readonly #waiting = new Map<string, OpenStreamRequest>()
  #opened: () => void = () => undefined
  #refused: (error: unknown) => void = () => undefined
  #left: () => void = () => undefined
  #finish: (end: LinkEnd) => void = () => undefined
  #usable = true
  /** The ping that is not answered yet. */
  #ping: ((answered: boolean) => void) | undefined
  readonly #away: Promise<void>

  /** `critical` are options of answers that the app reads itself; `tokens` those of a security association that lasts longer than the connection. */
  constructor(limits: Limits, critical: ReadonlySet<number> = new Set(), tokens: Tokens = new Tokens()) {
    this.#limits = limits
    this.critical = critical
    this.#tokens = tokens
    this.finished = new Promise(resolve => {
      this.#finish = resolve
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
    return maxPayloadOf(this.session!.peer)
  }

  open(code: number, options: Options, payload: Uint8Array, _confirmable: boolean, listener: ResponseListener): OpenRequest {
    const { tokenLength = USUAL_TOKEN } = listener
    const token = listener.token ?? this.#tokens.next(tokenLength)
    const key = tokenKey(token)
    const open: OpenStreamRequest = new OpenStreamRequest(this, {
      token,
      listener,
      forget: () => {
        if (this.#waiting.get(key) === open) this.#forget(key)
      }
    })
    const { queueMessages } = this.#limits
    const tooLong = tokenLength > (this.session!.peer.tokenLength ?? USUAL_TOKEN)
    if (!this.#usable || tooLong || this.#waiting.size >= queueMessages) {
      const error = !this.#usable ? linkLost({ sent: false }) : tooLong ? tokenTooLong(tokenLength) : overloaded(queueMessages)
      queueMicrotask(() => open.fail(error))
      return open
    }
    this.#waiting.set(key, open)
    open.send(code, options, payload)
    this.session!.asked()
    return open
  }

  /** How many requests wait for a response. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Fails what waits with an error, and closes the connection. */
  async close(error: IopaError): Promise<void> {
    this.#fail(error)
    if (this.shared) return
    this.session?.release()
    await this.#away
  }

  opened(): void {
    this.#opened()
  }

  message(message: Message): void {
    this.heard?.()
    if (message.code >= 64) this.#waiting.get(tokenKey(message.token))?.receive(message)
    else this.#refuse(message.token)
  }

  oversized(code: number, token: Uint8Array): void {
    if (code < 64) {
      this.#refuse(token)
      return
    }
    const { body } = this.#limits
    this.#waiting
      .get(tokenKey(token))
      ?.fail(new IopaError(502, 'received-too-large', `The answer is larger than ${body} bytes; raise limits.body to take it.`))
  }

  closing(finished: boolean): void {
    // After a Release what is in flight may still be answered; when the peer has finished sending no response can come.
    if (finished) this.#fail(linkLost({ sent: true }))
    else this.#end({ reason: 'finish' })
    if (finished || this.#waiting.size === 0) this.session!.release()
  }

  ready(): boolean {
    return true
  }

  asks(): boolean {
    return this.#waiting.size > 0
  }

  whenAnswered(work: () => void): void {
    work()
  }

  ping(done: (answered: boolean) => void): void {
    this.#ping = done
    this.session!.ping()
  }

  ponged(): void {
    const done = this.#ping
    this.#ping = undefined
    done?.(true)
  }

  closed(reason: string): void {
    const error = linkLost({ sent: true }, reason === '' ? undefined : new Error(reason))
    this.#refused(error)
    this.#fail(error)
    this.#left()
  }

  #forget(key: string): void {
    this.#waiting.delete(key)
    if (!this.#usable && !this.shared && this.#waiting.size === 0) this.session!.release()
  }

  #refuse(token: Uint8Array): void {
    this.session!.send(CODE.NOT_IMPLEMENTED, token, NO_OPTIONS, NOTHING)
  }

  #end(end: LinkEnd): void {
    this.#usable = false
    this.#finish(end)
  }

  #fail(error: IopaError): void {
    this.#end({ reason: 'lost', error })
    for (const open of [...this.#waiting.values()]) open.fail(error)
  }
}

/** What one request on a connection is made of. */
interface OpenStreamRequestInit {
  readonly token: Uint8Array
  readonly listener: ResponseListener
  /** Takes the token out. */
  readonly forget: () => void
}

class OpenStreamRequest implements OpenRequest {
  readonly #requester: StreamRequester
  readonly #init: OpenStreamRequestInit
  #closed = false

  constructor(requester: StreamRequester, init: OpenStreamRequestInit) {
    this.#requester = requester
    this.#init = init
  }

  send(code: number, options: Options, payload: Uint8Array): void {
    if (!this.#closed) this.#requester.session!.send(code, this.#init.token, options, payload)
  }

  receive(message: Message): void {
    const error = badOptionOf(message, this.#requester.critical, this.#init.listener.understands)
    if (error !== undefined) {
      this.fail(error)
      return
    }
    this.#init.listener.response(message)
  }

  fail(error: unknown): void {
    if (this.#closed) return
    this.close()
    this.#init.listener.failed(error)
  }

  close(): void {
    this.#closed = true
    this.#init.forget()
  }
}
