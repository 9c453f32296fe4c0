import { ByteReader, malformed } from './byte-reader.ts'
import { textAt } from './connect-decoder.ts'
import { decodeMessageProperties, type MessageProperties } from './message-properties.ts'
import { checkFlags, packetIdentifier, pairAt } from './packet-checks.ts'
import { PACKET } from './packet-types.ts'
import type { UserProperties } from './packets.ts'
import { PROPERTY, readProperties, SERVER_DISCONNECT, SERVER_PUBLISH } from './properties.ts'
import { ProtocolError } from './protocol-error.ts'
import { NO_BYTES } from './publish-decoder.ts'
import { REASON } from './reason-codes.ts'

/** What a server says to a client. */
export type ServerPacket = ConnackPacket | ServerPublish | Acknowledgement | ServerDisconnect | { readonly type: typeof PACKET.PINGRESP }

/** Properties of a CONNACK that say what the server can do (MQTT 5 section 3.2.2.3), and those that this client uses. */
export interface ConnackFields {
  readonly receiveMaximum?: number
  readonly maximumQos?: 0 | 1
  readonly retainAvailable?: boolean
  readonly maximumPacketSize?: number
  readonly assignedClientIdentifier?: string
  readonly wildcardSubscriptionAvailable?: boolean
  readonly subscriptionIdentifiersAvailable?: boolean
  readonly sharedSubscriptionAvailable?: boolean
  readonly serverKeepAlive?: number
  readonly responseInformation?: string
  readonly serverReference?: string
}

export interface ConnackPacket {
  readonly type: typeof PACKET.CONNACK
  readonly sessionPresent: boolean
  /** A reason code, or a return code of MQTT 3.1.1. */
  readonly reasonCode: number
  readonly properties: ConnackFields
}

/** A message that a server delivers; its payload is a copy. */
export interface ServerPublish {
  readonly type: typeof PACKET.PUBLISH
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly dup: boolean
  /** 0 for QoS 0. */
  readonly packetId: number
  readonly subscriptionIdentifiers: readonly number[]
  /** Seconds; undefined for none. */
  readonly messageExpiryInterval: number | undefined
  readonly properties: MessageProperties
}

/** PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK. */
export interface Acknowledgement {
  readonly type: 4 | 5 | 6 | 7 | 9 | 11
  readonly packetId: number
  /** One for each filter of SUBSCRIBE or UNSUBSCRIBE (none in an UNSUBACK of MQTT 3.1.1), exactly one for the others. */
  readonly reasonCodes: readonly number[]
  readonly reasonString: string
  readonly userProperties: UserProperties
}

interface ServerDisconnect {
  readonly type: typeof PACKET.DISCONNECT
  readonly reasonCode: number
  readonly reasonString: string
  /** Empty for none. */
  readonly serverReference: string
}

/** A server may send as many as fit into the packet, whose size is bounded. */
const ANY_NUMBER = Number.POSITIVE_INFINITY

/** The packet in `bytes` from `start` to `end`, in MQTT 3.1.1 (4) or 5; throws a ProtocolError. */
export function decodeServerPacket(bytes: Buffer, start: number, body: number, end: number, version: number): ServerPacket {
  const first = bytes[start] as number
  const type = first >> 4
  const reader = new ByteReader(bytes, body, end)
  if (type === PACKET.PUBLISH) return decodePublish(reader, first, version)
  checkFlags(first, type === PACKET.PUBREL ? 2 : 0)
  switch (type) {
    case PACKET.CONNACK:
      return decodeConnack(reader, version)
    case PACKET.PUBACK:
    case PACKET.PUBREC:
    case PACKET.PUBREL:
    case PACKET.PUBCOMP:
    case PACKET.SUBACK:
    case PACKET.UNSUBACK:
      return decodeAcknowledgement(reader, type, version)
    case PACKET.PINGRESP:
      if (body !== end) throw malformed('a PINGRESP has content')
      return { type: PACKET.PINGRESP }
    case PACKET.DISCONNECT:
      if (version === 5) return decodeDisconnect(reader)
  }
  // AUTH is one of them: this client names no authentication method in its CONNECT (section 4.12).
  throw new ProtocolError(REASON.PROTOCOL_ERROR, `packet type ${type} is not for this client`)
}

function decodeConnack(reader: ByteReader, version: number): ConnackPacket {
  const flags = reader.uint8()
  if (flags > 1) throw malformed('a reserved flag of a CONNACK is set')
  const reasonCode = reader.uint8()
  const properties: { -readonly [Name in keyof ConnackFields]: ConnackFields[Name] } = {}
  // A server that knows MQTT 3.1.1 only refuses MQTT 5 without properties (MQTT 3.1.1 section 3.1.2.2).
  if (version === 5 && reader.at < reader.end) {
    readProperties(reader, PACKET.CONNACK, ANY_NUMBER, (identifier, value, start, end) => {
      if (identifier === PROPERTY.RECEIVE_MAXIMUM) properties.receiveMaximum = value
      else if (identifier === PROPERTY.MAXIMUM_QOS) properties.maximumQos = value as 0 | 1
      else if (identifier === PROPERTY.RETAIN_AVAILABLE) properties.retainAvailable = value === 1
      else if (identifier === PROPERTY.MAXIMUM_PACKET_SIZE) properties.maximumPacketSize = value
      else if (identifier === PROPERTY.WILDCARD_SUBSCRIPTION_AVAILABLE) properties.wildcardSubscriptionAvailable = value === 1
      else if (identifier === PROPERTY.SUBSCRIPTION_IDENTIFIERS_AVAILABLE) properties.subscriptionIdentifiersAvailable = value === 1
      else if (identifier === PROPERTY.SHARED_SUBSCRIPTION_AVAILABLE) properties.sharedSubscriptionAvailable = value === 1
      else if (identifier === PROPERTY.SERVER_KEEP_ALIVE) properties.serverKeepAlive = value
      else if (identifier === PROPERTY.ASSIGNED_CLIENT_IDENTIFIER) properties.assignedClientIdentifier = textAt(reader.bytes, start, end)
      else if (identifier === PROPERTY.RESPONSE_INFORMATION) properties.responseInformation = textAt(reader.bytes, start, end)
      else if (identifier === PROPERTY.SERVER_REFERENCE) properties.serverReference = textAt(reader.bytes, start, end)
    })
  }
  assertRead(reader)
  return { type: PACKET.CONNACK, sessionPresent: flags === 1, reasonCode, properties }
}

