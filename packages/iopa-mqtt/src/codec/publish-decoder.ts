import { ByteReader, malformed } from './byte-reader.ts'
import { PACKET } from './packet-types.ts'
import { PROPERTY, readProperties } from './properties.ts'
import { ProtocolError } from './protocol-error.ts'
import { REASON } from './reason-codes.ts'

export const NO_BYTES: Buffer = Buffer.alloc(0)

/**
 * Where the fields of one PUBLISH lie (MQTT 5 section 3.3). One such object is filled again for every packet of a connection:
 * read what is needed before the next one comes.
 */
export class PublishFields {
  qos = 0
  dup = false
  retain = false
  topicStart = 0
  topicEnd = 0
  packetId = 0
  payloadStart = 0
  end = 0
  /** 0 for none. */
  topicAlias = 0
  /** Seconds, or -1 for none. */
  messageExpiryInterval = -1
  /** The properties that are passed on unchanged, encoded, without their length. */
  properties: Buffer = NO_BYTES
  /** True when a subscriber of the same protocol version may get the packet as it came. */
  forwardable = false
}

/** Reads a PUBLISH in place; topic and payload stay where they are. */
export function decodePublish(
  bytes: Buffer,
  start: number,
  body: number,
  end: number,
  version: number,
  maxUserProperties: number,
  into: PublishFields
): void {
  const flags = bytes[start] as number
  const qos = (flags >> 1) & 3
  if (qos === 3) throw malformed('a PUBLISH has QoS 3')
  into.qos = qos
  into.retain = (flags & 1) === 1
  into.dup = (flags & 8) === 8
  if (into.dup && qos === 0) throw malformed('a PUBLISH of QoS 0 is marked as a duplicate')
  if (body + 2 > end) throw malformed('a PUBLISH has no topic')
  const topicStart = body + 2
  let at = topicStart + (((bytes[body] as number) << 8) | (bytes[body + 1] as number))
  if (at > end) throw malformed('a PUBLISH is shorter than its topic')
  into.topicStart = topicStart
  into.topicEnd = at
  into.packetId = 0
  if (qos > 0) {
    if (at + 2 > end) throw malformed('a PUBLISH has no packet identifier')
    into.packetId = ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
    if (into.packetId === 0) throw malformed('a PUBLISH has packet identifier 0')
    at += 2
  }
  into.topicAlias = 0
  into.messageExpiryInterval = -1
  into.properties = NO_BYTES
  into.end = end
  into.forwardable = flags === 0x30
  if (version === 5) {
    if (at === end) throw malformed('a PUBLISH has no properties')
    if (bytes[at] === 0) at++
    else at = decodeProperties(bytes, at, end, maxUserProperties, into)
  }
  into.payloadStart = at
}

function decodeProperties(bytes: Buffer, at: number, end: number, maxUserProperties: number, into: PublishFields): number {
  const reader = new ByteReader(bytes, at, end)
  let first = 0
  let hop: number[] | null = null
  readProperties(reader, PACKET.PUBLISH, maxUserProperties, (identifier, value, propertyStart, propertyEnd) => {
    first ||= propertyStart
    if (identifier === PROPERTY.TOPIC_ALIAS) into.topicAlias = value
    else if (identifier === PROPERTY.MESSAGE_EXPIRY_INTERVAL) into.messageExpiryInterval = value
    else return
    hop ??= []
    hop.push(propertyStart, propertyEnd)
  })
  into.properties = hop ? without(bytes, first, reader.at, hop) : bytes.subarray(first, reader.at)
  if (hop) into.forwardable = false
  return reader.at
}

/** A copy of the bytes without the given ranges. */
function without(bytes: Buffer, start: number, end: number, ranges: readonly number[]): Buffer {
  const parts: Buffer[] = []
  let from = start
  for (let index = 0; index < ranges.length; index += 2) {
    parts.push(bytes.subarray(from, ranges[index]))
    from = ranges[index + 1] as number
  }
  parts.push(bytes.subarray(from, end))
  return Buffer.concat(parts)
}

/** The packet identifier and reason code of a PUBACK, PUBREC, PUBREL or PUBCOMP (MQTT 5 sections 3.4 to 3.7), as `identifier * 256 + code`. */
export function decodeAcknowledgement(
  bytes: Buffer,
  body: number,
  end: number,
  packetType: number,
  version: number,
  maxUserProperties: number
): number {
  const length = end - body
  if (length < 2 || (version < 5 && length !== 2)) throw malformed('an acknowledgement has the wrong length')
  const packetId = ((bytes[body] as number) << 8) | (bytes[body + 1] as number)
  if (packetId === 0) throw malformed('an acknowledgement has packet identifier 0')
  if (length === 2) return packetId << 8
  const reasonCode = bytes[body + 2] as number
  if (!isAcknowledgementReason(packetType, reasonCode)) {
    throw new ProtocolError(REASON.PROTOCOL_ERROR, `reason code ${reasonCode} does not belong in this acknowledgement`)
  }
  if (length > 3) {
    const reader = new ByteReader(bytes, body + 3, end)
    readProperties(reader, packetType, maxUserProperties)
    if (reader.at !== end) throw malformed('an acknowledgement is longer than its fields')
  }
  return (packetId << 8) | reasonCode
}

function isAcknowledgementReason(packetType: number, code: number): boolean {
  if (packetType === PACKET.PUBREL || packetType === PACKET.PUBCOMP) return code === REASON.SUCCESS || code === REASON.PACKET_IDENTIFIER_NOT_FOUND
  switch (code) {
    case REASON.SUCCESS:
    case REASON.NO_MATCHING_SUBSCRIBERS:
    case REASON.UNSPECIFIED_ERROR:
    case REASON.IMPLEMENTATION_SPECIFIC_ERROR:
    case REASON.NOT_AUTHORIZED:
    case REASON.TOPIC_NAME_INVALID:
    case REASON.PACKET_IDENTIFIER_IN_USE:
    case REASON.QUOTA_EXCEEDED:
    case REASON.PAYLOAD_FORMAT_INVALID:
      return true
    default:
      return false
  }
}
