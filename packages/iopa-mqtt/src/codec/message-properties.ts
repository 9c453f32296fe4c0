import { ByteReader } from './byte-reader.ts'
import { PROPERTY } from './properties.ts'
import { NO_BYTES } from './publish-decoder.ts'
import { printable } from './utf8.ts'
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

/** Encodes the properties of a message, without their length. Measured first and written once: pieces would cost several times as much. */
export function encodeMessageProperties(properties: MessageProperties): Buffer {
  const { contentType, correlationData, payloadFormatIndicator, responseTopic, userProperties = NO_PAIRS } = properties
  let size = payloadFormatIndicator === undefined ? 0 : 2
  if (contentType !== undefined) size += 3 + stringLength(contentType)
  if (responseTopic !== undefined) size += 3 + stringLength(responseTopic)
  if (correlationData !== undefined) size += 3 + checkedLength(correlationData.length)
  for (const [name, value] of userProperties) size += 5 + stringLength(name) + stringLength(value)
  if (size === 0) return NO_BYTES
  const encoded = Buffer.allocUnsafe(size)
  let at = 0
  if (payloadFormatIndicator !== undefined) {
    encoded[at++] = PROPERTY.PAYLOAD_FORMAT_INDICATOR
    encoded[at++] = payloadFormatIndicator ? 1 : 0
  }
  if (contentType !== undefined) at = writeString(encoded, writeNumber(encoded, at, PROPERTY.CONTENT_TYPE), contentType)
  if (responseTopic !== undefined) at = writeString(encoded, writeNumber(encoded, at, PROPERTY.RESPONSE_TOPIC), responseTopic)
  if (correlationData !== undefined) {
    at = encoded.writeUInt16BE(correlationData.length, writeNumber(encoded, at, PROPERTY.CORRELATION_DATA))
    encoded.set(correlationData, at)
    at += correlationData.length
  }
  for (const [name, value] of userProperties)
    at = writeString(encoded, writeString(encoded, writeNumber(encoded, at, PROPERTY.USER_PROPERTY), name), value)
  return encoded
}

/** Encodes what an acknowledgement or DISCONNECT says beyond its reason code, with the length in front; null for nothing. */
export function encodeReason(reasonString: string, userProperties: readonly (readonly [string, string])[]): Buffer | null {
  if (reasonString === '' && userProperties.length === 0) return null
  const parts: Buffer[] = []
  if (reasonString !== '') parts.push(Buffer.from([PROPERTY.REASON_STRING]), stringBytes(printable(reasonString)))
  for (const [name, value] of userProperties) parts.push(Buffer.from([PROPERTY.USER_PROPERTY]), stringBytes(name), stringBytes(value))
  const properties = Buffer.concat(parts)
  const encoded = Buffer.allocUnsafe(variableByteIntegerSize(properties.length) + properties.length)
  properties.copy(encoded, writeVariableByteInteger(encoded, 0, properties.length))
  return encoded
}

const stringBytes = (text: string): Buffer => {
  const encoded = Buffer.allocUnsafe(2 + stringLength(text))
  writeString(encoded, 0, text)
  return encoded
}

const NO_PAIRS: readonly (readonly [string, string])[] = []

/** A string or binary property has two bytes of length. */
function checkedLength(length: number): number {
  if (length > 65_535) throw new RangeError('a string or binary property of MQTT has at most 65,535 bytes')
  return length
}

const stringLength = (text: string): number => checkedLength(Buffer.byteLength(text))

function writeNumber(encoded: Buffer, at: number, property: number): number {
  encoded[at] = property
  return at + 1
}

function writeString(encoded: Buffer, at: number, text: string): number {
  const length = encoded.write(text, at + 2)
  encoded.writeUInt16BE(length, at)
  return at + 2 + length
}
