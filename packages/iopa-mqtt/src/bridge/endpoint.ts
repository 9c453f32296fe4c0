import type { Endpoint } from '@iopa/transport'

const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'mqtt:': 1883, 'mqtts:': 8883, 'ws:': 80, 'mqtt+ws:': 80, 'wss:': 443, 'mqtt+wss:': 443 }

/** The broker as the far end of every message. */
export class BrokerEndpoint implements Endpoint {
  readonly scheme: string
  protocol = 'MQTT/5.0'
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress = ''
  readonly localPort = 0
  readonly tls: boolean
  readonly sessionId: string
  readonly rawTransport = null
  readonly bodyLimit: number
  readonly holdsBack = true

  constructor(url: URL, clientId: string, bodyLimit: number) {
    this.scheme = url.protocol.slice(0, -1)
    this.remoteAddress = url.hostname.replace(/^\[|\]$/g, '')
    this.remotePort = Number(url.port) || (DEFAULT_PORTS[url.protocol] ?? 1883)
    this.tls = /(mqtts|wss):$/.test(url.protocol)
    this.sessionId = clientId
    this.bodyLimit = bodyLimit
  }

  /** Says which version has been agreed on. */
  speaks(protocolVersion: 4 | 5): void {
    this.protocol = protocolVersion === 5 ? 'MQTT/5.0' : 'MQTT/3.1.1'
  }
}
