import { type ByteReader, malformed } from './byte-reader.ts'
import { PACKET } from './packet-types.ts'
import { ProtocolError } from './protocol-error.ts'
import { REASON } from './reason-codes.ts'

/** Property identifiers (MQTT 5 section 2.2.2.2). */
export const PROPERTY = {
  PAYLOAD_FORMAT_INDICATOR: 1,
  MESSAGE_EXPIRY_INTERVAL: 2,
  CONTENT_TYPE: 3,
  RESPONSE_TOPIC: 8,
  CORRELATION_DATA: 9,
  SUBSCRIPTION_IDENTIFIER: 11,
  SESSION_EXPIRY_INTERVAL: 17,
  ASSIGNED_CLIENT_IDENTIFIER: 18,
  SERVER_KEEP_ALIVE: 19,
  AUTHENTICATION_METHOD: 21,
  AUTHENTICATION_DATA: 22,
  REQUEST_PROBLEM_INFORMATION: 23,
  WILL_DELAY_INTERVAL: 24,
  REQUEST_RESPONSE_INFORMATION: 25,
  RESPONSE_INFORMATION: 26,
  SERVER_REFERENCE: 28,
  REASON_STRING: 31,
  RECEIVE_MAXIMUM: 33,
  TOPIC_ALIAS_MAXIMUM: 34,
  TOPIC_ALIAS: 35,
  MAXIMUM_QOS: 36,
  RETAIN_AVAILABLE: 37,
  USER_PROPERTY: 38,
  MAXIMUM_PACKET_SIZE: 39,
  WILDCARD_SUBSCRIPTION_AVAILABLE: 40,
  SUBSCRIPTION_IDENTIFIERS_AVAILABLE: 41,
  SHARED_SUBSCRIPTION_AVAILABLE: 42
} as const

type Type = 'uint8' | 'uint16' | 'uint32' | 'variable' | 'utf8' | 'binary' | 'pair'

/** Will properties have rules of their own; 0 is not a packet type. */
export const WILL = 0
/** PUBLISH and DISCONNECT of a server have other properties than those of a client; neither number is a packet type. */
export const SERVER_PUBLISH = 16
export const SERVER_DISCONNECT = 17

interface Rule {
  readonly type: Type
  /** Bit n: it may stand in packet type n. */
  readonly allowed: number
  readonly max?: number
  /** Reason code when the value is 0 and 0 is not a value. */
  readonly zero?: number
}

const packets = (...types: number[]): number => types.reduce((mask, type) => mask | (1 << type), 0)
const { CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, DISCONNECT, AUTH } = PACKET
const { PROTOCOL_ERROR, TOPIC_ALIAS_INVALID } = REASON

