/**
 * MQTT over WebSocket, for browsers and through proxies: `npm install ws`.
 *
 * @example
 * import { websocket } from '@iopa/mqtt/websocket'
 * app.use(mqtt({ port: 1883, websocket: websocket({ port: 8083 }) }))
 */
import { checkOptions, checkTlsOptions, optionError } from '@iopa/transport'
import { connectWebSocket } from './websocket/client.ts'
import { listenOnHttp } from './websocket/http-listener.ts'
import { listenWebSocket } from './websocket/listener.ts'
import type { WebSocketNetwork, WebSocketOptions } from './websocket/network.ts'

export type { UpgradingServer, WebSocketNetwork, WebSocketOptions } from './websocket/network.ts'

const WEBSOCKET_OPTIONS: Record<keyof WebSocketOptions, true> = {
  on: true,
  port: true,
  host: true,
  tls: true,
  server: true,
  path: true,
  trustProxy: true,
  proxyProtocol: true,
  origins: true
}

/**
 * WebSocket for the option `websocket` of `mqtt()`, which serves it with these options; and for `client` of `mqtt()` and for `bridge()`, which
 * then reach brokers at `ws:` and `wss:` URLs and need no options.
 * @throws IopaError 500 for an option that does not exist
 */
export const websocket = (options: WebSocketOptions = {}): WebSocketNetwork => {
  checkOptions('websocket()', options, WEBSOCKET_OPTIONS, websocket)
  checkTlsOptions('websocket()', options.tls, websocket)
  if (options.on !== undefined) checkOn(options)
  if (options.server !== undefined && options.proxyProtocol !== undefined)
    throw optionError("'proxyProtocol' of websocket() is for a port of its own: the server that it was given takes its connections itself.")
  return {
    options,
    listen: (tls, limits, accept, app) =>
      options.on === undefined
        ? listenWebSocket({ ...(tls === undefined ? {} : { tls }), ...options }, limits, accept)
        : listenOnHttp(options, limits, accept, app),
    connect: connectWebSocket
  }
}

const checkOn = ({ on, path: _path, origins: _origins, ...others }: WebSocketOptions): void => {
  if (on !== 'http') throw optionError(`'on' of websocket() is 'http' or left out, not '${on}'.`)
  const [other] = Object.keys(others)
  if (other !== undefined) throw optionError(`'${other}' of websocket() has no meaning with on: 'http': give it to http() instead.`)
}
