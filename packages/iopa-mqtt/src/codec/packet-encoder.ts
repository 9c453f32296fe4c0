import { encodeReason } from './message-properties.ts'
import { PACKET } from './packet-types.ts'
import { encodePacket, PropertyWriter } from './packet-writer.ts'
import type { UserProperties } from './packets.ts'
import { PROPERTY } from './properties.ts'
import { printable } from './utf8.ts'

export const PINGRESP: Buffer = Buffer.from([PACKET.PINGRESP << 4, 0])

/** What CONNACK tells a client of MQTT 5 (section 3.2.2.3); what is undefined stays out of the packet. */
export interface ConnackProperties {
  readonly sessionExpiryInterval?: number | undefined
  readonly receiveMaximum?: number | undefined
  readonly maximumPacketSize?: number | undefined
  readonly assignedClientIdentifier?: string | undefined
  readonly topicAliasMaximum?: number | undefined
  readonly reasonString?: string | undefined
  readonly userProperties?: UserProperties | undefined
  readonly serverKeepAlive?: number | undefined
  readonly responseInformation?: string | undefined
  readonly authenticationMethod?: string | undefined
  readonly authenticationData?: Uint8Array | undefined
}

/** `code` is a return code for MQTT 3 (section 3.2.2.3 of 3.1.1), else a reason code; MQTT 3.1 has no word for a session that is present. */
export function encodeConnack(version: number, sessionPresent: boolean, code: number, properties: ConnackProperties = {}): Buffer {
  const present = sessionPresent && version > 3 ? 1 : 0
  if (version < 5) return Buffer.from([PACKET.CONNACK << 4, 2, present, code])
  const encoded = new PropertyWriter()
    .uint32(PROPERTY.SESSION_EXPIRY_INTERVAL, properties.sessionExpiryInterval)
    .uint16(PROPERTY.RECEIVE_MAXIMUM, properties.receiveMaximum)
    .uint32(PROPERTY.MAXIMUM_PACKET_SIZE, properties.maximumPacketSize)
    .string(PROPERTY.ASSIGNED_CLIENT_IDENTIFIER, properties.assignedClientIdentifier)
    .uint16(PROPERTY.TOPIC_ALIAS_MAXIMUM, properties.topicAliasMaximum)
    .string(PROPERTY.REASON_STRING, properties.reasonString === undefined ? undefined : printable(properties.reasonString))
    .pairs(properties.userProperties)
    .uint16(PROPERTY.SERVER_KEEP_ALIVE, properties.serverKeepAlive)
    .string(PROPERTY.RESPONSE_INFORMATION, properties.responseInformation)
    .string(PROPERTY.AUTHENTICATION_METHOD, properties.authenticationMethod)
    .binary(PROPERTY.AUTHENTICATION_DATA, properties.authenticationData)
    .finish()
  return encodePacket(PACKET.CONNACK << 4, Buffer.from([present, code]), encoded)
}

/** SUBACK and UNSUBACK: one code for each filter, in order; UNSUBACK has none in MQTT 3. */
export function encodeSubscriptionAcknowledgement(
  version: number,
  type: 9 | 11,
  packetId: number,
  codes: readonly number[],
  reasonString = ''
): Buffer {
  const identifier = Buffer.from([packetId >> 8, packetId & 255])
  if (version < 5) return encodePacket(type << 4, identifier, Buffer.from(type === PACKET.UNSUBACK ? [] : codes))
  return encodePacket(type << 4, identifier, encodeReason(reasonString, []) ?? NO_PROPERTIES, Buffer.from(codes))
}

const NO_PROPERTIES = Buffer.from([0])

/** A server's DISCONNECT (section 3.14), which exists in MQTT 5 only. */
export const encodeDisconnect = (reasonCode: number, reasonString = ''): Buffer =>
  encodePacket(PACKET.DISCONNECT << 4, Buffer.from([reasonCode]), encodeReason(reasonString, []) ?? NO_PROPERTIES)

/** AUTH (section 3.15), the next step of an enhanced authentication. */
export const encodeAuth = (reasonCode: number, method: string, data: Uint8Array | undefined): Buffer =>
  encodePacket(
    PACKET.AUTH << 4,
    Buffer.from([reasonCode]),
    new PropertyWriter().string(PROPERTY.AUTHENTICATION_METHOD, method).binary(PROPERTY.AUTHENTICATION_DATA, data).finish()
  )
