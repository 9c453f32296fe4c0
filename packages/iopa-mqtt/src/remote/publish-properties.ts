import { IopaError } from '@iopa/transport'
import type { IPublishPacket } from 'mqtt'
import type { MessageProperties } from './message.ts'

type PacketProperties = NonNullable<IPublishPacket['properties']>

/** The longest string or binary data of MQTT, in bytes (MQTT 5 section 1.5). */
const LONGEST = 65_535

/**
 * Properties as MQTT.js can write them. It drops a whole packet without a word, and never reports on it, when a property is empty or of
 * another type, so everything is looked at here. @throws IopaError 400 for a property that MQTT cannot carry
 */
export const publishProperties = (properties: MessageProperties | undefined): PacketProperties | undefined => {
  if (!properties) return undefined
  const { contentType, responseTopic, correlationData, messageExpiryInterval, payloadFormatIndicator, userProperties } = properties
  const result: PacketProperties = {}
  if (contentType !== undefined) result.contentType = text('Content Type', contentType)
  if (responseTopic !== undefined) result.responseTopic = text('Response Topic', responseTopic)
  if (correlationData !== undefined) {
    if (correlationData.length > LONGEST) throw tooLong('Correlation Data')
    result.correlationData = Buffer.from(correlationData.buffer, correlationData.byteOffset, correlationData.byteLength)
  }
  if (messageExpiryInterval !== undefined) {
    if (!(messageExpiryInterval >= 0 && messageExpiryInterval <= 0xffff_ffff)) {
      throw new IopaError(400, 'bad-property', 'The Message Expiry Interval is a number of seconds from 0 to 4,294,967,295.')
    }
    result.messageExpiryInterval = Math.floor(messageExpiryInterval)
  }
  if (payloadFormatIndicator !== undefined) result.payloadFormatIndicator = payloadFormatIndicator
  const pairs: [string, string | string[]][] = []
  for (const [name, value] of Object.entries(userProperties ?? {})) {
    text('a user property', name)
    if (typeof value === 'string') pairs.push([name, text(name, value)])
    else if (value.length > 0) pairs.push([name, value.map(one => text(name, one))])
  }
  if (pairs.length > 0) result.userProperties = Object.fromEntries(pairs)
  return Object.keys(result).length > 0 ? result : undefined
}

const text = (name: string, value: string): string => {
  if (value.length * 3 > LONGEST && Buffer.byteLength(value) > LONGEST) throw tooLong(name)
  if (value.includes('\0')) throw new IopaError(400, 'bad-property', `The property ${name} holds a NUL character, which MQTT cannot carry.`)
  return value
}

const tooLong = (name: string): IopaError => new IopaError(400, 'bad-property', `The property ${name.slice(0, 100)} is longer than 65,535 bytes.`)
