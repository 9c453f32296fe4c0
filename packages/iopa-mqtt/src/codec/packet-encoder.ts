import { encodeReason } from './message-properties.ts'
import { PACKET } from './packet-types.ts'
import type { UserProperties } from './packets.ts'
import { variableByteIntegerSize, writeVariableByteInteger } from './variable-byte-integer.ts'

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
    .uint32(17, properties.sessionExpiryInterval)
    .uint16(33, properties.receiveMaximum)
    .uint32(39, properties.maximumPacketSize)
    .string(18, properties.assignedClientIdentifier)
    .uint16(34, properties.topicAliasMaximum)
    .string(31, properties.reasonString)
    .pairs(properties.userProperties)
    .uint16(19, properties.serverKeepAlive)
    .string(26, properties.responseInformation)
    .string(21, properties.authenticationMethod)
    .binary(22, properties.authenticationData)
    .finish()
  return packet(PACKET.CONNACK << 4, Buffer.from([present, code]), encoded)
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
  if (version < 5) return packet(type << 4, identifier, Buffer.from(type === PACKET.UNSUBACK ? [] : codes))
  return packet(type << 4, identifier, encodeReason(reasonString, []) ?? NO_PROPERTIES, Buffer.from(codes))
}

const NO_PROPERTIES = Buffer.from([0])

/** A server's DISCONNECT (section 3.14), which exists in MQTT 5 only. */
export const encodeDisconnect = (reasonCode: number, reasonString = ''): Buffer =>
  packet(PACKET.DISCONNECT << 4, Buffer.from([reasonCode]), encodeReason(reasonString, []) ?? NO_PROPERTIES)

/** AUTH (section 3.15), the next step of an enhanced authentication. */
export const encodeAuth = (reasonCode: number, method: string, data: Uint8Array | undefined): Buffer =>
  packet(PACKET.AUTH << 4, Buffer.from([reasonCode]), new PropertyWriter().string(21, method).binary(22, data).finish())

function packet(first: number, ...parts: readonly Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const header = Buffer.allocUnsafe(1 + variableByteIntegerSize(length))
  header[0] = first
  writeVariableByteInteger(header, 1, length)
  return Buffer.concat([header, ...parts])
}

class PropertyWriter {
  readonly #parts: Buffer[] = []

  uint16(identifier: number, value: number | undefined): this {
    if (value !== undefined) this.#parts.push(Buffer.from([identifier, value >> 8, value & 255]))
    return this
  }

  uint32(identifier: number, value: number | undefined): this {
    if (value === undefined) return this
    const bytes = Buffer.allocUnsafe(5)
    bytes[0] = identifier
    bytes.writeUInt32BE(value, 1)
    this.#parts.push(bytes)
    return this
  }

  string(identifier: number, value: string | undefined): this {
    return value === undefined ? this : this.binary(identifier, Buffer.from(value))
  }

  binary(identifier: number, value: Uint8Array | undefined): this {
    if (value !== undefined) this.#parts.push(Buffer.from([identifier, value.length >> 8, value.length & 255]), Buffer.from(value))
    return this
  }

  pairs(pairs: UserProperties | undefined): this {
    for (const [name, value] of pairs ?? []) {
      this.string(38, name)
      const bytes = Buffer.from(value)
      this.#parts.push(Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes)
    }
    return this
  }

  /** The properties with their length in front. */
  finish(): Buffer {
    const body = Buffer.concat(this.#parts)
    const length = Buffer.allocUnsafe(variableByteIntegerSize(body.length))
    writeVariableByteInteger(length, 0, body.length)
    return Buffer.concat([length, body])
  }
}
