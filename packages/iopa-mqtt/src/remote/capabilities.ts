import type { ConnackFields } from '../codec/server-decoder.ts'

/** What a broker can do, as it has said itself (MQTT 5 section 3.2.2.3) or as was given or found out (MQTT 3.1.1 says nothing). */
export interface BrokerCapabilities {
  /** 5, or 4 for MQTT 3.1.1. */
  readonly protocolVersion: 4 | 5
  /** Shared subscriptions (`$share/<group>/<filter>`); undefined until it is known. */
  readonly shared: boolean | undefined
  /** Whether it keeps retained messages. */
  readonly retain: boolean
  /** Highest QoS that may be published with. */
  readonly maximumQos: 0 | 1 | 2
  readonly wildcards: boolean
  readonly subscriptionIdentifiers: boolean
  /** QoS 1 and 2 messages that may be on their way to it at once. */
  readonly receiveMaximum: number
  /** Bytes of the largest packet that it takes. */
  readonly maximumPacketSize: number
  readonly responseInformation: string
}

/** Reads capabilities off a CONNACK; `known` has the last word, for brokers that say too much or nothing. */
export const capabilitiesOf = (protocolVersion: 4 | 5, properties: ConnackFields, known: Partial<BrokerCapabilities> = {}): BrokerCapabilities => ({
  shared: protocolVersion === 5 ? properties.sharedSubscriptionAvailable !== false : undefined,
  retain: properties.retainAvailable !== false,
  maximumQos: properties.maximumQos ?? 2,
  wildcards: properties.wildcardSubscriptionAvailable !== false,
  subscriptionIdentifiers: protocolVersion === 5 && properties.subscriptionIdentifiersAvailable !== false,
  receiveMaximum: properties.receiveMaximum ?? 65_535,
  maximumPacketSize: properties.maximumPacketSize ?? 268_435_455,
  responseInformation: properties.responseInformation ?? '',
  ...known,
  protocolVersion
})
