/** The MQTT 5 properties of a PUBLISH that pass through here; on MQTT 3.1.1 there are none. */
export interface MessageProperties {
  readonly contentType?: string
  readonly responseTopic?: string
  readonly correlationData?: Uint8Array
  /** Seconds. */
  readonly messageExpiryInterval?: number
  /** True says that the payload is UTF-8. */
  readonly payloadFormatIndicator?: boolean
  readonly userProperties?: Readonly<Record<string, string | readonly string[]>>
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
  readonly userProperties: Readonly<Record<string, string | readonly string[]>>
}

/** One filter of a SUBSCRIBE. */
export interface SubscribeRequest {
  readonly filter: string
  readonly qos: 0 | 1 | 2
  readonly noLocal?: boolean
  readonly retainAsPublished?: boolean
  readonly retainHandling?: 0 | 1 | 2
}

/** The first value of a user property, whatever the case of its name. */
export const userProperty = (properties: Readonly<Record<string, string | readonly string[]>> | undefined, name: string): string | undefined => {
  if (!properties) return undefined
  let value = properties[name]
  if (value === undefined) {
    const key = Object.keys(properties).find(candidate => candidate.toLowerCase() === name)
    if (key !== undefined) value = properties[key]
  }
  return typeof value === 'string' ? value : value?.[0]
}