function decodePublish(reader: ByteReader, first: number, version: number): ServerPublish {
  const qos = (first >> 1) & 3
  const dup = (first & 8) !== 0
  if (qos === 3) throw malformed('a PUBLISH has QoS 3')
  if (dup && qos === 0) throw malformed('a PUBLISH of QoS 0 is marked as a duplicate')
  const topic = reader.string()
  const packetId = qos > 0 ? packetIdentifier(reader) : 0
  const subscriptionIdentifiers: number[] = []
  let messageExpiryInterval: number | undefined
  let properties: MessageProperties = {}
  if (version === 5) {
    const passedOn: Buffer[] = []
    readProperties(reader, SERVER_PUBLISH, ANY_NUMBER, (identifier, value, start, end) => {
      if (identifier === PROPERTY.SUBSCRIPTION_IDENTIFIER) subscriptionIdentifiers.push(value)
      else if (identifier === PROPERTY.MESSAGE_EXPIRY_INTERVAL) messageExpiryInterval = value
      // Our CONNECT leaves Topic Alias Maximum at 0 ([MQTT-3.3.2-9]).
      else if (identifier === PROPERTY.TOPIC_ALIAS) throw new ProtocolError(REASON.TOPIC_ALIAS_INVALID, 'this client takes no topic aliases')
      else passedOn.push(reader.bytes.subarray(start, end))
    })
    if (passedOn.length > 0) properties = decodeMessageProperties(Buffer.concat(passedOn))
  }
  if (topic === '') throw new ProtocolError(REASON.PROTOCOL_ERROR, 'a PUBLISH has no topic')
  const payload = reader.at === reader.end ? NO_BYTES : Buffer.from(reader.bytes.subarray(reader.at, reader.end))
  return {
    type: PACKET.PUBLISH,
    topic,
    payload,
    qos: qos as 0 | 1 | 2,
    retain: (first & 1) === 1,
    dup,
    packetId,
    subscriptionIdentifiers,
    messageExpiryInterval,
    properties
  }
}

const NO_PAIRS: UserProperties = []
const SUCCESS: readonly number[] = [REASON.SUCCESS]
const NO_CODES: readonly number[] = []

function decodeAcknowledgement(reader: ByteReader, type: Acknowledgement['type'], version: number): Acknowledgement {
  const packetId = packetIdentifier(reader)
  const forFilters = type === PACKET.SUBACK || type === PACKET.UNSUBACK
  // The code of the others may be left out where it is 0, and so may their properties (section 3.4.2.1).
  let reasonCodes = forFilters ? NO_CODES : SUCCESS
  if (!forFilters && version === 5 && reader.at < reader.end) reasonCodes = [reader.uint8()]
  let reasonString = ''
  let userProperties = NO_PAIRS
  if (version === 5 && (forFilters || reader.at < reader.end)) {
    const pairs: [string, string][] = []
    readProperties(reader, type, ANY_NUMBER, (identifier, _value, start, end) => {
      if (identifier === PROPERTY.USER_PROPERTY) pairs.push(pairAt(reader.bytes, start, end))
      else reasonString = textAt(reader.bytes, start, end)
    })
    userProperties = pairs
  }
  // An UNSUBACK of MQTT 3.1.1 has no codes (section 3.11.3 there).
  if (forFilters && reader.at < reader.end && (version === 5 || type === PACKET.SUBACK)) {
    reasonCodes = [...reader.bytes.subarray(reader.at, reader.end)]
    reader.skip(reader.end - reader.at)
  }
  assertRead(reader)
  return { type, packetId, reasonCodes, reasonString, userProperties }
}

function decodeDisconnect(reader: ByteReader): ServerDisconnect {
  const reasonCode = reader.at === reader.end ? REASON.SUCCESS : reader.uint8()
  let reasonString = ''
  let serverReference = ''
  if (reader.at < reader.end) {
    readProperties(reader, SERVER_DISCONNECT, ANY_NUMBER, (identifier, _value, start, end) => {
      if (identifier === PROPERTY.REASON_STRING) reasonString = textAt(reader.bytes, start, end)
      else if (identifier === PROPERTY.SERVER_REFERENCE) serverReference = textAt(reader.bytes, start, end)
    })
  }
  assertRead(reader)
  return { type: PACKET.DISCONNECT, reasonCode, reasonString, serverReference }
}

function assertRead(reader: ByteReader): void {
  if (reader.at !== reader.end) throw malformed('the packet is longer than its fields')
}
