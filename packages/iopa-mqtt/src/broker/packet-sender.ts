import type { ByteChannel } from '@iopa/transport'
import { PACKET } from '../codec/packet-types.ts'
import { acknowledgementSize, publishSize, writeAcknowledgement, writePublish } from '../codec/publish-encoder.ts'
import type { Broker } from './broker.ts'
import type { Message } from './message.ts'
import { Outbox } from './outbox.ts'

/** Writes packets to one client, as large, as many and in the form that the client has said it takes. */
export class PacketSender {
  readonly outbox: Outbox
  readonly #broker: Broker
  /** 3, 4 or 5. */
  version = 4
  /** Most unacknowledged messages that the client takes at a time. */
  window = 0
  /** Bytes of a packet that the client takes. */
  maximumPacketSize: number = Number.POSITIVE_INFINITY
  /** False when the client wants no reason strings (MQTT 5 section 3.1.2.11.7). */
  wantsProblems = true
  /** Topic aliases that the client allows. */
  aliasMaximum = 0
  #aliases: Map<string, number> | null = null

  constructor(broker: Broker, channel: ByteChannel) {
    this.#broker = broker
    this.outbox = new Outbox(channel, broker.limits.queueBytes, broker.flusher.add, broker.counters)
  }

  /** Sends a PUBLISH; false when the client takes none of that size. */
  publish(message: Message, qos: number, retain: boolean, dup: boolean, packetId: number, identifiers: readonly number[]): boolean {
    if (qos === 0 && !retain && identifiers.length === 0 && this.aliasMaximum === 0 && (message.expiresAt === 0 || this.version < 5)) {
      return this.#plain(message)
    }
    const { outbox, version } = this
    const { form, counters } = this.#broker
    const known = this.aliasMaximum > 0 ? this.#aliasOf(message.topic) : 0
    const secondsLeft = version === 5 && message.expires ? message.secondsLeft(this.#broker.elapsed()) : -1
    form.set(message, qos, retain, dup, packetId, identifiers, secondsLeft, Math.abs(known), known < 0)
    const size = publishSize(form, version)
    if (size > this.maximumPacketSize) {
      if (known > 0) this.#aliases?.delete(message.topic)
      return false
    }
    counters.sent++
    counters.payloadSent += message.payloadEnd - message.payloadStart
    const at = outbox.reserve(size)
    writePublish(outbox.block, at, form, version)
    return true
  }

  /** Sends a PUBACK, PUBREC, PUBREL or PUBCOMP; `details` are left out where they make it too large. */
  acknowledge(type: number, packetId: number, reasonCode: number, details: Buffer | null): void {
    const { outbox, version } = this
    let said = details
    let size = acknowledgementSize(version, reasonCode, said)
    if (size > this.maximumPacketSize) {
      said = null
      size = acknowledgementSize(version, reasonCode, said)
    }
    this.#broker.counters.controlSent++
    const at = outbox.reserve(size)
    writeAcknowledgement(outbox.block, at, type, packetId, version, reasonCode, said)
  }

  /** Sends a PUBREL. */
  release(packetId: number, reasonCode: number): void {
    this.acknowledge(PACKET.PUBREL, packetId, reasonCode, null)
  }

  /** Writes a whole packet, unless it has more bytes than the client takes. */
  send(packet: Buffer): void {
    if (packet.length > this.maximumPacketSize) return
    this.#broker.counters.controlSent++
    this.outbox.append(packet, 0, packet.length)
  }

  /** A message that is the same for every receiver of this version. */
  #plain(message: Message): boolean {
    const { outbox, version } = this
    // As it came, where its sender speaks the same version.
    if (message.frameVersion === (version === 5 ? 5 : 3)) {
      if (message.frameEnd - message.frameStart > this.maximumPacketSize) return false
      this.#count(message)
      outbox.append(message.bytes, message.frameStart, message.frameEnd)
      return true
    }
    const { bytes, start, end } = message.plain(version)
    if (end - start > this.maximumPacketSize) return false
    this.#count(message)
    outbox.append(bytes, start, end)
    return true
  }

  #count(message: Message): void {
    const { counters } = this.#broker
    counters.sent++
    counters.payloadSent += message.payloadEnd - message.payloadStart
  }

  /** The alias of a topic: negative when the client knows it already, 0 when there is none left (MQTT 5 section 3.3.2.3.4). */
  #aliasOf(topic: string): number {
    this.#aliases ??= new Map()
    const known = this.#aliases.get(topic)
    if (known !== undefined) return -known
    if (this.#aliases.size >= this.aliasMaximum) return 0
    const alias = this.#aliases.size + 1
    this.#aliases.set(topic, alias)
    return alias
  }
}
