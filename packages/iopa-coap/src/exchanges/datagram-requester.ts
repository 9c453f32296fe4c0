import { answerTimeout, IopaError } from '@iopa/transport'
import { CODE } from '../codec/codes.ts'
import { encode, encodeEmpty } from '../codec/datagram-codec.ts'
import { type Message, type ReceivedMessage, TYPE, tokenKey } from '../codec/message.ts'
import type { Options } from '../codec/options.ts'
import { USUAL_TOKEN } from '../codec/token-length.ts'
import type { MessageHandlers } from '../messages/layer-parts.ts'
import type { MessageLayer } from '../messages/message-layer.ts'
import type { ConfirmableListener } from '../messages/message-listeners.ts'
import type { Confirmable, Peer } from '../messages/peer.ts'
import { badOptionOf, type OpenRequest, type Requester, type ResponseListener, tokenTooLong } from './requester.ts'
import { Tokens } from './tokens.ts'

/** What requests over datagrams need. */
export interface DatagramRequesterInit {
  readonly layer: MessageLayer
  readonly peer: Peer
  /** Size exponent of the largest block. */
  readonly szx: number
  /** Critical options of answers that the app reads itself. */
  readonly critical: ReadonlySet<number>
  /** Those of a security association that lasts longer than this; tokens of its own unless given. */
  readonly tokens?: Tokens | undefined
}

/** Requests to one endpoint over datagrams: a response has to come from there and to carry the token (RFC 7252 section 5.3.2). It answers no requests. */
export class DatagramRequester implements Requester, MessageHandlers {
  readonly reliable: boolean = false
  readonly maxSzx: number
  readonly maxPayload: number
  echo: Uint8Array | undefined = undefined
  heard: (() => void) | undefined = undefined
  /** Called where a request ends of which no transmission was acknowledged, while nothing at all came from the peer. */
  unanswered: (() => void) | undefined = undefined
  readonly idle: boolean = true
  readonly #init: DatagramRequesterInit
  readonly #tokens: Tokens
  readonly #waiting = new Map<string, OpenDatagramRequest>()
  /** Why it takes no further requests. */
  #closed: IopaError | undefined

  constructor(init: DatagramRequesterInit) {
    const { peer } = init
    const szx = Math.min(init.szx, peer.maxSzx)
    this.#init = init
    this.#tokens = init.tokens ?? new Tokens()
    this.maxSzx = szx
    this.maxPayload = 16 << szx
    // Kept as long as this: its message ids and the answers to its messages belong to this conversation.
    peer.pin()
  }

  /** What to check while nothing at all has come from the peer. */
  get silence(): string | undefined {
    const { association, heard } = this.#init.peer
    return association === undefined && heard < 0 ? NOTHING_CAME : undefined
  }

  open(code: number, options: Options, payload: Uint8Array, confirmable: boolean, listener: ResponseListener): OpenRequest {
    const token = listener.token ?? this.#tokens.next(listener.tokenLength)
    const key = tokenKey(token)
    const forget = (): void => {
      if (this.#waiting.get(key) === open) this.#waiting.delete(key)
    }
    const open: OpenDatagramRequest = new OpenDatagramRequest(this.#init, {
      token,
      confirmable,
      listener,
      forget,
      heard: () => this.heard?.(),
      silence: () => this.silence,
      unanswered: () => this.unanswered?.()
    })
    const closed = this.#closed
    if (closed !== undefined) {
      queueMicrotask(() => open.fail(closed))
      return open
    }
    this.#waiting.set(key, open)
    open.send(code, options, payload)
    return open
  }

  ping(done: (answered: boolean) => void): void {
    const { layer, peer } = this.#init
    const answered = (): void => {
      this.heard?.()
      done(true)
    }
    const sent = layer.sendConfirmable(peer, encodeEmpty(TYPE.CON, 0), {
      acknowledged: () => {
        answered()
        return true
      },
      // A pong is a reset (RFC 7252 section 4.3).
      reset: answered,
      expired: () => done(false)
    })
    // Where so much waits for the peer, that keeps the path alive.
    if (sent === undefined) done(true)
  }

  request(peer: Peer, message: ReceivedMessage): boolean {
    this.#init.layer.reset(peer, message)
    return false
  }

  refusal({ id }: ReceivedMessage): Uint8Array {
    return encodeEmpty(TYPE.RST, id)
  }

  step(): boolean {
    return false
  }

