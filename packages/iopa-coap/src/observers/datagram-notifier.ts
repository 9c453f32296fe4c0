import { CODE } from '../codec/codes.ts'
import { encodeReply } from '../codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../codec/message.ts'
import type { Options } from '../codec/options.ts'
import type { MessageLayer } from '../messages/message-layer.ts'
import type { ConfirmableListener, ResetListener } from '../messages/message-listeners.ts'
import type { Confirmable, Peer } from '../messages/peer.ts'
import type { NotificationSource, Notifier } from './notifications.ts'

const NOTHING = new Uint8Array(0)
/** One of so many notifications is confirmable, so that an observer that is gone is noticed (RFC 7641 section 4.5). */
const CONFIRM_EVERY = 16
/** So is the first after so many seconds. */
const CONFIRM_AFTER = 24 * 60 * 60

/** Notifies an observer by datagrams: confirmable ones where it registered with one, one at a time, the newest state only. */
export class DatagramNotifier implements Notifier, ConfirmableListener, ResetListener {
  readonly onTrust: boolean = true
  readonly #layer: MessageLayer
  readonly #peer: Peer
  /** The request that registered the observer: its token and its type are those of the notifications. */
  readonly #request: ReceivedMessage
  readonly #source: NotificationSource
  /** The notification that is queued or waits for its acknowledgement. */
  #confirmable: Confirmable | undefined
  /** True when there is a state that has not been sent. */
  #stale = false
  /** The ids of the last non-confirmable notifications: a reset of any of them ends the observation. */
  #nonIds: number[] = []
  #nonCount = 0
  #confirmedAt: number

  constructor(layer: MessageLayer, peer: Peer, request: ReceivedMessage, source: NotificationSource) {
    this.#layer = layer
    this.#peer = peer
    this.#request = request
    this.#source = source
    this.#confirmedAt = layer.seconds
  }

  changed(): undefined {
    this.#stale = true
    // A queued one gets the newest state when it is sent; after one that was sent a further one follows, or its retransmission has the newest.
    if (this.#confirmable !== undefined) return undefined
    // An unverified peer shows by its acknowledgements that it wants them (RFC 7641 section 7).
    const confirmable =
      this.#request.type === TYPE.CON ||
      !this.#peer.verified ||
      this.#nonCount >= CONFIRM_EVERY ||
      this.#layer.seconds - this.#confirmedAt >= CONFIRM_AFTER
    if (confirmable) {
      this.#confirmable = this.#layer.sendConfirmable(this.#peer, undefined, this)
      return undefined
    }
    const id = this.#peer.nextId()
    this.#layer.transmit(this.#peer, this.#newest(TYPE.NON, id))
    this.#nonCount++
    if (this.#nonIds.push(id) > CONFIRM_EVERY) this.#peer.resetListeners.delete(this.#nonIds.shift()!)
    this.#peer.onReset(id, this)
    this.#source.delivered()
    return undefined
  }

  dismiss(code: number, options: Options, payload: Uint8Array = NOTHING): void {
    this.#layer.transmit(this.#peer, encodeReply(this.#request, TYPE.NON, this.#peer.nextId(), code, options, payload))
  }

  close(): void {
    this.#forgetIds()
    const confirmable = this.#confirmable
    this.#confirmable = undefined
    if (confirmable !== undefined) this.#layer.cancel(confirmable)
  }

  acknowledged({ code }: ReceivedMessage): boolean {
    if (code !== CODE.EMPTY) return false
    this.#nonCount = 0
    this.#confirmedAt = this.#layer.seconds
    // A state that came meanwhile has not been sent yet.
    this.#confirmable = this.#stale ? this.#layer.sendConfirmable(this.#peer, undefined, this) : undefined
    if (this.#confirmable === undefined) this.#source.delivered()
    return true
  }

  reset(): void {
    this.#end('reset')
  }

  expired(): void {
    this.#end('disconnect')
  }

  renewal(): Uint8Array | undefined {
    return this.#stale ? this.#newest(TYPE.CON, 0) : undefined
  }

  #newest(type: number, id: number): Uint8Array {
    this.#stale = false
    const { code, options, payload } = this.#source.notification()
    return encodeReply(this.#request, type, id, code, options, payload)
  }

  #end(reason: 'reset' | 'disconnect'): void {
    this.#confirmable = undefined
    this.#forgetIds()
    this.#source.end(reason)
  }

  #forgetIds(): void {
    for (const id of this.#nonIds) this.#peer.resetListeners.delete(id)
    this.#nonIds = []
  }
}
