import { NO_BYTES, PublishFields } from '../../codec/publish-decoder.ts'
import { type PublishForm, publishSize, writePublish } from '../../codec/publish-encoder.ts'
import type { StoredMessage } from '../../store.ts'

/** Bytes that lie within a larger buffer. */
export interface ByteRange {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
}

/** The name of a topic, as text and as UTF-8. */
export interface TopicName {
  readonly name: string
  readonly bytes: Buffer
}

/** What a message holds; the payload lies in `bytes` from `payloadStart` to `payloadEnd`. */
export interface MessageContent {
  readonly bytes: Buffer
  readonly payloadStart: number
  readonly payloadEnd: number
  readonly qos: number
  readonly retain: boolean
  readonly properties: Buffer
  readonly expiresAt: number
  readonly publisher: object | null
}

/** What a message holds that the broker or the app makes; without properties, expiry and publisher unless given. */
export interface MessageInit extends Partial<Pick<MessageContent, 'properties' | 'expiresAt' | 'publisher'>> {
  readonly payload: Buffer
  readonly qos: number
  readonly retain: boolean
}

/** The fields of a PUBLISH with what its message holds; one object for all connections. */
export class ReceivedPublish extends PublishFields implements MessageContent {
  bytes: Buffer = NO_BYTES
  payloadEnd = 0
  expiresAt = 0
  publisher: object | null = null
}

/** An application message on its way through the broker. */
export class Message {
  readonly topic: string
  readonly topicBytes: Buffer
  /** The payload lies in `bytes` from `payloadStart` to `payloadEnd`: within the chunk it arrived in until `detach`. */
  bytes: Buffer
  payloadStart: number
  payloadEnd: number
  /** As published. */
  readonly qos: number
  /** As published. */
  readonly retain: boolean
  /** MQTT 5 properties that are passed on unchanged, encoded. */
  properties: Buffer
  /** In the time of `clock.elapsed`; 0 for never. */
  readonly expiresAt: number
  /** The session that published it, for no-local; null for the app. */
  readonly publisher: object | null
  /** Where `bytes` hold the message as a plain PUBLISH of the protocol version `frameVersion`, which is 0 where they do not. */
  frameStart = 0
  frameEnd = 0
  frameVersion = 0
  #version3: ByteRange | null = null
  #version5: ByteRange | null = null
  /** Retained: the account whose quota it counts against; empty for the app. */
  account = ''
  #detached = false

  constructor(topic: TopicName, { bytes, payloadStart, payloadEnd, qos, retain, properties, expiresAt, publisher }: MessageContent) {
    this.topic = topic.name
    this.topicBytes = topic.bytes
    this.bytes = bytes
    this.payloadStart = payloadStart
    this.payloadEnd = payloadEnd
    this.qos = qos
    this.retain = retain
    this.properties = properties
    this.expiresAt = expiresAt
    this.publisher = publisher
  }

  /** A message whose payload is a whole buffer. */
  static of(topic: TopicName, { payload, qos, retain, properties = NO_BYTES, expiresAt = 0, publisher = null }: MessageInit): Message {
    return new Message(topic, { bytes: payload, payloadStart: 0, payloadEnd: payload.length, qos, retain, properties, expiresAt, publisher })
  }

  get payload(): Buffer {
    const { bytes, payloadStart, payloadEnd } = this
    return payloadStart === 0 && payloadEnd === bytes.length ? bytes : bytes.subarray(payloadStart, payloadEnd)
  }

  /** True when the payload is empty. */
  get isEmpty(): boolean {
    return this.payloadStart === this.payloadEnd
  }

  /** Marks `bytes` as holding this message as a plain PUBLISH of QoS 0, which can be forwarded unchanged. */
  forward(version: number, start: number, end: number): void {
    this.frameVersion = version
    this.frameStart = start
    this.frameEnd = end
  }

  /** The message as a PUBLISH of QoS 0 without flags; encoded once for all receivers of the same version. */
  plain(version: number): ByteRange {
    const known = version === 5 ? this.#version5 : this.#version3
    if (known) return known
    const form = new PlainForm(this)
    const bytes = Buffer.allocUnsafe(publishSize(form, version))
    const range = { bytes, start: 0, end: writePublish(bytes, 0, form, version) }
    if (version === 5) this.#version5 = range
    else this.#version3 = range
    return range
  }

  /** Copies the message out of the chunk that it came in, so that a queued message does not hold the whole chunk. */
  detach(): this {
    if (this.#detached) return this
    this.#detached = true
    this.frameVersion = 0
    this.#version3 = this.#version5 = null
    this.bytes = Buffer.from(this.payload)
    this.payloadStart = 0
    this.payloadEnd = this.bytes.length
    if (this.properties.length > 0) this.properties = Buffer.from(this.properties)
    return this
  }

  /** Its size in a queue, in bytes. */
  get size(): number {
    return this.topicBytes.length + this.payloadEnd - this.payloadStart + this.properties.length + OVERHEAD
  }

  /** Whole seconds until it expires, at least 1; -1 if it does not expire. */
  secondsLeft(now: number): number {
    return this.expiresAt === 0 ? -1 : Math.max(1, Math.ceil((this.expiresAt - now) / 1000))
  }

  /** True for a message that may expire. */
  get expires(): boolean {
    return this.expiresAt !== 0
  }

  isExpired(now: number): boolean {
    return this.expiresAt !== 0 && this.expiresAt <= now
  }

  toStored(): StoredMessage {
    return { topic: this.topic, payload: this.payload, qos: this.qos, properties: this.properties, expiresAt: this.expiresAt }
  }

  static fromStored(stored: StoredMessage, retain: boolean): Message {
    const { topic, payload, qos, properties, expiresAt } = stored
    const message = Message.of(
      { name: topic, bytes: Buffer.from(topic) },
      { payload: asOwn(payload), qos, retain, properties: asOwn(properties), expiresAt }
    )
    message.account = stored.account ?? ''
    return message
  }
}

/** Rough size of the objects around a queued message. */
const OVERHEAD = 64

const asOwn = (bytes: Uint8Array): Buffer => (bytes.length === 0 ? NO_BYTES : Buffer.from(bytes))

class PlainForm implements PublishForm {
  readonly topicBytes: Buffer
  readonly bytes: Buffer
  readonly payloadStart: number
  readonly payloadEnd: number
  readonly properties: Uint8Array
  readonly qos = 0
  readonly retain = false
  readonly dup = false
  readonly packetId = 0
  readonly subscriptionIdentifiers: readonly number[] = []
  readonly messageExpiryInterval = -1
  readonly topicAlias = 0
  readonly aliasKnown = false

  constructor(message: Message) {
    this.topicBytes = message.topicBytes
    this.bytes = message.bytes
    this.payloadStart = message.payloadStart
    this.payloadEnd = message.payloadEnd
    this.properties = message.properties
  }
}
