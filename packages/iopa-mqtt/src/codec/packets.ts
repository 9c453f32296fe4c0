/** What a client says in a packet other than PUBLISH and its acknowledgements. */
export type ClientPacket = ConnectPacket | SubscribePacket | UnsubscribePacket | PingPacket | DisconnectPacket | AuthPacket

export interface ConnectPacket {
  readonly type: 'CONNECT'
  /** 3, 4 or 5. */
  readonly protocolVersion: number
  /** A broker that connects as a bridge (the top bit of the version, a custom of mosquitto): it wants its own messages not, and RETAIN as published. */
  readonly bridge: boolean
  readonly cleanStart: boolean
  /** Seconds; 0 for none. */
  readonly keepAlive: number
  readonly clientId: string
  readonly userName: string | null
  readonly password: Buffer | null
  readonly will: Will | null
  /** Seconds; undefined when the client did not say. */
  readonly sessionExpiryInterval: number | undefined
  readonly receiveMaximum: number
  /** Bytes; Infinity when the client set no limit. */
  readonly maximumPacketSize: number
  readonly topicAliasMaximum: number
  readonly requestResponseInformation: boolean
  readonly requestProblemInformation: boolean
  readonly authenticationMethod: string | null
  readonly authenticationData: Buffer | null
  readonly userProperties: UserProperties
}

export type UserProperties = readonly (readonly [string, string])[]

export interface Will {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: number
  readonly retain: boolean
  /** Encoded, without their length. */
  readonly properties: Buffer
  /** Seconds. */
  readonly delayInterval: number
  /** Seconds, or -1 for none. */
  readonly messageExpiryInterval: number
}

export interface SubscribePacket {
  readonly type: 'SUBSCRIBE'
  readonly packetId: number
  /** 0 for none. */
  readonly subscriptionIdentifier: number
  readonly userProperties: UserProperties
  readonly subscriptions: readonly SubscriptionRequest[]
}

export interface SubscriptionRequest {
  readonly filter: string
  readonly qos: number
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: number
}

export interface UnsubscribePacket {
  readonly type: 'UNSUBSCRIBE'
  readonly packetId: number
  readonly userProperties: UserProperties
  readonly filters: readonly string[]
}

interface PingPacket {
  readonly type: 'PINGREQ'
}

export interface DisconnectPacket {
  readonly type: 'DISCONNECT'
  readonly reasonCode: number
  /** Seconds; undefined when the client did not change it. */
  readonly sessionExpiryInterval: number | undefined
  readonly reasonString: string
  readonly userProperties: UserProperties
}

export interface AuthPacket {
  readonly type: 'AUTH'
  readonly reasonCode: number
  readonly authenticationMethod: string | null
  readonly authenticationData: Buffer | null
  readonly userProperties: UserProperties
}
