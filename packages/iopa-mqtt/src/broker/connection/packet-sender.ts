import type { ByteChannel } from '@iopa/transport'
import { NO_BYTES } from '../../codec/publish-decoder.ts'
import { acknowledgementSize, type PublishForm, publishSize, writeAcknowledgement, writePublish } from '../../codec/publish-encoder.ts'
import type { Operation } from '../operation/operation.ts'
import type { PacketSink } from '../ports.ts'
import type { Message } from '../topics/message.ts'
import { type Flusher, SendBuffer } from './send-buffer.ts'

/** What every connection writes with. */
export interface SenderPorts extends Pick<Operation, 'settings' | 'clock' | 'statistics'> {
  readonly batches: Flusher
  /** Filled in for each PUBLISH that is written. */
  readonly form: OutgoingForm
}

/** Writes packets to one client, within the size and receive maximum that its CONNECT named. */
export class PacketSender implements PacketSink {
  readonly buffer: SendBuffer
  readonly #ports: SenderPorts
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

  constructor(channel: ByteChannel, ports: SenderPorts) {
    this.#ports = ports
    this.buffer = new SendBuffer(channel, ports.settings.limits.queueBytes, ports.batches.add, ports.statistics)
  }

  get full(): boolean {
    return this.buffer.blocked && this.buffer.full
  }

  publish(message: Message, qos: number, retain: boolean, dup: boolean, packetId: number, identifiers: readonly number[]): boolean {
    if (qos === 0 && !retain && identifiers.length === 0 && this.aliasMaximum === 0 && (message.expiresAt === 0 || this.version < 5)) {
      return this.#plain(message)
    }
    const { buffer, version } = this
    const { form, statistics } = this.#ports
    const known = this.aliasMaximum > 0 ? this.#aliasOf(message.topic) : 0
    const secondsLeft = version === 5 && message.expires ? message.secondsLeft(this.#ports.clock.elapsed()) : -1
    form.set(message)
    form.qos = qos
    form.retain = retain
    form.dup = dup
    form.packetId = packetId
    form.subscriptionIdentifiers = identifiers
    form.messageExpiryInterval = secondsLeft
    form.topicAlias = Math.abs(known)
    form.aliasKnown = known < 0
    const size = publishSize(form, version)
    if (size > this.maximumPacketSize) {
      if (known > 0) this.#aliases?.delete(message.topic)
      return false
    }
    statistics.send(qos, message.payloadEnd - message.payloadStart)
    const at = buffer.reserve(size)
    writePublish(buffer.block, at, form, version)
    return true
  }

  /** `details` are left out if they make the packet too large for the client. */
  acknowledge(type: number, packetId: number, reasonCode: number, details: Buffer | null): void {
    const { buffer, version } = this
    let said = details
    let size = acknowledgementSize(version, reasonCode, said)
    if (size > this.maximumPacketSize) {
      said = null
      size = acknowledgementSize(version, reasonCode, said)
    }
    this.#ports.statistics.controlSent++
    const at = buffer.reserve(size)
    writeAcknowledgement(buffer.block, at, type, packetId, version, reasonCode, said)
  }

  /** Sends a whole packet, unless it is larger than the client takes. */
  send(packet: Buffer): void {
    if (packet.length > this.maximumPacketSize) return
    this.#ports.statistics.controlSent++
    this.buffer.append(packet, 0, packet.length)
  }

  /** A message that is the same for every receiver of this version. */
  #plain(message: Message): boolean {
    const { buffer, version } = this
    // Unchanged, if its publisher uses the same version.
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
    const { statistics } = this.#ports
    statistics.send(0, message.payloadEnd - message.payloadStart)
  }

  /** The alias of a topic: negative if the client knows it already, 0 if there is none left (MQTT 5 section 3.3.2.3.4). */
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

/** The fields of a PUBLISH that is encoded for one client; one object for all connections. */
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

  set(message: Message): void {
    this.topicBytes = message.topicBytes
    this.bytes = message.bytes
    this.payloadStart = message.payloadStart
    this.payloadEnd = message.payloadEnd
    this.properties = message.properties
  }
}
