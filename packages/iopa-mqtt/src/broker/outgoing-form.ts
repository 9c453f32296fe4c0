import { NO_BYTES } from '../codec/publish-decoder.ts'
import type { PublishForm } from '../codec/publish-encoder.ts'
import type { Message } from './message.ts'

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
