import type { ByteChannel, Context, Endpoint, InheritedKeys } from '@iopa/transport'
import type { Session } from './session.ts'

type ChannelEnds = Pick<ByteChannel, 'remoteAddress' | 'remotePort' | 'localAddress' | 'localPort' | 'tls' | 'raw' | 'clientCertificate'>

const INHERITED: InheritedKeys = {
  keys: new Set(['mqtt.ClientId', 'mqtt.ProtocolVersion', 'mqtt.CleanStart', 'mqtt.KeepAlive', 'mqtt.UserName', 'mqtt.Password']),
  copy(connection: Context, request: Context): void {
    request['mqtt.ClientId'] = connection['mqtt.ClientId']
    request['mqtt.ProtocolVersion'] = connection['mqtt.ProtocolVersion']
    request['mqtt.CleanStart'] = connection['mqtt.CleanStart']
    request['mqtt.KeepAlive'] = connection['mqtt.KeepAlive']
    // Credentials exist only during the first run; the steps of an enhanced authentication belong to it.
    const { 'mqtt.UserName': userName, 'mqtt.Password': password } = connection
    if (userName !== undefined) request['mqtt.UserName'] = userName
    if (password !== undefined) request['mqtt.Password'] = password
  }
}

/** The two ends of an MQTT connection, and its session. */
export class MqttEndpoint implements Endpoint {
  readonly scheme: string
  readonly protocol: string
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly tls: boolean
  readonly sessionId: string
  readonly rawTransport: unknown
  readonly bodyLimit: number
  readonly inherited: InheritedKeys = INHERITED
  readonly holdsBack = true
  readonly #channel: ChannelEnds
  /** Set once the client is connected. */
  session: Session | null = null

  constructor(channel: ChannelEnds, protocolVersion: number, clientId: string, bodyLimit: number) {
    this.#channel = channel
    this.scheme = channel.tls ? 'mqtts' : 'mqtt'
    this.protocol = protocolVersion === 5 ? 'MQTT/5.0' : protocolVersion === 4 ? 'MQTT/3.1.1' : 'MQTT/3.1'
    this.remoteAddress = channel.remoteAddress
    this.remotePort = channel.remotePort
    this.localAddress = channel.localAddress
    this.localPort = channel.localPort
    this.tls = channel.tls
    this.sessionId = clientId
    this.rawTransport = channel.raw
    this.bodyLimit = bodyLimit
  }

  clientCertificate(): unknown {
    return this.#channel.clientCertificate?.()
  }
}

/** The endpoint of a session whose client has not connected since the broker started. */
export const absentEndpoint = (protocolVersion: number, clientId: string, bodyLimit: number): MqttEndpoint =>
  new MqttEndpoint(NOWHERE, protocolVersion, clientId, bodyLimit)

const NOWHERE: ChannelEnds = { remoteAddress: '', remotePort: 0, localAddress: '', localPort: 0, tls: false, raw: null }
