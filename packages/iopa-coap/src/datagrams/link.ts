import { randomBytes } from 'node:crypto'
import { answerTimeout, IopaError } from '@iopa/transport'
import type { ClientLink, OpenToken, TokenListener } from '../client/link.ts'
import { unusable } from '../client/request.ts'
import { CODE } from '../codec/codes.ts'
import { encode } from '../codec/datagram-codec.ts'
import { type Message, TYPE, tokenKey } from '../codec/message.ts'
import type { Options } from '../codec/options.ts'
import type { Confirmable, ConfirmableListener } from './confirmable.ts'
import type { MessageLayer } from './message-layer.ts'
import type { Peer } from './peer.ts'

/** Requests to one endpoint over datagrams: a response has to come from there and to carry the token (RFC 7252 section 5.3.2). */
export class DatagramLink implements ClientLink {
  readonly reliable: boolean = false
  readonly maxSzx: number
  readonly maxPayload: number
  echo: Uint8Array | undefined = undefined
  heard: (() => void) | undefined = undefined
  readonly #layer: MessageLayer
  readonly #peer: Peer
  readonly #waiting = new Map<string, DatagramToken>()

  constructor(layer: MessageLayer, peer: Peer, szx: number) {
    this.#layer = layer
    this.#peer = peer
    this.maxSzx = szx
    this.maxPayload = 16 << szx
    // It is kept as long as the link: its message ids and what it was answered belong to this conversation.
    peer.pins++
  }

  open(code: number, options: Options, payload: Uint8Array, confirmable: boolean, listener: TokenListener): OpenToken {
    const token = randomBytes(8)
    const forget = (): void => {
      if (this.#waiting.get(key) === open) this.#waiting.delete(key)
    }
    const open: DatagramToken = new DatagramToken(this.#layer, this.#peer, token, confirmable, listener, forget, () => this.heard?.())
    const key = tokenKey(token)
    this.#waiting.set(key, open)
    open.send(code, options, payload)
    return open
  }

  /** Takes a response that came in a message of its own; false when nobody waits for it. */
  receive(peer: Peer, message: Message): boolean {
    if (peer !== this.#peer) return false
    this.heard?.()
    return this.#waiting.get(tokenKey(message.token))?.receive(message) ?? false
  }

  /** Fails everything that waits. */
  close(error: IopaError): void {
    for (const open of [...this.#waiting.values()]) open.fail(error)
  }
}

class DatagramToken implements OpenToken, ConfirmableListener {
  readonly #layer: MessageLayer
  readonly #peer: Peer
  readonly #token: Uint8Array
  readonly #confirmable: boolean
  readonly #listener: TokenListener
  readonly #forget: () => void
  readonly #heard: () => void
  #underway: Confirmable | undefined
  #closed = false

  constructor(
    layer: MessageLayer,
    peer: Peer,
    token: Uint8Array,
    confirmable: boolean,
    listener: TokenListener,
    forget: () => void,
    heard: () => void
  ) {
    this.#layer = layer
    this.#peer = peer
    this.#token = token
    this.#confirmable = confirmable
    this.#listener = listener
    this.#forget = forget
    this.#heard = heard
  }

  send(code: number, options: Options, payload: Uint8Array): void {
    this.#stop()
    const bytes = encode({ type: this.#confirmable ? TYPE.CON : TYPE.NON, code, id: 0, token: this.#token, options, payload })
    if (this.#confirmable) {
      this.#underway = this.#layer.sendConfirmable(this.#peer, bytes, this)
      if (this.#underway === undefined)
        this.fail(new IopaError(503, 'overloaded', 'Too many requests wait for this peer; wait for some of them first.'))
    } else {
      this.#layer.sendNonConfirmable(this.#peer, bytes)
      this.#listener.received?.()
    }
  }

  receive(message: Message): boolean {
    const error = unusable(message)
    if (error !== undefined) {
      this.fail(error)
      return false
    }
    // A response is an acknowledgement too: that one was lost (RFC 7252 section 5.2.2).
    this.#stop()
    return this.#listener.response(message)
  }

  acknowledged(message: Message): boolean {
    this.#heard()
    if (message.code === CODE.EMPTY) {
      this.#underway = undefined
      this.#listener.received?.()
      return true
    }
    if (tokenKey(message.token) !== tokenKey(this.#token)) return false
    this.#underway = undefined
    this.receive(message)
    return true
  }

  reset(): void {
    this.#underway = undefined
    this.fail(new IopaError(502, 'reset', 'The peer has rejected the request: it speaks no CoAP here, or has lost its state.'))
  }

  expired(): void {
    this.#underway = undefined
    this.fail(answerTimeout())
  }

  fail(error: unknown): void {
    if (this.#closed) return
    this.close()
    this.#listener.failed(error)
  }

  close(): void {
    this.#closed = true
    this.#stop()
    this.#forget()
  }

  #stop(): void {
    const underway = this.#underway
    this.#underway = undefined
    if (underway !== undefined) this.#layer.cancel(underway)
  }
}
