/**
 * The app as a worker on a broker or cluster that exists.
 *
 * @example
 * import { bridge } from '@iopa/mqtt/bridge'
 * app.use(mqtt({ broker: bridge('mqtts://broker.example', { share: 'lights', clientId: process.env.HOSTNAME }) }))
 */
import { checkOptions, checkTlsOptions } from '@iopa/transport'
import { type BridgeOptions, joinBroker } from './bridge/bridge.ts'
import { type MqttBridge, REMOTE_OPTIONS } from './options.ts'

export type { AckOrder } from './bridge/acknowledgements.ts'
export type { BridgeOptions } from './bridge/bridge.ts'
export type { MqttBridge, RemoteOptions } from './options.ts'

const BRIDGE_OPTIONS: Record<keyof BridgeOptions, true> = {
  ...REMOTE_OPTIONS,
  share: true,
  topics: true,
  statePrefix: true,
  window: true,
  ackOrder: true,
  retry: true,
  deadLetter: true,
  user: true,
  limits: true,
  outbox: true
}

/**
 * A worker on the broker at this URL (`mqtt:`, `mqtts:`, `ws:` or `wss:`; user name and password may stand in it), for the option `broker` of
 * `mqtt()`. Nothing is connected before the app listens.
 * @throws IopaError 500 for an option that does not exist
 */
export const bridge = (broker: string | URL, options: BridgeOptions = {}): MqttBridge => {
  checkOptions('bridge()', options, BRIDGE_OPTIONS, bridge)
  checkTlsOptions('bridge()', options.tls, bridge)
  return { statePrefix: options.statePrefix ?? 'state', join: host => joinBroker(broker, options, host) }
}
