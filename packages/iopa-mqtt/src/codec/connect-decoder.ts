import { ByteReader, malformed } from './byte-reader.ts'
import { pairAt } from './packet-checks.ts'
import { PACKET } from './packet-types.ts'
import type { ConnectPacket, Will } from './packets.ts'
import { PROPERTY, readProperties, WILL } from './properties.ts'
import { ProtocolError } from './protocol-error.ts'
import { NO_BYTES } from './publish-decoder.ts'
import { REASON } from './reason-codes.ts'

/** Bits of the connect flags (MQTT 5 section 3.1.2.3). */
const USER_NAME = 0x80
const PASSWORD = 0x40
const WILL_RETAIN = 0x20
const WILL_QOS = 0x18
const WILL_FLAG = 0x04
const CLEAN_START = 0x02
const RESERVED = 0x01

/** The top bit of the version: a bridge of mosquitto. */
const BRIDGE = 0x80

/** Name and version of a CONNECT, read first since the form of everything else follows from them. */
export function protocolVersionOf(bytes: Buffer, body: number, end: number): number {
  return protocolVersion(new ByteReader(bytes, body, end)) & ~BRIDGE
}

function protocolVersion(reader: ByteReader): number {
  const name = reader.string()
  const byte = reader.uint8()
  const version = byte & ~BRIDGE
  if (name === 'MQTT' ? version !== 4 && version !== 5 : name !== 'MQIsdp' || version !== 3) {
    throw new ProtocolError(REASON.UNSUPPORTED_PROTOCOL_VERSION, 'this server speaks MQTT 3.1, 3.1.1 and 5')
  }
  return byte
}

/** Reads a CONNECT (MQTT 5 section 3.1); throws a ProtocolError. */
export function decodeConnect(bytes: Buffer, body: number, end: number, maxUserProperties: number): ConnectPacket {
  const reader = new ByteReader(bytes, body, end)
  const byte = protocolVersion(reader)
  const version = byte & ~BRIDGE
  const flags = reader.uint8()
  checkConnectFlags(flags, version)
  const keepAlive = reader.uint16()
  const properties = version === 5 ? connectProperties(reader, maxUserProperties) : NO_PROPERTIES
  const clientId = reader.string()
  const will = flags & WILL_FLAG ? decodeWill(reader, flags, version, maxUserProperties) : null
  const userName = flags & USER_NAME ? reader.string() : null
  const password = flags & PASSWORD ? binaryField(reader) : null
  if (reader.at !== end) throw malformed('the packet is longer than its fields')
  return {
    type: 'CONNECT',
    protocolVersion: version,
    bridge: (byte & BRIDGE) !== 0,
    cleanStart: (flags & CLEAN_START) !== 0,
    keepAlive,
    clientId,
    userName,
    password,
    will,
    ...properties
  }
}

function checkConnectFlags(flags: number, version: number): void {
  if (flags & RESERVED) throw malformed('the reserved connect flag is set')
  if ((flags & WILL_QOS) === WILL_QOS) throw malformed('a will has QoS 3')
  if (!(flags & WILL_FLAG) && flags & (WILL_QOS | WILL_RETAIN)) throw malformed('there is no will, but it has a QoS or is retained')
  if (version < 5 && flags & PASSWORD && !(flags & USER_NAME)) throw malformed('a password comes without a user name')
}

type ConnectProperties = Pick<
  ConnectPacket,
  | 'sessionExpiryInterval'
  | 'receiveMaximum'
  | 'maximumPacketSize'
  | 'topicAliasMaximum'
  | 'requestResponseInformation'
  | 'requestProblemInformation'
  | 'authenticationMethod'
  | 'authenticationData'
  | 'userProperties'
>

/** What counts where a CONNECT does not say otherwise (MQTT 5 section 3.1.2.11). */
const NO_PROPERTIES: ConnectProperties = {
  sessionExpiryInterval: undefined,
  receiveMaximum: 65_535,
  maximumPacketSize: Number.POSITIVE_INFINITY,
  topicAliasMaximum: 0,
  requestResponseInformation: false,
  requestProblemInformation: true,
  authenticationMethod: null,
  authenticationData: null,
  userProperties: []
}

function connectProperties(reader: ByteReader, maxUserProperties: number): ConnectProperties {
  const userProperties: [string, string][] = []
  const found: { -readonly [K in keyof ConnectProperties]: ConnectProperties[K] } = { ...NO_PROPERTIES, userProperties }
  readProperties(reader, PACKET.CONNECT, maxUserProperties, (identifier, value, start, end) => {
    if (identifier === PROPERTY.USER_PROPERTY) userProperties.push(pairAt(reader.bytes, start, end))
    else if (identifier === PROPERTY.SESSION_EXPIRY_INTERVAL) found.sessionExpiryInterval = value
    else if (identifier === PROPERTY.RECEIVE_MAXIMUM) found.receiveMaximum = value
    else if (identifier === PROPERTY.MAXIMUM_PACKET_SIZE) found.maximumPacketSize = value
    else if (identifier === PROPERTY.TOPIC_ALIAS_MAXIMUM) found.topicAliasMaximum = value
    else if (identifier === PROPERTY.REQUEST_RESPONSE_INFORMATION) found.requestResponseInformation = value === 1
    else if (identifier === PROPERTY.REQUEST_PROBLEM_INFORMATION) found.requestProblemInformation = value === 1
    else if (identifier === PROPERTY.AUTHENTICATION_METHOD) found.authenticationMethod = textAt(reader.bytes, start, end)
    else if (identifier === PROPERTY.AUTHENTICATION_DATA) found.authenticationData = binaryAt(reader.bytes, start, end)
  })
  if (found.authenticationData !== null && found.authenticationMethod === null)
    throw new ProtocolError(REASON.PROTOCOL_ERROR, 'authentication data comes without a method')
  return found
}

function decodeWill(reader: ByteReader, flags: number, version: number, maxUserProperties: number): Will {
  const kept: Buffer[] = []
  let delayInterval = 0
  let messageExpiryInterval = -1
  if (version === 5) {
    readProperties(reader, WILL, maxUserProperties, (identifier, value, start, end) => {
      if (identifier === PROPERTY.WILL_DELAY_INTERVAL) delayInterval = value
      else if (identifier === PROPERTY.MESSAGE_EXPIRY_INTERVAL) messageExpiryInterval = value
      else kept.push(reader.bytes.subarray(start, end))
    })
  }
  // Copied, like the payload: the bytes that came belong to the connection.
  const properties = kept.length === 0 ? NO_BYTES : Buffer.concat(kept)
  const topic = reader.string()
  const payload = binaryField(reader)
  return {
    topic,
    payload,
    qos: (flags & WILL_QOS) >> 3,
    retain: (flags & WILL_RETAIN) !== 0,
    properties,
    delayInterval,
    messageExpiryInterval
  }
}

function binaryField(reader: ByteReader): Buffer {
  const start = reader.binary()
  return Buffer.from(reader.bytes.subarray(start, reader.at))
}

/** The text of a property whose identifier is at `start`. */
export const textAt = (bytes: Buffer, start: number, end: number): string => bytes.toString('utf8', start + 3, end)

/** A copy of the binary data of a property whose identifier is at `start`. */
export const binaryAt = (bytes: Buffer, start: number, end: number): Buffer => Buffer.from(bytes.subarray(start + 3, end))
