import { PACKET } from './packet-types.ts'
import { PROPERTY } from './properties.ts'
import { variableByteIntegerSize, writeVariableByteInteger } from './variable-byte-integer.ts'

/** What a PUBLISH says, and how: everything but the two that MQTT 5 alone has is in every version. */
export interface PublishForm {
  readonly topicBytes: Buffer
  /** The payload lies in these bytes from `payloadStart` to `payloadEnd`. */
  readonly bytes: Buffer
  readonly payloadStart: number
  readonly payloadEnd: number
  /** Properties that are passed on unchanged, encoded, without their length (MQTT 5). */
  readonly properties: Uint8Array
  readonly qos: number
  readonly retain: boolean
  readonly dup: boolean
  /** Ignored for QoS 0. */
  readonly packetId: number
  readonly subscriptionIdentifiers: readonly number[]
  /** Seconds that are left, or -1 for none. */
  readonly messageExpiryInterval: number
  /** 0 for none. */
  readonly topicAlias: number
  /** True when the alias stands for the topic, which is then left out. */
  readonly aliasKnown: boolean
}

/** Bytes behind the fixed header. */
function remainingLength(form: PublishForm, version: number, propertiesLength: number): number {
  const topic = 2 + (form.aliasKnown ? 0 : form.topicBytes.length)
  return (
    topic +
    (form.qos > 0 ? 2 : 0) +
    (version === 5 ? (propertiesLength < 128 ? 1 : variableByteIntegerSize(propertiesLength)) + propertiesLength : 0) +
    form.payloadEnd -
    form.payloadStart
  )
}

function propertiesLengthOf(form: PublishForm): number {
  let length = form.properties.length
  if (form.messageExpiryInterval >= 0) length += 5
  if (form.topicAlias > 0) length += 3
  for (const identifier of form.subscriptionIdentifiers) length += 1 + variableByteIntegerSize(identifier)
  return length
}

/** Bytes of the whole packet. */
export function publishSize(form: PublishForm, version: number): number {
  const length = remainingLength(form, version, version === 5 ? propertiesLengthOf(form) : 0)
  return 1 + (length < 128 ? 1 : variableByteIntegerSize(length)) + length
}

/** Writes a PUBLISH at a position and returns the position behind it; the target has room for `publishSize` bytes. */
export function writePublish(target: Uint8Array, at: number, form: PublishForm, version: number): number {
  const propertiesLength = version === 5 ? propertiesLengthOf(form) : 0
  target[at++] = (PACKET.PUBLISH << 4) | (form.dup ? 8 : 0) | (form.qos << 1) | (form.retain ? 1 : 0)
  const length = remainingLength(form, version, propertiesLength)
  if (length < 128) target[at++] = length
  else at = writeVariableByteInteger(target, at, length)
  const topic = form.topicBytes
  const topicLength = form.aliasKnown ? 0 : topic.length
  target[at++] = topicLength >> 8
  target[at++] = topicLength & 255
  if (topicLength > 0) at = writeBytes(target, at, topic, 0, topicLength)
  if (form.qos > 0) {
    target[at++] = form.packetId >> 8
    target[at++] = form.packetId & 255
  }
  if (version === 5) at = writeProperties(target, at, form, propertiesLength)
  return writeBytes(target, at, form.bytes, form.payloadStart, form.payloadEnd)
}

/** A call into the runtime costs more than copying a few bytes by hand. */
const BY_HAND = 80

function writeBytes(target: Uint8Array, at: number, bytes: Buffer, start: number, end: number): number {
  const length = end - start
  if (length > BY_HAND) bytes.copy(target, at, start, end)
  else for (let from = start, to = at; from < end; ) target[to++] = bytes[from++] as number
  return at + length
}

function writeProperties(target: Uint8Array, at: number, form: PublishForm, length: number): number {
  if (length < 128) target[at++] = length
  else at = writeVariableByteInteger(target, at, length)
  if (length === 0) return at
  if (form.messageExpiryInterval >= 0) {
    const seconds = form.messageExpiryInterval
    target[at++] = PROPERTY.MESSAGE_EXPIRY_INTERVAL
    target[at++] = seconds >>> 24
    target[at++] = (seconds >>> 16) & 255
    target[at++] = (seconds >>> 8) & 255
    target[at++] = seconds & 255
  }
  if (form.topicAlias > 0) {
    target[at++] = PROPERTY.TOPIC_ALIAS
    target[at++] = form.topicAlias >> 8
    target[at++] = form.topicAlias & 255
  }
  for (const identifier of form.subscriptionIdentifiers) {
    target[at++] = PROPERTY.SUBSCRIPTION_IDENTIFIER
    at = writeVariableByteInteger(target, at, identifier)
  }
  target.set(form.properties, at)
  return at + form.properties.length
}

/** A PUBACK, PUBREC, PUBREL or PUBCOMP without properties: its reason code is left out when it is 0 (MQTT 5 section 3.4.2.1). */
export function acknowledgementSize(version: number, reasonCode: number, details: Uint8Array | null): number {
  if (version < 5 || (reasonCode === 0 && !details)) return 4
  if (!details) return 5
  const length = 3 + details.length
  return (length < 128 ? 2 : 1 + variableByteIntegerSize(length)) + length
}

/** Writes an acknowledgement and returns the position behind it; `details` are its properties with their length in front. */
export function writeAcknowledgement(
  target: Uint8Array,
  at: number,
  type: number,
  packetId: number,
  version: number,
  reasonCode: number,
  details: Uint8Array | null
): number {
  // PUBREL alone has a flag in its header (section 3.6.1).
  target[at++] = (type << 4) | (type === PACKET.PUBREL ? 2 : 0)
  const short = version < 5 || (reasonCode === 0 && !details)
  const length = short ? 2 : 3 + (details?.length ?? 0)
  if (length < 128) target[at++] = length
  else at = writeVariableByteInteger(target, at, length)
  target[at++] = packetId >> 8
  target[at++] = packetId & 255
  if (short) return at
  target[at++] = reasonCode
  if (details) {
    target.set(details, at)
    at += details.length
  }
  return at
}
