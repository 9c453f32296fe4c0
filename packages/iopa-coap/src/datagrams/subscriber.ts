import { CODE } from '../codec/codes.ts'
import { encodeMessage, type ReceivedMessage } from '../codec/datagram-codec.ts'
import { TYPE } from '../codec/message.ts'
import type { OptionWriter } from '../codec/option-writer.ts'
import type { Subscriber } from '../server/exchange.ts'
import type { Confirmable, ConfirmableListener } from './confirmable.ts'
import type { MessageLayer } from './message-layer.ts'
import type { Peer } from './peer.ts'

const NOTHING = new Uint8Array(0)
/** Every so many notifications one is confirmable, so that an observer that is gone is noticed (RFC 7641 section 4.5). */
const CONFIRM_EVERY = 16
/** So is the first after so many seconds. */
const CONFIRM_AFTER = 24 * 60 * 60

/** Tells an observer by datagrams: confirmable ones where it registered with one, one at a time, the newest only. */
export class DatagramSubscriber implements Subscriber, ConfirmableListener {
  readonly #layer: MessageLayer
  readonly #peer: Peer
  readonly #message: ReceivedMessage
  readonly #gone: (reason: 'reset' | 'disconnect') => void
  #outstanding: Confirmable | undefined
  /** What replaces the outstanding notification when that is repeated. */
  #newer: Uint8Array | undefined
  #delivered: (() => void) | undefined
  /** The id of the last non-confirmable notification: a reset of it ends the observation. */
  #nonId = -1
  #nonCount = 0
  #confirmedAt: number

  constructor(layer: MessageLayer, peer: Peer, message: ReceivedMessage, gone: (reason: 'reset' | 'disconnect') => void) {
    this.#layer = layer
    this.#peer = peer
    this.#message = message
    this.#gone = gone
    this.#confirmedAt = layer.seconds
  }

  notify(code: number, options: OptionWriter, payload: Uint8Array): Promise<void> | undefined {
    const { bytes, tokenStart, tokenEnd, type } = this.#message
    const confirmable =
      type === TYPE.CON ||
      this.#nonCount >= CONFIRM_EVERY ||
      this.#outstanding !== undefined ||
      this.#layer.seconds - this.#confirmedAt >= CONFIRM_AFTER
    const notification = encodeMessage(confirmable ? TYPE.CON : TYPE.NON, code, 0, bytes, tokenStart, tokenEnd, options, payload)
    if (!confirmable) {
      this.#nonCount++
      this.#peer.subscribers.delete(this.#nonId)
      this.#nonId = this.#layer.sendNonConfirmable(this.#peer, notification)
      this.#peer.subscribe(this.#nonId, this)
      return undefined
    }
    if (this.#outstanding !== undefined) this.#newer = notification
    else {
      const sent = this.#layer.sendConfirmable(this.#peer, notification, this)
      if (sent === undefined) return undefined
      this.#outstanding = sent
    }
    return new Promise(resolve => {
      this.#delivered = resolve
    })
  }

  /** The peer has rejected a notification that was not confirmable. */
  rejected(): void {
    this.#end('reset')
  }

  dismiss(code: number, options: OptionWriter): void {
    const { bytes, tokenStart, tokenEnd } = this.#message
    this.#layer.sendNonConfirmable(this.#peer, encodeMessage(TYPE.NON, code, 0, bytes, tokenStart, tokenEnd, options, NOTHING))
  }

  close(): void {
    this.#peer.subscribers.delete(this.#nonId)
    const outstanding = this.#outstanding
    this.#outstanding = undefined
    if (outstanding !== undefined) this.#layer.cancel(outstanding)
    this.#settle()
  }

  acknowledged({ code }: ReceivedMessage): boolean {
    if (code !== CODE.EMPTY) return false
    this.#outstanding = undefined
    this.#nonCount = 0
    this.#confirmedAt = this.#layer.seconds
    const newer = this.#newer
    this.#newer = undefined
    if (newer === undefined) this.#settle()
    // What came while the peer was silent has not been sent yet.
    else this.#outstanding = this.#layer.sendConfirmable(this.#peer, newer, this)
    return true
  }

  reset(): void {
    this.#outstanding = undefined
    this.#end('reset')
  }

  expired(): void {
    this.#outstanding = undefined
    this.#end('disconnect')
    // Whoever did not acknowledge this would not acknowledge others either (RFC 7641 section 4.5).
    for (const { context } of [...(this.#peer.observers?.values() ?? [])]) void context.end('disconnect')
  }

  renewal(): Uint8Array | undefined {
    const newer = this.#newer
    this.#newer = undefined
    // From now on a newer state may come at any time, to be sent instead of this one when it is repeated (RFC 7641 section 4.5.2).
    this.#settle()
    return newer
  }

  #settle(): void {
    const delivered = this.#delivered
    this.#delivered = undefined
    delivered?.()
  }

  #end(reason: 'reset' | 'disconnect'): void {
    this.#peer.subscribers.delete(this.#nonId)
    this.#settle()
    this.#gone(reason)
  }
}
