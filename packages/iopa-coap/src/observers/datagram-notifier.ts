import { CODE } from '../codec/codes.ts'
import { encodeReply } from '../codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../codec/message.ts'
import type { Options } from '../codec/options.ts'
import type { NotificationSource, Subscriber } from '../exchanges/exchange.ts'
import type { Confirmable, ConfirmableListener } from '../messages/confirmable.ts'
import type { MessageLayer } from '../messages/message-layer.ts'
import type { Peer } from '../messages/peer.ts'

const NOTHING = new Uint8Array(0)
/** Every so many notifications one is confirmable, so that an observer that is gone is noticed (RFC 7641 section 4.5). */
const CONFIRM_EVERY = 16
/** So is the first after so many seconds. */
const CONFIRM_AFTER = 24 * 60 * 60

/** Tells an observer by datagrams: confirmable ones where it registered with one, one at a time, the newest state only. */
export class DatagramSubscriber implements Subscriber, ConfirmableListener {
  readonly #layer: MessageLayer
  readonly #peer: Peer
  readonly #message: ReceivedMessage
  readonly #source: NotificationSource
  /** The notification that waits for its turn or for its acknowledgement. */
  #outstanding: Confirmable | undefined
  /** True when there is a state that has not been sent. */
  #stale = false
  readonly onTrust: boolean = true
  /** The ids of the last non-confirmable notifications: a reset of any of them ends the observation. */
  #nonIds: number[] = []
  #nonCount = 0
  #confirmedAt: number

  constructor(layer: MessageLayer, peer: Peer, message: ReceivedMessage, source: NotificationSource) {
    this.#layer = layer
    this.#peer = peer
    this.#message = message
    this.#source = source
    this.#confirmedAt = layer.seconds
  }

  changed(): undefined {
    this.#stale = true
    // One that waits for its turn says the newest when that comes; after one that has been sent it is the next, or the same where it is repeated.
    if (this.#outstanding !== undefined) return undefined
    // An unverified peer shows by its acknowledgements that it wants them (RFC 7641 section 7).
    const confirmable =
      this.#message.type === TYPE.CON ||
      !this.#peer.verified ||
      this.#nonCount >= CONFIRM_EVERY ||
      this.#layer.seconds - this.#confirmedAt >= CONFIRM_AFTER
    if (confirmable) {
      this.#outstanding = this.#layer.sendConfirmable(this.#peer, undefined, this)
      return undefined
    }
    const id = this.#layer.sendNonConfirmable(this.#peer, this.#newest(TYPE.NON))
    this.#nonCount++
    if (this.#nonIds.push(id) > CONFIRM_EVERY) this.#peer.subscribers.delete(this.#nonIds.shift()!)
    this.#peer.subscribe(id, this)
    this.#source.delivered()
    return undefined
  }

  /** The peer has rejected a notification that was not confirmable. */
  rejected(): void {
    this.#end('reset')
  }

  dismiss(code: number, options: Options): void {
    this.#layer.sendNonConfirmable(this.#peer, encodeReply(this.#message, TYPE.NON, 0, code, options, NOTHING))
  }

  close(): void {
    this.#forgetIds()
    const outstanding = this.#outstanding
    this.#outstanding = undefined
    if (outstanding !== undefined) this.#layer.cancel(outstanding)
  }

  acknowledged({ code }: ReceivedMessage): boolean {
    if (code !== CODE.EMPTY) return false
    this.#nonCount = 0
    this.#confirmedAt = this.#layer.seconds
    // What came while the peer was silent has not been sent yet.
    this.#outstanding = this.#stale ? this.#layer.sendConfirmable(this.#peer, undefined, this) : undefined
    if (this.#outstanding === undefined) this.#source.delivered()
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
    return this.#stale ? this.#newest(TYPE.CON) : undefined
  }

  #newest(type: number): Uint8Array {
    this.#stale = false
    const { code, options, payload } = this.#source.notification()
    return encodeReply(this.#message, type, 0, code, options, payload)
  }

  #end(reason: 'reset' | 'disconnect'): void {
    this.#forgetIds()
    this.#source.gone(reason)
  }

  #forgetIds(): void {
    for (const id of this.#nonIds) this.#peer.subscribers.delete(id)
    this.#nonIds = []
  }
}
