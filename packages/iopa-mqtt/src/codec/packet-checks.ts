import { ByteReader, malformed } from './byte-reader.ts'
import { PACKET } from './packet-types.ts'
import type { UserProperties } from './packets.ts'
import { PROPERTY, readProperties, WILL } from './properties.ts'
import { ProtocolError } from './protocol-error.ts'
import { NO_BYTES } from './publish-decoder.ts'
import { REASON } from './reason-codes.ts'

/** What the checks found on their way that the general codec does not keep in order. */
export interface CheckedPacket {
  readonly userProperties: UserProperties
  /** The will's properties, encoded, without their length; a will delay among them is left out. */
  readonly willProperties: Buffer
}

const NOTHING: CheckedPacket = { userProperties: [], willProperties: NO_BYTES }

/** Checks what the general codec lets through: strings, flags, identifiers, properties, lengths (MQTT 5 section 4.13). */
export function checkPacket(bytes: Buffer, start: number, body: number, end: number, version: number, maxUserProperties: number): CheckedPacket {
  const first = bytes[start] as number
  const type = first >> 4
  checkFlags(first, type === PACKET.UNSUBSCRIBE ? 2 : 0)
  const reader = new ByteReader(bytes, body, end)
  switch (type) {
    case PACKET.CONNECT:
      return checkConnect(reader, maxUserProperties)
    case PACKET.UNSUBSCRIBE:
      return checkUnsubscribe(reader, version, maxUserProperties)
    case PACKET.PINGREQ:
      if (body !== end) throw malformed('a PINGREQ has content')
      return NOTHING
    case PACKET.DISCONNECT:
      if (version < 5 && body !== end) throw malformed('a DISCONNECT has content')
      return checkReason(reader, PACKET.DISCONNECT, maxUserProperties)
    case PACKET.AUTH:
      if (version < 5) throw malformed('AUTH exists in MQTT 5 only')
      return checkReason(reader, PACKET.AUTH, maxUserProperties)
    default:
      throw new ProtocolError(REASON.PROTOCOL_ERROR, `packet type ${type} is not for a server`)
  }
}

export function checkFlags(first: number, flags: number): void {
  if ((first & 15) !== flags) throw malformed('the flags of the fixed header are not those of this packet')
}

const USER_NAME = 0x80
const PASSWORD = 0x40
const WILL_RETAIN = 0x20
const WILL_QOS = 0x18
const WILL_FLAG = 0x04

/** Name and version of a CONNECT, read first since the form of everything else follows from them. */
export function protocolVersionOf(bytes: Buffer, body: number, end: number): number {
  const reader = new ByteReader(bytes, body, end)
  const name = reader.string()
  const version = reader.uint8() & 0x7f
  if (name === 'MQTT' ? version !== 4 && version !== 5 : name !== 'MQIsdp' || version !== 3) {
    throw new ProtocolError(REASON.UNSUPPORTED_PROTOCOL_VERSION, 'this server speaks MQTT 3.1, 3.1.1 and 5')
  }
  return version
}

