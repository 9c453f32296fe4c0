import { PACKET } from '../codec/packet-types.ts'
import { REASON } from '../codec/reason-codes.ts'
import type { Acknowledgement } from '../codec/server-decoder.ts'
import { deferred } from './waiting.ts'

/** A packet of ours that waits for its acknowledgement. */
interface Exchange {
  /** Packet type of the acknowledgement. */
  readonly awaits: number
  resolve(acknowledgement: Acknowledgement): void
  reject(error: Error): void
}

/**
 * The packets of one connection that the broker acknowledges, by packet identifier: SUBSCRIBE, UNSUBSCRIBE, and PUBLISH of QoS 1 and 2. An
 * identifier stays taken until its last acknowledgement has come, also when nobody waits for it any more ([MQTT-2.2.1-3]).
 */
export class Exchanges {
  readonly #open = new Map<number, Exchange>()
  #lastPacketId = 0

  /** A packet identifier that is not in use; 0 when all are. */
  freePacketId(): number {
    if (this.#open.size >= 65_535) return 0
    do this.#lastPacketId = this.#lastPacketId === 65_535 ? 1 : this.#lastPacketId + 1
    while (this.#open.has(this.#lastPacketId))
    return this.#lastPacketId
  }

  /** Resolves with the acknowledgement of this type (PUBREC for QoS 2, once PUBCOMP has come too). */
  wait(packetId: number, awaits: number): Promise<Acknowledgement> {
    const { promise, resolve, reject } = deferred<Acknowledgement>()
    this.#open.set(packetId, { awaits, resolve, reject })
    return promise
  }

  /** Takes an acknowledgement; one that nothing waits for is ignored. */
  settle(acknowledgement: Acknowledgement): void {
    const exchange = this.#open.get(acknowledgement.packetId)
    if (exchange?.awaits !== acknowledgement.type) return
    this.#open.delete(acknowledgement.packetId)
    exchange.resolve(acknowledgement)
  }

  /**
   * Takes the first answer to a message of QoS 2 (MQTT 5 section 4.3.3): what it says is the result, which waits for PUBCOMP. Returns the reason
   * code of the PUBREL that answers it; null after a refusal, which is the end.
   */
  release(pubrec: Acknowledgement): number | null {
    const { packetId, reasonCodes } = pubrec
    const exchange = this.#open.get(packetId)
    if (exchange === undefined) return REASON.PACKET_IDENTIFIER_NOT_FOUND
    if (exchange.awaits !== PACKET.PUBREC) return REASON.SUCCESS
    if ((reasonCodes[0] as number) >= 0x80) {
      this.settle(pubrec)
      return null
    }
    this.#open.set(packetId, { awaits: PACKET.PUBCOMP, resolve: () => exchange.resolve(pubrec), reject: error => exchange.reject(error) })
    return REASON.SUCCESS
  }

  /** Rejects everything that waits. */
  end(error: () => Error): void {
    for (const { reject } of this.#open.values()) reject(error())
    this.#open.clear()
  }
}
