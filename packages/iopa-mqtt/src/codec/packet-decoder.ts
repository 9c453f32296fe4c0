import type { IAuthPacket, IConnectPacket, IDisconnectPacket, IUnsubscribePacket, Packet, Parser } from 'mqtt-packet'
import { parser as createParser } from 'mqtt-packet'
import { malformed } from './byte-reader.ts'
import { type CheckedPacket, checkPacket } from './packet-checks.ts'
import { PACKET } from './packet-types.ts'
import type { AuthPacket, ClientPacket, ConnectPacket, DisconnectPacket, UnsubscribePacket, Will } from './packets.ts'
import { REASON } from './reason-codes.ts'
import { decodeSubscribe } from './subscribe-decoder.ts'

/**
 * Decodes the packets that are rare: `mqtt-packet` reads them, after checks of what it lets through; the least rare, SUBSCRIBE, has a reader of its own. A parser keeps nothing between
 * packets, so one for each version serves every connection, and an idle connection has none.
 */
export class PacketDecoder {
  readonly #parsers = new Map<number, Parser>()
  readonly #maxUserProperties: number
  #decoded: Packet | null = null

  constructor(maxUserProperties: number) {
    this.#maxUserProperties = maxUserProperties
  }

  /** The packet in `bytes` from `start` to `end`; throws a ProtocolError. The version is ignored for a CONNECT. */
  decode(bytes: Buffer, start: number, body: number, end: number, version: number): ClientPacket {
    if ((bytes[start] as number) >> 4 === PACKET.SUBSCRIBE) return decodeSubscribe(bytes, start, body, end, version, this.#maxUserProperties)
    const checked = checkPacket(bytes, start, body, end, version, this.#maxUserProperties)
    // Nothing but a header: the general codec wants the fields that may be left out.
    if (body === end) {
      const type = (bytes[start] as number) >> 4
      if (type === 14)
        return { type: 'DISCONNECT', reasonCode: REASON.SUCCESS, sessionExpiryInterval: undefined, reasonString: '', userProperties: [] }
      if (type === 15) return { type: 'AUTH', reasonCode: REASON.SUCCESS, authenticationMethod: null, authenticationData: null, userProperties: [] }
    }
    const packet = this.#parse(bytes.subarray(start, end), version)
    switch (packet.cmd) {
      case 'connect':
        return connectPacket(packet, checked)
      case 'unsubscribe':
        return unsubscribePacket(packet, checked)
      case 'disconnect':
        return disconnectPacket(packet, checked)
      case 'auth':
        return authPacket(packet, checked)
      default:
        return { type: 'PINGREQ' }
    }
  }

  #parse(frame: Buffer, version: number): Packet {
    const connect = (frame[0] as number) >> 4 === 1
    // A CONNECT changes its parser's settings, so it gets one that is not kept.
    let parser = connect ? undefined : this.#parsers.get(version)
    if (!parser) {
      parser = createParser({ protocolVersion: version })
      parser.on('packet', packet => {
        this.#decoded = packet
      })
      parser.on('error', () => {})
      if (!connect) this.#parsers.set(version, parser)
    }
    this.#decoded = null
    let rest = 0
    try {
      rest = parser.parse(frame)
    } catch {
      rest = -1
    }
    const packet: Packet | null = this.#decoded
    this.#decoded = null
    if (packet && rest === 0) return packet
    this.#parsers.delete(version)
    throw malformed('the packet cannot be read')
  }
}

function connectPacket(packet: IConnectPacket, { userProperties, willProperties }: CheckedPacket): ConnectPacket {
  const properties = packet.properties
  return {
    type: 'CONNECT',
    protocolVersion: packet.protocolVersion ?? 4,
    bridge: 'bridgeMode' in packet,
    cleanStart: packet.clean === true,
    keepAlive: packet.keepalive ?? 0,
    clientId: packet.clientId,
    userName: packet.username ?? null,
    password: packet.password ?? null,
    will: packet.will ? willOf(packet.will, willProperties) : null,
    sessionExpiryInterval: properties?.sessionExpiryInterval,
    receiveMaximum: properties?.receiveMaximum ?? 65_535,
    maximumPacketSize: properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY,
    topicAliasMaximum: properties?.topicAliasMaximum ?? 0,
    requestResponseInformation: properties?.requestResponseInformation === true,
    requestProblemInformation: properties?.requestProblemInformation !== false,
    authenticationMethod: properties?.authenticationMethod ?? null,
    authenticationData: properties?.authenticationData ?? null,
    userProperties
  }
}

const willOf = (will: NonNullable<IConnectPacket['will']>, properties: Buffer): Will => ({
  topic: will.topic,
  payload: Buffer.from(will.payload as Buffer),
  qos: will.qos ?? 0,
  retain: will.retain === true,
  properties,
  delayInterval: will.properties?.willDelayInterval ?? 0,
  messageExpiryInterval: will.properties?.messageExpiryInterval ?? -1
})

const unsubscribePacket = (packet: IUnsubscribePacket, { userProperties }: CheckedPacket): UnsubscribePacket => ({
  type: 'UNSUBSCRIBE',
  packetId: packet.messageId as number,
  userProperties,
  filters: packet.unsubscriptions
})

const disconnectPacket = (packet: IDisconnectPacket, { userProperties }: CheckedPacket): DisconnectPacket => ({
  type: 'DISCONNECT',
  reasonCode: packet.reasonCode ?? REASON.SUCCESS,
  sessionExpiryInterval: packet.properties?.sessionExpiryInterval,
  reasonString: packet.properties?.reasonString ?? '',
  userProperties
})

const authPacket = (packet: IAuthPacket, { userProperties }: CheckedPacket): AuthPacket => ({
  type: 'AUTH',
  reasonCode: packet.reasonCode,
  authenticationMethod: packet.properties?.authenticationMethod ?? null,
  authenticationData: packet.properties?.authenticationData ?? null,
  userProperties
})
