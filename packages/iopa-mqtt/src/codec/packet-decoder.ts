import { ByteReader, malformed } from './byte-reader.ts'
import { binaryAt, decodeConnect, textAt } from './connect-decoder.ts'
import { checkFlags, packetIdentifier, pairAt } from './packet-checks.ts'
import { PACKET } from './packet-types.ts'
import type { AuthPacket, ClientPacket, DisconnectPacket, UnsubscribePacket } from './packets.ts'
import { PROPERTY, readProperties } from './properties.ts'
import { ProtocolError } from './protocol-error.ts'
import { REASON } from './reason-codes.ts'
import { decodeSubscribe } from './subscribe-decoder.ts'

/** Decodes the packets of a client other than PUBLISH and its acknowledgements (MQTT 5 section 3). It keeps nothing between packets. */
export class PacketDecoder {
  readonly #maxUserProperties: number

  constructor(maxUserProperties: number) {
    this.#maxUserProperties = maxUserProperties
  }

  /** The packet in `bytes` from `start` to `end`; throws a ProtocolError. The version is ignored for a CONNECT. */
  decode(bytes: Buffer, start: number, body: number, end: number, version: number): ClientPacket {
    const first = bytes[start] as number
    const type = first >> 4
    const most = this.#maxUserProperties
    if (type === PACKET.SUBSCRIBE) return decodeSubscribe(bytes, start, body, end, version, most)
    checkFlags(first, type === PACKET.UNSUBSCRIBE ? 2 : 0)
    switch (type) {
      case PACKET.CONNECT:
        return decodeConnect(bytes, body, end, most)
      case PACKET.UNSUBSCRIBE:
        return decodeUnsubscribe(new ByteReader(bytes, body, end), version, most)
      case PACKET.PINGREQ:
        if (body !== end) throw malformed('a PINGREQ has content')
        return { type: 'PINGREQ' }
      case PACKET.DISCONNECT:
        if (version < 5 && body !== end) throw malformed('a DISCONNECT has content')
        return decodeDisconnect(new ByteReader(bytes, body, end), most)
      case PACKET.AUTH:
        if (version < 5) throw malformed('AUTH exists in MQTT 5 only')
        return decodeAuth(new ByteReader(bytes, body, end), most)
      default:
        throw new ProtocolError(REASON.PROTOCOL_ERROR, `packet type ${type} is not for a server`)
    }
  }
}

function decodeUnsubscribe(reader: ByteReader, version: number, maxUserProperties: number): UnsubscribePacket {
  const packetId = packetIdentifier(reader)
  const userProperties: [string, string][] = []
  if (version === 5) {
    readProperties(reader, PACKET.UNSUBSCRIBE, maxUserProperties, (_identifier, _value, start, end) => {
      userProperties.push(pairAt(reader.bytes, start, end))
    })
  }
  if (reader.at === reader.end) throw new ProtocolError(REASON.PROTOCOL_ERROR, 'an UNSUBSCRIBE has no topic filter')
  const filters: string[] = []
  while (reader.at < reader.end) filters.push(reader.string())
  return { type: 'UNSUBSCRIBE', packetId, userProperties, filters }
}

function decodeDisconnect(reader: ByteReader, maxUserProperties: number): DisconnectPacket {
  const reasonCode = reader.at === reader.end ? REASON.SUCCESS : reader.uint8()
  if (!isDisconnectReason(reasonCode)) throw new ProtocolError(REASON.PROTOCOL_ERROR, `reason code ${reasonCode} is not for a client`)
  const userProperties: [string, string][] = []
  let sessionExpiryInterval: number | undefined
  let reasonString = ''
  reasonProperties(reader, PACKET.DISCONNECT, maxUserProperties, (identifier, value, start, end) => {
    if (identifier === PROPERTY.USER_PROPERTY) userProperties.push(pairAt(reader.bytes, start, end))
    else if (identifier === PROPERTY.SESSION_EXPIRY_INTERVAL) sessionExpiryInterval = value
    else if (identifier === PROPERTY.REASON_STRING) reasonString = textAt(reader.bytes, start, end)
  })
  return { type: 'DISCONNECT', reasonCode, sessionExpiryInterval, reasonString, userProperties }
}

function decodeAuth(reader: ByteReader, maxUserProperties: number): AuthPacket {
  const reasonCode = reader.at === reader.end ? REASON.SUCCESS : reader.uint8()
  // Without content it says success, which its reader refuses: only the server may say so (section 3.15.2.1).
  if (reader.at !== reader.end || reasonCode !== REASON.SUCCESS) {
    if (reasonCode !== 0x18 && reasonCode !== 0x19) throw new ProtocolError(REASON.PROTOCOL_ERROR, `reason code ${reasonCode} is not for a client`)
  }
  const userProperties: [string, string][] = []
  let authenticationMethod: string | null = null
  let authenticationData: Buffer | null = null
  reasonProperties(reader, PACKET.AUTH, maxUserProperties, (identifier, _value, start, end) => {
    if (identifier === PROPERTY.USER_PROPERTY) userProperties.push(pairAt(reader.bytes, start, end))
    else if (identifier === PROPERTY.AUTHENTICATION_METHOD) authenticationMethod = textAt(reader.bytes, start, end)
    else if (identifier === PROPERTY.AUTHENTICATION_DATA) authenticationData = binaryAt(reader.bytes, start, end)
  })
  return { type: 'AUTH', reasonCode, authenticationMethod, authenticationData, userProperties }
}

/** The properties behind a reason code; both may be left out (sections 3.14.2, 3.15.2). */
function reasonProperties(
  reader: ByteReader,
  type: number,
  maxUserProperties: number,
  found: (identifier: number, value: number, start: number, end: number) => void
): void {
  if (reader.at === reader.end) return
  readProperties(reader, type, maxUserProperties, found)
  if (reader.at !== reader.end) throw malformed('the packet is longer than its fields')
}

/** What a client may say when it leaves (section 3.14.2.1). */
const isDisconnectReason = (code: number): boolean =>
  code === 0 || code === 4 || (code >= 0x80 && code <= 0x83) || code === 0x90 || (code >= 0x93 && code <= 0x99)
