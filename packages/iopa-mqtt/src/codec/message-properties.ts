import { ByteReader } from './byte-reader.ts'
import { PROPERTY } from './properties.ts'
import { NO_BYTES } from './publish-decoder.ts'
import { variableByteIntegerSize, writeVariableByteInteger } from './variable-byte-integer.ts'

/** The properties of a message that travel with it unchanged (MQTT 5 section 3.3.2.3). */
export interface MessageProperties {
  /** True when the payload is UTF-8 text. */
  readonly payloadFormatIndicator?: boolean
  readonly contentType?: string
  readonly responseTopic?: string
  readonly correlationData?: Uint8Array
  /** Name and value pairs in the order they were sent; names may repeat. */
  readonly userProperties?: readonly (readonly [string, string])[]
}

/** Reads the properties of a message that was checked when it arrived. */
export function decodeMessageProperties(encoded: Buffer): MessageProperties {
  const properties: { -readonly [Name in keyof MessageProperties]: MessageProperties[Name] } = {}
  const userProperties: [string, string][] = []
  const reader = new ByteReader(encoded, 0, encoded.length)
  while (reader.at < encoded.length) {
    switch (reader.variableByteInteger()) {
      case PROPERTY.PAYLOAD_FORMAT_INDICATOR:
        properties.payloadFormatIndicator = reader.uint8() === 1
        break
      case PROPERTY.CONTENT_TYPE:
        properties.contentType = reader.string()
        break
      case PROPERTY.RESPONSE_TOPIC:
        properties.responseTopic = reader.string()
        break
      case PROPERTY.CORRELATION_DATA: {
        const start = reader.binary()
        properties.correlationData = encoded.subarray(start, reader.at)
        break
      }
      case PROPERTY.USER_PROPERTY:
        userProperties.push([reader.string(), reader.string()])
        break
      case PROPERTY.WILL_DELAY_INTERVAL:
        reader.skip(4)
        break
      default:
        return properties
    }
  }
  if (userProperties.length > 0) properties.userProperties = userProperties
  return properties
}

/** Encodes the properties of a message, without their length. */
export function encodeMessageProperties(properties: MessageProperties): Buffer {
  const parts: Buffer[] = []
  if (properties.payloadFormatIndicator !== undefined) {
    parts.push(Buffer.from([PROPERTY.PAYLOAD_FORMAT_INDICATOR, properties.payloadFormatIndicator ? 1 : 0]))
  }
  if (properties.contentType !== undefined) parts.push(Buffer.from([PROPERTY.CONTENT_TYPE]), stringBytes(properties.contentType))
  if (properties.responseTopic !== undefined) parts.push(Buffer.from([PROPERTY.RESPONSE_TOPIC]), stringBytes(properties.responseTopic))
  if (properties.correlationData !== undefined) parts.push(Buffer.from([PROPERTY.CORRELATION_DATA]), withLength(properties.correlationData))
  for (const [name, value] of properties.userProperties ?? [])
    parts.push(Buffer.from([PROPERTY.USER_PROPERTY]), stringBytes(name), stringBytes(value))
  return parts.length === 0 ? NO_BYTES : Buffer.concat(parts)
}

/** Encodes what an acknowledgement or DISCONNECT says beyond its reason code, with the length in front; null for nothing. */
export function encodeReason(reasonString: string, userProperties: readonly (readonly [string, string])[]): Buffer | null {
  if (reasonString === '' && userProperties.length === 0) return null
  const parts: Buffer[] = []
  if (reasonString !== '') parts.push(Buffer.from([PROPERTY.REASON_STRING]), stringBytes(reasonString))
  for (const [name, value] of userProperties) parts.push(Buffer.from([PROPERTY.USER_PROPERTY]), stringBytes(name), stringBytes(value))
  const properties = Buffer.concat(parts)
  const encoded = Buffer.allocUnsafe(variableByteIntegerSize(properties.length) + properties.length)
  properties.copy(encoded, writeVariableByteInteger(encoded, 0, properties.length))
  return encoded
}

const stringBytes = (text: string): Buffer => withLength(Buffer.from(text))

function withLength(bytes: Uint8Array): Buffer {
  if (bytes.length > 65_535) throw new RangeError('a string or binary property of MQTT has at most 65,535 bytes')
  const encoded = Buffer.allocUnsafe(2 + bytes.length)
  encoded.writeUInt16BE(bytes.length)
  encoded.set(bytes, 2)
  return encoded
}
