import { PACKET } from './packet-types.ts'
import { encodePacket, PropertyWriter } from './packet-writer.ts'
import { PROPERTY } from './properties.ts'

/** What a client of ours says when it connects; it has no will. */
export interface ConnectFields {
  readonly protocolVersion: 4 | 5
  readonly clientId: string
  readonly cleanStart: boolean
  /** Seconds; 0 for none. */
  readonly keepAlive: number
  readonly userName: string | undefined
  readonly password: string | undefined
  /** Seconds; this and what follows is sent in MQTT 5 only. */
  readonly sessionExpiryInterval: number
  readonly receiveMaximum: number
  readonly maximumPacketSize: number
}

/** One filter of a SUBSCRIBE and its options (section 3.8.3.1). */
export interface SubscribeRequest {
  readonly filter: string
  readonly qos: 0 | 1 | 2
  readonly noLocal?: boolean
  readonly retainAsPublished?: boolean
  readonly retainHandling?: 0 | 1 | 2
}

export const PINGREQ: Buffer = Buffer.from([PACKET.PINGREQ << 4, 0])

const PROTOCOL_NAME = Buffer.from([0, 4, 0x4d, 0x51, 0x54, 0x54])
/** The flags of SUBSCRIBE and UNSUBSCRIBE in their first byte (section 2.1.3). */
const RESERVED = 2

/** CONNECT (MQTT 5 section 3.1). */
export function encodeConnect(fields: ConnectFields): Buffer {
  const { protocolVersion, clientId, cleanStart, keepAlive, password } = fields
  // MQTT 3.1.1 allows a password only beside a user name ([MQTT-3.1.2-22]).
  const userName = fields.userName ?? (password !== undefined && protocolVersion === 4 ? '' : undefined)
  const flags = (cleanStart ? 2 : 0) | (userName === undefined ? 0 : 0x80) | (password === undefined ? 0 : 0x40)
  return encodePacket(
    PACKET.CONNECT << 4,
    PROTOCOL_NAME,
    Buffer.from([protocolVersion, flags, keepAlive >> 8, keepAlive & 255]),
    protocolVersion === 5 ? connectProperties(fields) : NOTHING,
    encodeText(clientId),
    userName === undefined ? NOTHING : encodeText(userName),
    password === undefined ? NOTHING : encodeText(password)
  )
}

const connectProperties = ({ sessionExpiryInterval, receiveMaximum, maximumPacketSize }: ConnectFields): Buffer =>
  new PropertyWriter()
    .uint32(PROPERTY.SESSION_EXPIRY_INTERVAL, sessionExpiryInterval)
    .uint16(PROPERTY.RECEIVE_MAXIMUM, receiveMaximum)
    .uint32(PROPERTY.MAXIMUM_PACKET_SIZE, maximumPacketSize)
    .uint8(PROPERTY.REQUEST_RESPONSE_INFORMATION, 1)
    .finish()

/** SUBSCRIBE (section 3.8); `identifier` is sent in MQTT 5 only, and 0 is none. */
export function encodeSubscribe(version: number, packetId: number, requests: readonly SubscribeRequest[], identifier: number): Buffer {
  const parts: Buffer[] = [twoBytes(packetId)]
  if (version === 5) parts.push(new PropertyWriter().variable(PROPERTY.SUBSCRIPTION_IDENTIFIER, identifier || undefined).finish())
  for (const { filter, qos, noLocal = false, retainAsPublished = false, retainHandling = 0 } of requests) {
    const options = version === 5 ? (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling << 4) : 0
    parts.push(encodeText(filter), Buffer.from([options | qos]))
  }
  return encodePacket((PACKET.SUBSCRIBE << 4) | RESERVED, ...parts)
}

/** UNSUBSCRIBE (section 3.10). */
export function encodeUnsubscribe(version: number, packetId: number, filters: readonly string[]): Buffer {
  const properties = version === 5 ? [NO_PROPERTIES] : []
  return encodePacket((PACKET.UNSUBSCRIBE << 4) | RESERVED, twoBytes(packetId), ...properties, ...filters.map(encodeText))
}

/** A client's DISCONNECT (section 3.14); in MQTT 3.1.1 it has no content. `sessionExpiryInterval` replaces that of the CONNECT. */
export function encodeClientDisconnect(version: number, reasonCode: number, sessionExpiryInterval?: number): Buffer {
  if (version < 5) return Buffer.from([PACKET.DISCONNECT << 4, 0])
  const properties = new PropertyWriter().uint32(PROPERTY.SESSION_EXPIRY_INTERVAL, sessionExpiryInterval).finish()
  return encodePacket(PACKET.DISCONNECT << 4, Buffer.from([reasonCode]), properties)
}

const NOTHING = Buffer.alloc(0)
const NO_PROPERTIES = Buffer.from([0])

const twoBytes = (value: number): Buffer => Buffer.from([value >> 8, value & 255])

/** @throws RangeError for a text of more than 65,535 bytes (section 1.5.4) */
function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text)
  if (bytes.length > 65_535) throw new RangeError('a string of MQTT has at most 65,535 bytes')
  return Buffer.concat([twoBytes(bytes.length), bytes])
}