const RULES: (Rule | undefined)[] = []
RULES[PROPERTY.PAYLOAD_FORMAT_INDICATOR] = { type: 'uint8', allowed: packets(PUBLISH, SERVER_PUBLISH, WILL), max: 1 }
RULES[PROPERTY.MESSAGE_EXPIRY_INTERVAL] = { type: 'uint32', allowed: packets(PUBLISH, SERVER_PUBLISH, WILL) }
RULES[PROPERTY.CONTENT_TYPE] = { type: 'utf8', allowed: packets(PUBLISH, SERVER_PUBLISH, WILL) }
RULES[PROPERTY.RESPONSE_TOPIC] = { type: 'utf8', allowed: packets(PUBLISH, SERVER_PUBLISH, WILL) }
RULES[PROPERTY.CORRELATION_DATA] = { type: 'binary', allowed: packets(PUBLISH, SERVER_PUBLISH, WILL) }
RULES[PROPERTY.SUBSCRIPTION_IDENTIFIER] = { type: 'variable', allowed: packets(SUBSCRIBE, SERVER_PUBLISH), zero: PROTOCOL_ERROR }
RULES[PROPERTY.SESSION_EXPIRY_INTERVAL] = { type: 'uint32', allowed: packets(CONNECT, CONNACK, DISCONNECT) }
RULES[PROPERTY.ASSIGNED_CLIENT_IDENTIFIER] = { type: 'utf8', allowed: packets(CONNACK) }
RULES[PROPERTY.SERVER_KEEP_ALIVE] = { type: 'uint16', allowed: packets(CONNACK) }
RULES[PROPERTY.AUTHENTICATION_METHOD] = { type: 'utf8', allowed: packets(CONNECT, CONNACK, AUTH) }
RULES[PROPERTY.AUTHENTICATION_DATA] = { type: 'binary', allowed: packets(CONNECT, CONNACK, AUTH) }
RULES[PROPERTY.REQUEST_PROBLEM_INFORMATION] = { type: 'uint8', allowed: packets(CONNECT), max: 1 }
RULES[PROPERTY.WILL_DELAY_INTERVAL] = { type: 'uint32', allowed: packets(WILL) }
RULES[PROPERTY.REQUEST_RESPONSE_INFORMATION] = { type: 'uint8', allowed: packets(CONNECT), max: 1 }
RULES[PROPERTY.RESPONSE_INFORMATION] = { type: 'utf8', allowed: packets(CONNACK) }
RULES[PROPERTY.SERVER_REFERENCE] = { type: 'utf8', allowed: packets(CONNACK, SERVER_DISCONNECT) }
RULES[PROPERTY.REASON_STRING] = {
  type: 'utf8',
  allowed: packets(CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, SERVER_DISCONNECT, AUTH)
}
RULES[PROPERTY.RECEIVE_MAXIMUM] = { type: 'uint16', allowed: packets(CONNECT, CONNACK), zero: PROTOCOL_ERROR }
RULES[PROPERTY.TOPIC_ALIAS_MAXIMUM] = { type: 'uint16', allowed: packets(CONNECT, CONNACK) }
RULES[PROPERTY.TOPIC_ALIAS] = { type: 'uint16', allowed: packets(PUBLISH, SERVER_PUBLISH), zero: TOPIC_ALIAS_INVALID }
RULES[PROPERTY.MAXIMUM_QOS] = { type: 'uint8', allowed: packets(CONNACK), max: 1 }
RULES[PROPERTY.RETAIN_AVAILABLE] = { type: 'uint8', allowed: packets(CONNACK), max: 1 }
RULES[PROPERTY.USER_PROPERTY] = {
  type: 'pair',
  allowed:
    packets(CONNECT, CONNACK, WILL, PUBLISH, SERVER_PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK) |
    packets(DISCONNECT, SERVER_DISCONNECT, AUTH)
}
RULES[PROPERTY.MAXIMUM_PACKET_SIZE] = { type: 'uint32', allowed: packets(CONNECT, CONNACK), zero: PROTOCOL_ERROR }
RULES[PROPERTY.WILDCARD_SUBSCRIPTION_AVAILABLE] = { type: 'uint8', allowed: packets(CONNACK), max: 1 }
RULES[PROPERTY.SUBSCRIPTION_IDENTIFIERS_AVAILABLE] = { type: 'uint8', allowed: packets(CONNACK), max: 1 }
RULES[PROPERTY.SHARED_SUBSCRIPTION_AVAILABLE] = { type: 'uint8', allowed: packets(CONNACK), max: 1 }

/**
 * Reads the properties of a packet of this type and passes on identifier, value (0 for strings) and position of each. Refuses properties that
 * are unknown, not for this packet, repeated, or out of range (MQTT 5 section 2.2.2). User properties may repeat, up to `maxUserProperties`,
 * and so may the subscription identifiers of a server (section 3.3.2.3.8).
 */
export function readProperties(
  reader: ByteReader,
  packetType: number,
  maxUserProperties: number,
  found?: (identifier: number, value: number, start: number, end: number) => void
): void {
  const length = reader.variableByteInteger()
  const end = reader.at + length
  if (end > reader.end) throw malformed('the properties are longer than the packet')
  // Identifiers reach 42, more than the bits of one integer.
  let seenLow = 0
  let seenHigh = 0
  let userProperties = 0
  while (reader.at < end) {
    const start = reader.at
    const identifier = reader.variableByteInteger()
    const rule = RULES[identifier]
    if (!rule || !(rule.allowed & (1 << packetType))) throw malformed(`property ${identifier} does not belong in this packet`)
    if (identifier === PROPERTY.USER_PROPERTY) {
      if (++userProperties > maxUserProperties) throw new ProtocolError(REASON.QUOTA_EXCEEDED, 'too many user properties')
    } else if (identifier !== PROPERTY.SUBSCRIPTION_IDENTIFIER || packetType !== SERVER_PUBLISH) {
      const bit = 1 << (identifier & 31)
      const seen = identifier < 32 ? seenLow : seenHigh
      if (seen & bit) throw new ProtocolError(REASON.PROTOCOL_ERROR, `property ${identifier} appears twice`)
      if (identifier < 32) seenLow |= bit
      else seenHigh |= bit
    }
    const value = readValue(reader, rule.type)
    if (rule.max !== undefined && value > rule.max) throw new ProtocolError(REASON.PROTOCOL_ERROR, `property ${identifier} is out of range`)
    if (rule.zero !== undefined && value === 0) throw new ProtocolError(rule.zero, `property ${identifier} must not be 0`)
    if (reader.at > end) throw malformed('a property is longer than the properties')
    found?.(identifier, value, start, reader.at)
  }
}

function readValue(reader: ByteReader, type: Type): number {
  switch (type) {
    case 'uint8':
      return reader.uint8()
    case 'uint16':
      return reader.uint16()
    case 'uint32':
      return reader.uint32()
    case 'variable':
      return reader.variableByteInteger()
    case 'utf8':
      reader.utf8()
      return 0
    case 'binary':
      reader.binary()
      return 0
    default:
      reader.utf8()
      reader.utf8()
      return 0
  }
}