function checkConnect(reader: ByteReader, maxUserProperties: number): CheckedPacket {
  const version = protocolVersionOf(reader.bytes, reader.at, reader.end)
  reader.utf8()
  reader.uint8()
  const flags = reader.uint8()
  if (flags & 1) throw malformed('the reserved connect flag is set')
  const willQos = (flags & WILL_QOS) >> 3
  if (willQos === 3) throw malformed('a will has QoS 3')
  if (!(flags & WILL_FLAG) && flags & (WILL_QOS | WILL_RETAIN)) throw malformed('there is no will, but it has a QoS or is retained')
  if (version < 5 && flags & PASSWORD && !(flags & USER_NAME)) throw malformed('a password comes without a user name')
  reader.uint16()
  const userProperties: [string, string][] = []
  let method = false
  let data = false
  if (version === 5) {
    readProperties(reader, PACKET.CONNECT, maxUserProperties, (identifier, _value, start, end) => {
      if (identifier === PROPERTY.USER_PROPERTY) userProperties.push(pairAt(reader.bytes, start, end))
      else if (identifier === PROPERTY.AUTHENTICATION_METHOD) method = true
      else if (identifier === PROPERTY.AUTHENTICATION_DATA) data = true
    })
    if (data && !method) throw new ProtocolError(REASON.PROTOCOL_ERROR, 'authentication data comes without a method')
  }
  reader.utf8()
  let willProperties = NO_BYTES
  if (flags & WILL_FLAG) {
    if (version === 5) willProperties = checkWillProperties(reader, maxUserProperties)
    reader.utf8()
    reader.binary()
  }
  if (flags & USER_NAME) reader.utf8()
  if (flags & PASSWORD) reader.binary()
  mustEnd(reader)
  return { userProperties, willProperties }
}

function checkWillProperties(reader: ByteReader, maxUserProperties: number): Buffer {
  const kept: Buffer[] = []
  readProperties(reader, WILL, maxUserProperties, (identifier, _value, start, end) => {
    if (identifier !== PROPERTY.WILL_DELAY_INTERVAL && identifier !== PROPERTY.MESSAGE_EXPIRY_INTERVAL) kept.push(reader.bytes.subarray(start, end))
  })
  return kept.length === 0 ? NO_BYTES : Buffer.concat(kept)
}

function checkUnsubscribe(reader: ByteReader, version: number, maxUserProperties: number): CheckedPacket {
  packetIdentifier(reader)
  const userProperties = version === 5 ? checkUserProperties(reader, PACKET.UNSUBSCRIBE, maxUserProperties) : []
  if (reader.at === reader.end) throw new ProtocolError(REASON.PROTOCOL_ERROR, 'an UNSUBSCRIBE has no topic filter')
  while (reader.at < reader.end) reader.utf8()
  return { userProperties, willProperties: NO_BYTES }
}

/** DISCONNECT and AUTH: a reason code and properties, either of which may be left out (sections 3.14.2, 3.15.2). */
function checkReason(reader: ByteReader, type: number, maxUserProperties: number): CheckedPacket {
  if (reader.at === reader.end) return NOTHING
  const code = reader.uint8()
  const known = type === PACKET.AUTH ? code === 0x18 || code === 0x19 : isDisconnectReason(code)
  if (!known) throw new ProtocolError(REASON.PROTOCOL_ERROR, `reason code ${code} is not for a client`)
  if (reader.at === reader.end) return NOTHING
  const userProperties = checkUserProperties(reader, type, maxUserProperties)
  mustEnd(reader)
  return { userProperties, willProperties: NO_BYTES }
}

/** What a client may say when it leaves (section 3.14.2.1). */
const isDisconnectReason = (code: number): boolean =>
  code === 0 || code === 4 || (code >= 0x80 && code <= 0x83) || code === 0x90 || (code >= 0x93 && code <= 0x99)

function checkUserProperties(reader: ByteReader, type: number, maxUserProperties: number): UserProperties {
  const pairs: [string, string][] = []
  readProperties(reader, type, maxUserProperties, (identifier, _value, start, end) => {
    if (identifier === PROPERTY.USER_PROPERTY) pairs.push(pairAt(reader.bytes, start, end))
  })
  return pairs
}

export function pairAt(bytes: Buffer, start: number, end: number): [string, string] {
  const reader = new ByteReader(bytes, start + 1, end)
  return [reader.string(), reader.string()]
}

export function packetIdentifier(reader: ByteReader): number {
  const packetId = reader.uint16()
  if (packetId === 0) throw malformed('a packet has packet identifier 0')
  return packetId
}

function mustEnd(reader: ByteReader): void {
  if (reader.at !== reader.end) throw malformed('the packet is longer than its fields')
}
