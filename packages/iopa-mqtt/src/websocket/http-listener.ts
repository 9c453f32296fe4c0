import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { type ByteChannel, CAPABILITIES, type Context, optionError, upgradesOf } from '@iopa/transport'
import { channelStream } from '@iopa/transport/node'
import { endsOf, WebSocketChannel } from './channel.ts'
import { refusalOf, webSocketEndpoint } from './listener.ts'
import type { BrowserListener, WebSocketApp, WebSocketLimits, WebSocketOptions } from './network.ts'

/** Serves MQTT over WebSocket at a path of the HTTP listeners of the app. */
export const listenOnHttp = async (
  { path = '/mqtt', origins = [] }: WebSocketOptions,
  limits: WebSocketLimits,
  accept: (channel: ByteChannel) => void,
  { host, allowUnauthenticated }: WebSocketApp
): Promise<BrowserListener> => {
  if (host.scope.environment.capabilities[CAPABILITIES.Http] === undefined)
    throw optionError("websocket({ on: 'http' }) needs http() in the same app: add use(http({ port })), or give websocket() a port of its own.")
  const endpoint = webSocketEndpoint(limits)
  let url: URL | null = null
  const taking = upgradesOf(host).add({
    protocol: 'websocket',
    path,
    listens(http) {
      // A UNIX socket is open to those whom its permissions name.
      if (http.protocol.endsWith('+unix:')) {
        url ??= new URL(path, http.href.replace(/^http/, 'ws'))
        return
      }
      // Requests of HTTP may be open to all where sessions of MQTT are not.
      host.assertProtected(http.hostname.replace(/^\[|\]$/g, ''), allowUnauthenticated)
      url ??= new URL(path, `${http.protocol === 'https:' ? 'wss' : 'ws'}://${http.host}`)
    },
    admit(request) {
      const { headers } = request
      const handshake = {
        origin: headers.get('origin'),
        host: headers.get('host'),
        protocols: headers.get('sec-websocket-protocol'),
        localAddress: request['server.LocalAddress'],
        secure: request['iopa.Scheme'] === 'https'
      }
      const refusal = refusalOf(handshake, origins)
      if (refusal !== null) throw refusal
    },
    take(request, channel, head) {
      const socket = channelStream(channel) as Socket
      endpoint.handleUpgrade(messageOf(request), socket, Buffer.from(head), opened =>
        accept(new WebSocketChannel(opened, socket, limits, { ...endsOf(socket), remoteAddress: request['server.RemoteAddress'] }))
      )
    }
  })
  return {
    address: '',
    port: 0,
    get url() {
      return url
    },
    close: async () => taking[Symbol.dispose]()
  }
}

/** The parts of a message of node:http that a handshake reads. */
const messageOf = (request: Context): IncomingMessage => {
  const headers: Record<string, string> = {}
  for (const [name, value] of request.headers) headers[name.toLowerCase()] = value
  return { method: request['iopa.Method'], url: request['server.RawPath'], headers } as unknown as IncomingMessage
}