  response(peer: Peer, message: Message): boolean {
    if (peer !== this.#init.peer) return false
    this.heard?.()
    return this.#waiting.get(tokenKey(message.token))?.receive(message) ?? false
  }

  /** The system says that nothing listens at the port: what is acknowledged may still be answered, all else fails. */
  unreachable(): void {
    for (const open of [...this.#waiting.values()]) open.unreachable()
  }

  /** Fails everything that waits, and what is asked from then on. */
  close(error: IopaError): void {
    this.#closed = error
    for (const open of [...this.#waiting.values()]) open.fail(error)
  }
}

/** What one request over datagrams is made of. */
interface OpenDatagramRequestInit {
  readonly token: Uint8Array
  readonly confirmable: boolean
  readonly listener: ResponseListener
  /** Takes the token out. */
  readonly forget: () => void
  readonly heard: () => void
  readonly silence: () => string | undefined
  readonly unanswered: () => void
}

const NOTHING_LISTENS =
  'Nothing listens at the port of the server: the system says so. Check host, port and scheme: coap: is served on 5683, coaps: on 5684, unless said otherwise.'
const NOTHING_CAME = 'Nothing has come from there at all: a server of coaps: (DTLS) leaves coap: unanswered.'

class OpenDatagramRequest implements OpenRequest, ConfirmableListener {
  readonly #requester: DatagramRequesterInit
  readonly #init: OpenDatagramRequestInit
  readonly asks: boolean = true
  #confirmable: Confirmable | undefined
  /** True until the message is acknowledged or answered. */
  #unheard = false
  #closed = false

  constructor(requester: DatagramRequesterInit, init: OpenDatagramRequestInit) {
    this.#requester = requester
    this.#init = init
  }

  send(code: number, options: Options, payload: Uint8Array): void {
    const { layer, peer } = this.#requester
    const { token, confirmable, listener } = this.#init
    if (this.#closed) return
    this.#stop()
    this.#unheard = true
    const id = confirmable ? 0 : peer.nextId()
    const bytes = encode({ type: confirmable ? TYPE.CON : TYPE.NON, code, id, token, options, payload })
    if (confirmable) {
      this.#confirmable = layer.sendConfirmable(peer, bytes, this)
      if (this.#confirmable === undefined)
        this.fail(new IopaError(503, 'overloaded', 'Too many requests wait for this peer; wait for some of them first.'))
    } else {
      layer.transmit(peer, bytes)
      listener.received?.()
    }
  }

  receive(message: Message): boolean {
    const error = badOptionOf(message, this.#requester.critical, this.#init.listener.understands)
    if (error !== undefined) {
      this.fail(error)
      return false
    }
    this.#unheard = false
    // A response is an acknowledgement too: that one was lost (RFC 7252 section 5.2.2).
    this.#stop()
    return this.#init.listener.response(message)
  }

  acknowledged(message: Message): boolean {
    this.#init.heard()
    if (message.code === CODE.EMPTY) {
      this.#unheard = false
      this.#confirmable = undefined
      this.#init.listener.received?.()
      return true
    }
    if (tokenKey(message.token) !== tokenKey(this.#init.token)) return false
    this.#confirmable = undefined
    this.receive(message)
    return true
  }

  reset(): void {
    this.#confirmable = undefined
    const { length } = this.#init.token
    // A server without long tokens takes the message for malformed (RFC 8974 section 2.2.2).
    if (length > USUAL_TOKEN) this.fail(tokenTooLong(length))
    else
      this.fail(
        new IopaError(502, 'peer-reset', 'The peer has rejected the request: it serves none (a client does with serve), or has lost its state.')
      )
  }

  expired(): void {
    this.#confirmable = undefined
    this.fail(answerTimeout(undefined, this.#init.silence()))
    this.#init.unanswered()
  }

  unreachable(): void {
    if (this.#unheard) this.fail(new IopaError(502, 'port-unreachable', NOTHING_LISTENS))
  }

  fail(error: unknown): void {
    if (this.#closed) return
    this.close()
    this.#init.listener.failed(error)
  }

  close(): void {
    const { peer } = this.#requester
    const { retransmissions = 0, sentAt = 0 } = this.#confirmable ?? {}
    this.#closed = true
    this.#stop()
    this.#init.forget()
    if (retransmissions > 0 && peer.heard < sentAt) this.#init.unanswered()
  }

  #stop(): void {
    const confirmable = this.#confirmable
    this.#confirmable = undefined
    if (confirmable !== undefined) this.#requester.layer.cancel(confirmable)
  }
}
