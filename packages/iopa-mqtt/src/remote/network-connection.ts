import { type ByteChannel, type Clock, IopaError, type TlsOptions } from '@iopa/transport'
import { socketNetwork } from '@iopa/transport/node'
import type { WebSocketNetwork } from '../websocket/network.ts'
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
  /** For `ws:` and `wss:`. */
  readonly websocket: WebSocketNetwork | undefined
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

const network = socketNetwork()

/** Connects to the server of the URL. Rejects with an IopaError, or with the reason of `signal`. */
export const openChannel = async (options: ConnectionOptions, signal: AbortSignal): Promise<ByteChannel> => {
  const { url, tls, websocket, clock } = options
  const protocol = url.protocol.replace(/^mqtt\+/, '')
  const secure = protocol === 'mqtts:' || protocol === 'wss:' ? { tls: tls ?? {} } : {}
  try {
    if (protocol === 'mqtt:' || protocol === 'mqtts:') {
      const port = Number(url.port) || (protocol === 'mqtts:' ? 8883 : 1883)
      return await network.connect({ host: url.hostname.replace(/^\[|\]$/g, ''), port, ...secure }, signal)
    }
    if (websocket === undefined) throw websocketMissing(url)
    return await websocket.connect(new URL(url.href.replace(/^mqtt\+/, '')), { ...secure, clock, signal })
  } catch (error) {
    if (signal.aborted || (error as IopaError).status === 500) throw error
    throw connectError(error as Error, options, '')
  }
}

const websocketMissing = (url: URL): IopaError =>
  new IopaError(
    500,
    'websocket-missing',
    `${url.protocol}// needs WebSocket: npm install ws, import { websocket } from '@iopa/mqtt/websocket', and give websocket: websocket() to the bridge or to the option 'client' of mqtt().`
  )

/** No CONNACK in time. */
export const timedOut = ({ url, connectTimeout }: ConnectionOptions): IopaError =>
  new IopaError(504, 'timeout', `The broker ${nameOf(url)} did not accept the connection within ${connectTimeout} ms.`)

/** What a refusal means (MQTT 5 section 3.2.2.2; MQTT 3.1.1 table 3.1). */
export const connectError = (error: Error & { code?: unknown }, options: ConnectionOptions, serverReference: string): IopaError => {
  const broker = nameOf(options.url)
  const cause = { cause: error }
  switch (error.code) {
    case 0x01:
    case 0x84:
      return new IopaError(
        501,
        'protocol-version',
        `The broker ${broker} does not speak MQTT ${options.protocolVersion === 5 ? '5' : '3.1.1'}.`,
        cause
      )
    case 0x04:
    case 0x86:
    case 0x8c:
      return new IopaError(401, 'broker-credentials', `The broker ${broker} refuses this user name and password.`, cause)
    case 0x02:
    case 0x85:
      return new IopaError(
        400,
        'broker-client-id',
        `The broker ${broker} refuses the client identifier '${options.clientId}': give another one.`,
        cause
      )
    case 0x05:
    case 0x87:
    case 0x8a:
      return new IopaError(403, 'broker-forbidden', `The broker ${broker} does not let this client connect.`, cause)
    case 0x9c:
    case 0x9d:
      return new IopaError(503, 'broker-moved', `The broker ${broker} asks to use another server.`, {
        ...cause,
        ...(serverReference === '' ? {} : { extensions: { serverReference } })
      })
    default:
      return new IopaError(
        502,
        'connect-failed',
        `Cannot connect to the broker ${broker}: it cannot be reached, or does not accept connections now.`,
        cause
      )
  }
}

/** User name and password, from the options or else from the URL. */
export const credentialsOf = (
  url: URL,
  { username, password }: { readonly username?: string; readonly password?: string }
): { username: string | undefined; password: string | undefined } => ({
  username: username ?? decoded(url.username),
  password: password ?? decoded(url.password)
})

const decoded = (text: string): string | undefined => {
  if (text === '') return undefined
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** The first server of a reference: `host`, `host:port`, several divided by spaces (MQTT 5 section 4.11). */
export const elsewhere = (url: URL, servers: string): URL => {
  const server = servers.trim().split(/\s+/)[0] ?? ''
  const reference = `${url.protocol}//${server}`
  if (server === '' || !URL.canParse(reference)) return url
  const moved = new URL(reference)
  moved.pathname = url.pathname
  moved.search = url.search
  return moved
}
