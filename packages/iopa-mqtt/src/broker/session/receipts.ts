import { ProtocolError } from '../../codec/protocol-error.ts'
import { REASON } from '../../codec/reason-codes.ts'
import type { Journal } from '../operation/journal.ts'

/** Stands for the reason code while the handler runs. */
const IN_WORK = -1
/** Stands for the reason code while the store removes the receipt. */
const RELEASING = -2

/** Receipts of one session before MQTT 5, where no receive maximum bounds them. */
const MAX_UNRELEASED = 1024

/** The QoS 2 messages that a client has sent and not released, by packet identifier (MQTT 5 section 4.3.3). */
export class Receipts {
  readonly #journal: Journal
  /** The session in the store; it is stored while `stored` says so. */
  readonly #session: { readonly key: string; readonly stored: boolean }
  #reasonCodes: Map<number, number> | null = null
  /** Number of receipts. */
  size = 0

  constructor(session: { readonly key: string; readonly stored: boolean }, journal: Journal) {
    this.#session = session
    this.#journal = journal
  }

  /**
   * The reason code that PUBREC had for this packet identifier; undefined for a new message, null while the handler or the store is not done.
   * @throws ProtocolError for a new message if too many are unreleased
   */
  find(packetId: number): number | null | undefined {
    if (this.#reasonCodes === null) return undefined
    const reasonCode = this.#reasonCodes.get(packetId)
    if (reasonCode !== undefined) return reasonCode < 0 ? null : reasonCode
    if (this.#reasonCodes.size >= MAX_UNRELEASED) throw new ProtocolError(REASON.RECEIVE_MAXIMUM_EXCEEDED, 'too many messages are unreleased')
    return undefined
  }

  /** A message was received, and its handler runs. */
  begin(packetId: number): void {
    this.#set(packetId, IN_WORK)
  }

  /** PUBREC is sent with this reason code. */
  acknowledge(packetId: number, reasonCode: number): void {
    this.#set(packetId, reasonCode)
  }

  /** PUBREC is sent with a failure, or the connection ends without: the message may be sent again as a new one. */
  forget(packetId: number): void {
    if (this.#reasonCodes?.delete(packetId)) this.size--
  }

  /** Writes a receipt to the store, if its session is stored. */
  store(packetId: number, reasonCode: number): void {
    const { key, stored } = this.#session
    if (stored) this.#journal.add({ kind: 'received', clientId: key, packetId, value: { reasonCode } })
  }

  /**
   * PUBREL: the client will not send this message again. Calls back when PUBCOMP may leave: with `unknown` if there is no receipt, with `failed`
   * if the store could not remove it. Does not call back while the message is in work or its release is being stored.
   */
  release(packetId: number, done: (outcome: 'released' | 'unknown' | 'failed') => void): void {
    const known = this.#reasonCodes?.get(packetId)
    // PUBREL before PUBREC violates the protocol without harm; a repeated PUBREL is answered once the first one is stored.
    if (known === IN_WORK || known === RELEASING) return
    if (known === undefined) {
      done('unknown')
      return
    }
    const { key, stored } = this.#session
    if (!stored) {
      this.forget(packetId)
      done('released')
      return
    }
    this.#reasonCodes?.set(packetId, RELEASING)
    this.#journal.add({ kind: 'received', clientId: key, packetId, value: null })
    // With the receipt still in the store, the next message of this identifier would count as this one after a restart.
    this.#journal.kept(kept => {
      if (kept) this.forget(packetId)
      else this.#reasonCodes?.set(packetId, known)
      done(kept ? 'released' : 'failed')
    })
  }

  clear(): void {
    this.#reasonCodes = null
    this.size = 0
  }

  #set(packetId: number, reasonCode: number): void {
    this.#reasonCodes ??= new Map()
    this.#reasonCodes.set(packetId, reasonCode)
    this.size = this.#reasonCodes.size
  }
}
