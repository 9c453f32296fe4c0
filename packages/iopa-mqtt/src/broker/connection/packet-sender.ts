import type { ByteChannel } from '@iopa/transport'
import { PACKET } from '../../codec/packet-types.ts'
import { NO_BYTES } from '../../codec/publish-decoder.ts'
import { acknowledgementSize, type PublishForm, publishSize, writeAcknowledgement, writePublish } from '../../codec/publish-encoder.ts'
import type { Broker } from '../broker.ts'
import type { Message } from '../topics/message.ts'
import { SendBuffer } from './send-buffer.ts'

/** Writes packets to one client, as large, as many and in the form that the client has said it takes. */
export class PacketSender {
  readonly buffer: SendBuffer
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
    this.buffer = new SendBuffer(channel, broker.limits.queueBytes, broker.flusher.add, broker.counters)
  }

  /** Sends a PUBLISH; false when the client takes none of that size. */
  publish(message: Message, qos: number, retain: boolean, dup: boolean, packetId: number, identifiers: readonly number[]): boolean {
    if (qos === 0 && !retain && identifiers.length === 0 && this.aliasMaximum === 0 && (message.expiresAt === 0 || this.version < 5)) {
      return this.#plain(message)
    }
    const { buffer, version } = this
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
    const at = buffer.reserve(size)
    writePublish(buffer.block, at, form, version)
    return true
  }

  /** Sends a PUBACK, PUBREC, PUBREL or PUBCOMP; `details` are left out where they make it too large. */
  acknowledge(type: number, packetId: number, reasonCode: number, details: Buffer | null): void {
    const { buffer, version } = this
    let said = details
    let size = acknowledgementSize(version, reasonCode, said)
    if (size > this.maximumPacketSize) {
      said = null
      size = acknowledgementSize(version, reasonCode, said)
    }
    this.#broker.counters.controlSent++
    const at = buffer.reserve(size)
    writeAcknowledgement(buffer.block, at, type, packetId, version, reasonCode, said)
  }

  /** Sends a PUBREL. */
  release(packetId: number, reasonCode: number): void {
    this.acknowledge(PACKET.PUBREL, packetId, reasonCode, null)
  }

  /** Writes a whole packet, unless it has more bytes than the client takes. */
  send(packet: Buffer): void {
    if (packet.length > this.maximumPacketSize) return
    this.#broker.counters.controlSent++
    this.buffer.append(packet, 0, packet.length)
  }

  /** A message that is the same for every receiver of this version. */
  #plain(message: Message): boolean {
    const { buffer, version } = this
    // As it came, where its sender speaks the same version.
    if (message.frameVersion === (version === 5 ? 5 : 3)) {
      if (message.frameEnd - message.frameStart > this.maximumPacketSize) return false
      this.#count(message)
      buffer.append(message.bytes, message.frameStart, message.frameEnd)
      return true
    }
    const { bytes, start, end } = message.plain(version)
    if (end - start > this.maximumPacketSize) return false
    this.#count(message)
    buffer.append(bytes, start, end)
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

/** One form that is filled in for each PUBLISH that is written on its own. */
export class OutgoingForm implements PublishForm {
  topicBytes: Buffer = NO_BYTES
  bytes: Buffer = NO_BYTES
  payloadStart = 0
  payloadEnd = 0
  properties: Uint8Array = NO_BYTES
  qos = 0
  retain = false
  dup = false
  packetId = 0
  subscriptionIdentifiers: readonly number[] = []
  messageExpiryInterval = -1
  topicAlias = 0
  aliasKnown = false

  set(
    message: Message,
    qos: number,
    retain: boolean,
    dup: boolean,
    packetId: number,
    identifiers: readonly number[],
    messageExpiryInterval: number,
    topicAlias: number,
    aliasKnown: boolean
  ): void {
    this.topicBytes = message.topicBytes
    this.bytes = message.bytes
    this.payloadStart = message.payloadStart
    this.payloadEnd = message.payloadEnd
    this.properties = message.properties
    this.qos = qos
    this.retain = retain
    this.dup = dup
    this.packetId = packetId
    this.subscriptionIdentifiers = identifiers
    this.messageExpiryInterval = messageExpiryInterval
    this.topicAlias = topicAlias
    this.aliasKnown = aliasKnown
  }
}
