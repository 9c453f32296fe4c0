/**
 * MQTT for IOPA apps: an embedded MQTT 3.1, 3.1.1 and 5 broker whose packets are requests of the app, a worker on any other broker,
 * and a client.
 *
 * @example
 * const app = new App().use(router()).use(mqtt({ port: 1883 }))
 * app.put('/lights/:id', async context => lights.set(context.params.id, await context.json()))
 * await app.listen()
 */

export type { MqttClientOptions } from './client.ts'
export { MQTT_KEYS } from './keys.ts'
export type { MqttOptions, MqttTransport } from './mqtt.ts'
export { mqtt } from './mqtt.ts'
export type {
  EmbeddedOptions,
  MqttBridge,
  MqttListener,
  MqttListenerOptions,
  PublishOptions,
  QuotaOption,
  RemoteOptions,
  UserQuota,
  WorkerOptions
} from './options.ts'
export type { BrokerCapabilities } from './remote/capabilities.ts'
export type {
  Store,
  StoredDelivery,
  StoredDeliveryRecord,
  StoredMessage,
  StoredReceipt,
  StoredReceiptRecord,
  StoredRetainedRecord,
  StoredSession,
  StoredSessionRecord,
  StoredSubscription,
  StoredSubscriptionRecord,
  StoredWill,
  StoreRecord
} from './store.ts'
export { memoryStore } from './stores/memory.ts'
export type { UpgradingServer, WebSocketNetwork, WebSocketOptions } from './websocket/network.ts'
