import type { ByteChannel, Context, Endpoint, RequestSource } from '@iopa/transport'
import { decodeMessageProperties } from '../../codec/message-properties.ts'
import { encodeConnack } from '../../codec/packet-encoder.ts'
import type { ConnectPacket } from '../../codec/packets.ts'
import { REASON } from '../../codec/reason-codes.ts'
import { type BrokerSettings, FOREVER } from '../../options.ts'
import { isTopicName } from '../../topics/topic.ts'
import type { ClientConnection } from '../ports.ts'
import type { Session } from '../session/session.ts'
import { connectReasonOf, REFUSED_CLIENT_IDENTIFIER } from '../status-codes.ts'
import type { PacketSender } from './packet-sender.ts'
import type { UserValidity } from './user-validity.ts'

/** The connection that a CONNECT came on; the handshake fills in what the packet says. */
export interface ConnectingConnection extends ClientConnection {
  readonly channel: ByteChannel
  readonly sender: PacketSender
  /** True once CONNACK is sent. */
  readonly isOpen: boolean
  context: Context | null
  endpoint: Endpoint | null
  source: RequestSource | null
  bridge: boolean
  session: Session | null
  /** Of its CONNECT, null for none (MQTT 5 section 4.12). */
  authenticationMethod: string | null
  /** Sets the protocol version: 3, 4 or 5. */
  speak(version: number): void
  /** Sends CONNACK with a reason code, and closes. */
  refuse(code: number, properties?: Parameters<typeof encodeConnack>[3]): void
  /** Closes without a packet. */
  destroy(): void
  /** CONNACK is about to be sent: packets are read from now on. `keepAlive` is in milliseconds. */
  opened(keepAlive: number): void
  /** Continues with the packets that came meanwhile. */
  proceed(): void
  readonly validity: UserValidity
}

/** The Session Expiry Interval in seconds. Before MQTT 5 a session without clean start never expires (3.1.1 section 3.1.2.4); the limit of the server applies. */
export function expiryIntervalOf(packet: ConnectPacket, { maxSessionExpiry }: BrokerSettings): number {
  const asked = packet.protocolVersion === 5 ? (packet.sessionExpiryInterval ?? 0) : packet.cleanStart ? 0 : FOREVER
  return Math.min(asked, maxSessionExpiry)
}

/** The keep alive of the connection in seconds, at most the Server Keep Alive; 0 for none. */
export function keepAliveOf({ protocolVersion, keepAlive }: ConnectPacket, { maxKeepAlive }: BrokerSettings): number {
  if (protocolVersion < 5 || maxKeepAlive === 0) return keepAlive
  return keepAlive === 0 ? maxKeepAlive : Math.min(keepAlive, maxKeepAlive)
}

/** Why a CONNECT is refused before the pipeline sees it; null if it is valid. */
export function refusalOf(packet: ConnectPacket): { readonly code: number; readonly reasonString?: string } | null {
  const { protocolVersion: version, clientId, cleanStart, will } = packet
  if (clientId === '' && version < 5 && !(version === 4 && cleanStart)) return { code: REFUSED_CLIENT_IDENTIFIER }
  if (will === null) return null
  if (!isTopicName(will.topic)) return { code: version === 5 ? REASON.TOPIC_NAME_INVALID : connectReasonOf(403, version) }
  const { responseTopic } = decodeMessageProperties(will.properties)
  if (responseTopic === undefined || isTopicName(responseTopic)) return null
  return { code: REASON.TOPIC_NAME_INVALID, reasonString: "the will's Response Topic is not a topic name" }
}

/** What a CONNACK says of the session. */
export interface AcceptedSession {
  readonly present: boolean
  readonly expiryInterval: number
  readonly clientId: string
  /** True if the server has assigned the client identifier. */
  readonly assigned: boolean
}

/** CONNACK for an accepted CONNECT, with the limits of the server (MQTT 5 section 3.2.2.3). */
export function acceptingConnack(
  packet: ConnectPacket,
  { present, expiryInterval, clientId, assigned }: AcceptedSession,
  settings: BrokerSettings
): Buffer {
  const keepAlive = keepAliveOf(packet, settings)
  return encodeConnack(packet.protocolVersion, present, REASON.SUCCESS, {
    sessionExpiryInterval: expiryInterval === (packet.sessionExpiryInterval ?? 0) ? undefined : expiryInterval,
    receiveMaximum: settings.limits.inFlightPerConnection,
    maximumPacketSize: settings.maxPacketSize,
    assignedClientIdentifier: assigned ? clientId : undefined,
    topicAliasMaximum: settings.topicAliasMaximum,
    serverKeepAlive: keepAlive === packet.keepAlive ? undefined : keepAlive,
    responseInformation: packet.requestResponseInformation ? settings.responseInformation?.replaceAll('{clientId}', clientId) : undefined,
    authenticationMethod: packet.authenticationMethod ?? undefined
  })
}
