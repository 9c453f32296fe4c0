import { type Clock, IopaError, type TlsOptions } from '@iopa/transport'
import type { IClientOptions } from 'mqtt'
import type { BrokerCapabilities } from './capabilities.ts'

/** One attempt to connect. */
export interface ConnectionOptions {
  readonly url: URL
  readonly protocolVersion: 4 | 5
  readonly clientId: string
  /** Starts with a new session. */
  readonly clean: boolean
  /** Seconds that the session outlives the connection (MQTT 5). */
  readonly sessionExpiry: number
  /** Seconds; 0 for none. */
  readonly keepAlive: number
  readonly username: string | undefined
  readonly password: string | undefined
  readonly tls: TlsOptions | undefined
  /** Messages that we ask the broker to have on its way at once (MQTT 5). */
  readonly receiveMaximum: number
  /** Bytes of the largest packet that we take (MQTT 5). */
  readonly maximumPacketSize: number
  /** Milliseconds until CONNACK. */
  readonly connectTimeout: number
  readonly capabilities: Partial<BrokerCapabilities> | undefined
  readonly clock: Clock
  readonly signal: AbortSignal | undefined
}

/** The broker, as sentences name it: never with credentials. */
export const nameOf = (url: URL): string => `${url.protocol}//${url.host}`

/** The options of MQTT.js for one connection. */
export const clientOptions = (options: ConnectionOptions): IClientOptions => {
  const { url, protocolVersion, clientId, clean, keepAlive, username, password, tls } = options
  const protocol = url.protocol.replace(/^mqtt\+/, '').slice(0, -1) as 'mqtt'
  const secure = protocol.endsWith('s') && protocol !== ('ws' as 'mqtt')
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const verified = secure ? secureOptions(tls ?? {}) : {}
  return {
    protocol,
    host,
    hostname: protocol.startsWith('ws') ? url.hostname : host,
    ...(url.port ? { port: Number(url.port) } : {}),
    ...(protocol.startsWith('ws') ? { path: url.pathname + url.search, wsOptions: { ...verified, perMessageDeflate: false } } : {}),
    ...verified,
    clientId,
    clean,
    keepalive: keepAlive,
    protocolVersion,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    // Everything that outlives one connection is ours: it would otherwise be queued for the next, where it means something else.
    reconnectPeriod: 0,
    resubscribe: false,
    queueQoSZero: false,
    // Ours comes first, and says more.
    connectTimeout: options.connectTimeout + 1000,
    ...(protocolVersion === 5
      ? {
          properties: {
            sessionExpiryInterval: options.sessionExpiry,
            receiveMaximum: options.receiveMaximum,
            maximumPacketSize: options.maximumPacketSize,
            requestResponseInformation: true
          }
        }
      : {})
  }
}

const secureOptions = ({ ca, cert, key, psk, verify = true, serverName, minVersion = 'TLSv1.2' }: TlsOptions): object => {
  if (psk !== undefined) throw new IopaError(500, 'psk-without-mqtt', 'The MQTT client has no pre-shared keys: use ca, or key and cert.')
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(serverName === undefined ? {} : { servername: serverName }),
    rejectUnauthorized: verify,
    minVersion
  }
}
