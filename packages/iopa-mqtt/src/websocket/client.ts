import type { Socket } from 'node:net'
import { type ByteChannel, IopaError, type TlsOptions } from '@iopa/transport'
import { WebSocket } from 'ws'
import { WebSocketChannel } from './channel.ts'
import type { WebSocketTarget } from './network.ts'

/** Connects to a server of MQTT over WebSocket. Rejects when it cannot, and with the reason of `signal`. */
export const connectWebSocket = (url: URL, { tls, clock, signal }: WebSocketTarget): Promise<ByteChannel> =>
  new Promise((resolve, reject) => {
    const target = new URL(url)
    // Credentials belong into CONNECT, not into the HTTP request.
    target.username = target.password = ''
    const webSocket = new WebSocket(target, 'mqtt', { perMessageDeflate: false, ...secureOptions(tls ?? {}) })
    let socket: Socket
    const abort = (): void => {
      reject(signal.reason)
      webSocket.terminate()
    }
    signal.addEventListener('abort', abort, { once: true })
    webSocket.on('upgrade', response => {
      socket = response.socket
    })
    // One that comes after the connection is open is its channel's.
    webSocket.on('error', error => {
      signal.removeEventListener('abort', abort)
      reject(error)
    })
    webSocket.on('open', () => {
      signal.removeEventListener('abort', abort)
      // A server is trusted with its own time: the keep alive of MQTT finds out when it is gone.
      resolve(new WebSocketChannel(webSocket, socket, { clock, messageTimeout: Number.POSITIVE_INFINITY }))
    })
  })

const secureOptions = ({ ca, cert, key, psk, verify = true, serverName, minVersion = 'TLSv1.2' }: TlsOptions): object => {
  if (psk !== undefined) throw new IopaError(500, 'psk-without-websocket', 'WebSockets have no pre-shared keys: use ca, or key and cert.')
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(serverName === undefined ? {} : { servername: serverName }),
    rejectUnauthorized: verify,
    minVersion
  }
}
