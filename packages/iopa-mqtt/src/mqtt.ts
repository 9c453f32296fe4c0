import { getHeapStatistics } from 'node:v8'
import {
  bodyBudget,
  CAPABILITIES,
  type Channel,
  type ConnectOptions,
  checkOptions,
  checkTlsOptions,
  type Host,
  IopaError,
  type KeysDeclaration,
  type Listener,
  markFactory,
  type Transport,
  upstream
} from '@iopa/transport'
import type { BridgeOptions } from './bridge/options.ts'
import { listenEmbedded } from './broker/listener.ts'
import type { MqttClientOptions } from './client-options.ts'
import { MQTT_KEYS } from './keys.ts'
import type { EmbeddedOptions, MqttListenerOptions } from './options.ts'
import type { PublishOptions } from './publish-options.ts'
import type { RemoteOptions } from './remote/options.ts'

/** What `mqtt()` takes: the options of the embedded broker, or with `broker` those of a worker on another one. */
export type MqttOptions = (EmbeddedOptions | BridgeOptions) & {
  /** For the clients that `app.connect('mqtt://...')` makes. */
  readonly client?: MqttClientOptions
}

const REMOTE_OPTIONS: Record<keyof RemoteOptions, true> = {
  clientId: true,
  username: true,
  password: true,
  tls: true,
  protocolVersion: true,
  keepAlive: true,
  sessionExpiry: true,
  connectTimeout: true,
  reconnect: true,
  capabilities: true
}

const EMBEDDED_OPTIONS: Record<keyof EmbeddedOptions, true> = {
  port: true,
  host: true,
  allowUnauthenticated: true,
  tls: true,
  websocket: true,
  listeners: true,
  limits: true,
  store: true,
  ackOrder: true,
  refusal: true,
  sendWindow: true,
  topicAliasMaximum: true,
  maxKeepAlive: true,
  maxSessionExpiry: true,
  maxSessions: true,
  maxSubscriptions: true,
  maxSubscriptionsPerSession: true,
  quota: true,
  maxRetained: true,
  maxRetainedBytes: true,
  maxQueuedBytes: true,
  maxTopicLength: true,
  maxPacketSize: true,
  replies: true,
  clientIds: true,
  responseInformation: true,
  statistics: true,
  clock: true,
  network: true
}

const LISTENER_OPTIONS: Record<keyof MqttListenerOptions, true> = { port: true, host: true, allowUnauthenticated: true, tls: true }

const BRIDGE_OPTIONS: Record<keyof BridgeOptions, true> = {
  ...REMOTE_OPTIONS,
  broker: true,
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

const CLIENT_OPTIONS: Record<keyof MqttClientOptions, true> = { ...REMOTE_OPTIONS, qos: true, answer: true, statePrefix: true }

/** The MQTT transport. */
export interface MqttTransport extends Transport {
  readonly keys: KeysDeclaration
  /** Where the broker listens, once it does; empty for a worker. */
  readonly urls: readonly URL[]
  /** Where browsers connect, once it listens; null without `websocket`. */
  readonly websocketUrl: URL | null
  /**
   * Publishes a message to a topic that no route covers. Rejects while it does not listen, for what is no topic, and for the topic of a
   * state, which is changed at its path.
   */
  publish(topic: string, payload: string | Uint8Array, options?: PublishOptions): Promise<void>
}

/**
 * MQTT for an app: its own broker, to which clients connect and whose packets are requests of the app, or with `broker` a place
 * among the workers of an existing broker.
 */
export function mqtt(options: MqttOptions = {}): MqttTransport {
  checkOptions('mqtt()', options, { ...('broker' in options ? BRIDGE_OPTIONS : EMBEDDED_OPTIONS), client: true }, mqtt)
  checkOptions("'client' of mqtt()", options.client, CLIENT_OPTIONS, mqtt)
  checkTlsOptions('mqtt()', options.tls, mqtt)
  for (const place of ('listeners' in options && options.listeners) || []) {
    checkOptions("'listeners' of mqtt()", place, LISTENER_OPTIONS, mqtt)
    checkTlsOptions("'listeners' of mqtt()", place.tls, mqtt)
  }
  let websocketUrl: URL | null = null
  let urls: readonly URL[] = []
  let listening: (Listener & { publish(topic: string, payload: string | Uint8Array, options?: PublishOptions): Promise<void> }) | null = null
  return {
    name: 'mqtt',
    schemes: ['mqtt', 'mqtts', 'ws', 'wss'],
    bodies: limit => bodyBudget(limit, getHeapStatistics().heap_size_limit),
    capabilities: {
      [CAPABILITIES.Mqtt]: {
        version: '5.0.0',
        observe: true,
        lastingSubscriptions: true,
        qos: 2,
        retained: true,
        mode: 'broker' in options ? 'bridge' : 'embedded'
      }
    },
    keys: MQTT_KEYS,
    get urls() {
      return urls
    },
    get websocketUrl() {
      return websocketUrl
    },
    async listen(host: Host): Promise<Listener> {
      if ('broker' in options) return (listening = await listenBridge(options, host))
      const listener = await listenEmbedded(options, host)
      websocketUrl = listener.websocketUrl
      urls = listener.urls
      return (listening = listener)
    },
    async connect(url: URL, connectOptions: ConnectOptions = {}): Promise<Channel> {
      const { connectMqtt } = await import('./client.ts')
      return upstream(connectMqtt(url, { ...options.client, ...connectOptions }))
    },
    async publish(topic, payload, publishOptions) {
      if (listening === null) throw new IopaError(503, 'not-listening', 'mqtt() does not listen yet: await app.listen() first.')
      await listening.publish(topic, payload, publishOptions)
    }
  }
}

async function listenBridge(options: BridgeOptions, host: Host): ReturnType<typeof import('./bridge/bridge.ts')['listenBridge']> {
  const bridge = await import('./bridge/bridge.ts')
  return bridge.listenBridge(options, host)
}

markFactory('mqtt', mqtt)
