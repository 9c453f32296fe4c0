import { IopaError } from '@iopa/transport'
import { type MessageProperties as CarriedProperties, encodeMessageProperties } from '../codec/message-properties.ts'
import type { UserProperties } from '../codec/packets.ts'
import { NO_BYTES } from '../codec/publish-decoder.ts'
import { type PublishForm, publishSize, writePublish } from '../codec/publish-encoder.ts'
import type { Acknowledgement, ServerPublish } from '../codec/server-decoder.ts'
import { asBuffer } from '../codec/utf8.ts'

/** User properties by name. */
export type NamedProperties = Readonly<Record<string, string | readonly string[]>>

/** The MQTT 5 properties of a PUBLISH that pass through here; on MQTT 3.1.1 there are none. */
export interface MessageProperties {
  readonly contentType?: string
  readonly responseTopic?: string
  readonly correlationData?: Uint8Array
  /** Seconds. */
  readonly messageExpiryInterval?: number
  /** True says that the payload is UTF-8. */
  readonly payloadFormatIndicator?: boolean
  readonly userProperties?: NamedProperties
}

/** A message to publish. */
export interface OutboundMessage {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: 0 | 1 | 2
  readonly retain?: boolean
  readonly properties?: MessageProperties
}

/** A message that a broker has sent. */
export interface InboundMessage {
  readonly topic: string
  readonly payload: Uint8Array
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  readonly dup: boolean
  /** Of this connection; 0 for QoS 0. */
  readonly packetId: number
  readonly subscriptionIdentifiers: readonly number[]
  readonly properties: MessageProperties
}

/** How a broker has answered a PUBLISH. */
export interface Receipt {
  /** 0 for QoS 0 and MQTT 3.1.1; below 0x80 for success (MQTT 5 section 3.4.2.1). */
  readonly reasonCode: number
  readonly reasonString: string
  readonly userProperties: NamedProperties
}

/** The first value of a user property, whatever the case of its name. */
export const userProperty = (properties: NamedProperties | undefined, name: string): string | undefined => {
  if (!properties) return undefined
  let value = properties[name]
  if (value === undefined) {
    const key = Object.keys(properties).find(candidate => candidate.toLowerCase() === name)
    if (key !== undefined) value = properties[key]
  }
  return typeof value === 'string' ? value : value?.[0]
}

/** A PUBLISH of a broker as a message. */
export const inbound = ({ properties, messageExpiryInterval, ...fields }: ServerPublish): InboundMessage => {
  const { userProperties, ...others } = properties
  return {
    ...fields,
    properties: {
      ...others,
      ...(messageExpiryInterval === undefined ? {} : { messageExpiryInterval }),
      ...(userProperties === undefined ? {} : { userProperties: byName(userProperties) })
    }
  }
}

const NONE: NamedProperties = Object.freeze({})

/** The receipt of a PUBLISH that asked for no acknowledgement. */
export const NO_RECEIPT: Receipt = { reasonCode: 0, reasonString: '', userProperties: NONE }

/** A PUBACK or PUBREC as the receipt of its PUBLISH. */
export const receiptOf = ({ reasonCodes: [reasonCode = 0], reasonString, userProperties }: Acknowledgement): Receipt => ({
  reasonCode,
  reasonString,
  userProperties: userProperties.length === 0 ? NONE : byName(userProperties)
})

/** Without a prototype, since a peer chooses the names. */
const byName = (pairs: UserProperties): NamedProperties => {
  const named: Record<string, string | string[]> = Object.create(null)
  for (const [name, value] of pairs) {
    const known = named[name]
    named[name] = known === undefined ? value : typeof known === 'string' ? [known, value] : [...known, value]
  }
  return named
}

/** The longest string or binary data of MQTT, in bytes (MQTT 5 section 1.5). */
const LONGEST = 65_535
const NO_IDENTIFIERS: readonly number[] = []

/** Encodes a PUBLISH in MQTT 3.1.1 (4) or 5, once its packet identifier is known. @throws IopaError 400 for a property that MQTT cannot carry */
export const encodePublish = (message: OutboundMessage, version: number): ((packetId: number) => Buffer) => {
  const { payload, qos, retain = false, properties } = message
  const carried = version === 5 ? properties : undefined
  const form: PublishForm & { packetId: number } = {
    topicBytes: Buffer.from(message.topic),
    bytes: asBuffer(payload),
    payloadStart: 0,
    payloadEnd: payload.length,
    properties: carried === undefined ? NO_BYTES : encodeProperties(carried),
    qos,
    retain,
    dup: false,
    packetId: 0,
    subscriptionIdentifiers: NO_IDENTIFIERS,
    messageExpiryInterval: carried === undefined ? -1 : seconds(carried.messageExpiryInterval),
    topicAlias: 0,
    aliasKnown: false
  }
  return packetId => {
    form.packetId = packetId
    const packet = Buffer.allocUnsafe(publishSize(form, version))
    writePublish(packet, 0, form, version)
    return packet
  }
}

const seconds = (interval: number | undefined): number => {
  if (interval === undefined) return -1
  if (interval >= 0 && interval <= 0xffff_ffff) return Math.floor(interval)
  throw new IopaError(400, 'bad-property', 'The Message Expiry Interval is a number of seconds from 0 to 4,294,967,295.')
}

/** Field by field: copies by spread cost several times as much as the encoding. */
const encodeProperties = (properties: MessageProperties): Buffer => {
  const { contentType, responseTopic, correlationData, payloadFormatIndicator, userProperties } = properties
  const pairs: [string, string][] = []
  const carried: { -readonly [Name in keyof CarriedProperties]: CarriedProperties[Name] } = { userProperties: pairs }
  if (contentType !== undefined) carried.contentType = checkedText('Content Type', contentType)
  if (responseTopic !== undefined) carried.responseTopic = checkedText('Response Topic', responseTopic)
  if (correlationData !== undefined) {
    if (correlationData.length > LONGEST) throw tooLong('Correlation Data')
    carried.correlationData = correlationData
  }
  if (payloadFormatIndicator !== undefined) carried.payloadFormatIndicator = payloadFormatIndicator
  for (const name in userProperties) {
    const given = userProperties[name] as string | readonly string[]
    checkedText('a user property', name)
    if (typeof given === 'string') pairs.push([name, checkedText(name, given)])
    else for (const value of given) pairs.push([name, checkedText(name, value)])
  }
  return encodeMessageProperties(carried)
}

const checkedText = (name: string, value: string): string => {
  if (value.length * 3 > LONGEST && Buffer.byteLength(value) > LONGEST) throw tooLong(name)
  if (value.includes('\0')) throw new IopaError(400, 'bad-property', `The property ${name} holds a NUL character, which MQTT cannot carry.`)
  return value
}

const tooLong = (name: string): IopaError => new IopaError(400, 'bad-property', `The property ${name.slice(0, 100)} is longer than 65,535 bytes.`)
