import { getHeapStatistics } from 'node:v8'
import {
  bodyBudget,
  CAPABILITIES,
  checkOptions,
  checkTlsOptions,
  type Host,
  IopaError,
  type KeysDeclaration,
  type Link,
  type Listener,
  loaded,
  markFactory,
  type OpenOptions,
  optionError,
  type Transport,
  type TransportApp
} from '@iopa/transport'
import { AdminRoutes } from './broker/admin/routes.ts'
import { type BrokerListener, listenEmbedded } from './broker/listener.ts'
import type { MqttClientOptions } from './client.ts'
import { MQTT_KEYS } from './keys.ts'
import {
  type EmbeddedOptions,
  type MqttListener,
  type MqttListenerOptions,
  type PublishOptions,
  REMOTE_OPTIONS,
  type WorkerOptions
} from './options.ts'

/** What `mqtt()` takes: the options of the embedded broker, or with `broker` the way to another one. */
export type MqttOptions = (EmbeddedOptions | WorkerOptions) & {
  /** For the clients that `app.connect('mqtt://...')` makes. */
  readonly client?: MqttClientOptions
}

const EMBEDDED_OPTIONS: Record<keyof EmbeddedOptions, true> = {
  port: true,
  host: true,
  allowUnauthenticated: true,
  proxyProtocol: true,
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
  admin: true,
  clock: true,
  network: true
}

const LISTENER_OPTIONS: Record<keyof MqttListenerOptions, true> = {
  port: true,
  host: true,
  allowUnauthenticated: true,
  proxyProtocol: true,
  tls: true
}

const WORKER_OPTIONS: Record<keyof WorkerOptions, true> = { broker: true }

const CLIENT_OPTIONS: Record<keyof MqttClientOptions, true> = { ...REMOTE_OPTIONS, qos: true, answer: true, statePrefix: true }

/** Options that are numbers. */
const NUMBERS = [
  'sendWindow',
  'topicAliasMaximum',
  'maxKeepAlive',
  'maxSessionExpiry',
  'maxSessions',
  'maxSubscriptions',
  'maxSubscriptionsPerSession',
  'maxRetained',
  'maxRetainedBytes',
  'maxQueuedBytes',
  'maxPacketSize',
  'maxTopicLength',
  'statistics'
] as const satisfies readonly (keyof EmbeddedOptions)[]

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
 * MQTT for an app: its own broker, to which clients connect and whose packets are requests of the app, or with `broker` a place among the
 * workers of another broker.
 * @throws IopaError 500 for an option that does not exist or is not what it should be
 */
export function mqtt(options: MqttOptions = {}): MqttTransport {
  const worker = 'broker' in options ? options.broker : null
  if (worker !== null) assertBridge(worker)
  checkOptions('mqtt()', options, { ...(worker === null ? EMBEDDED_OPTIONS : WORKER_OPTIONS), client: true }, mqtt)
  checkOptions("'client' of mqtt()", options.client, CLIENT_OPTIONS, mqtt)
  if (!('broker' in options)) checkEmbedded(options)
  let broker: BrokerListener | null = null
  let listening: MqttListener | null = null
  let admin: AdminRoutes | null = null
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
        mode: worker === null ? 'embedded' : 'bridge',
        ...(worker === null ? undefined : { statePrefix: worker.statePrefix })
      }
    },
    keys: MQTT_KEYS,
    get urls() {
      return broker?.urls ?? []
    },
    get websocketUrl() {
      return broker?.websocketUrl ?? null
    },
    attach(app: TransportApp): void {
      if (!('broker' in options) && options.admin !== undefined) admin = new AdminRoutes(app, options.admin)
    },
    async listen(host: Host): Promise<Listener> {
      if ('broker' in options) return (listening = await options.broker.join(host))
      return (listening = broker = await listenEmbedded(options, host, admin))
    },
    async open(url: URL, opening: OpenOptions): Promise<Link> {
      const { openMqttLink } = await loaded(opening.clock, import('./client.ts'))
      return openMqttLink(url, opening, options.client)
    },
    async publish(topic, payload, publishOptions) {
      if (listening === null) throw new IopaError(503, 'not-listening', 'mqtt() does not listen yet: await app.listen() first.')
      await listening.publish(topic, payload, publishOptions)
    }
  }
}

function checkEmbedded(options: EmbeddedOptions): void {
  checkTlsOptions('mqtt()', options.tls, mqtt)
  for (const name of NUMBERS) {
    const value: unknown = options[name]
    if (value === undefined || (name === 'statistics' && value === false) || (typeof value === 'number' && value >= 0)) continue
    throw optionError(`The option '${name}' of mqtt() has to be a number from 0 on.`)
  }
  if (options.admin !== undefined && !/^(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$/.test(options.admin))
    throw optionError("The option 'admin' of mqtt() has to be a path of letters and digits, such as '/mqtt'.")
  for (const place of options.listeners ?? []) {
    checkOptions("'listeners' of mqtt()", place, LISTENER_OPTIONS, mqtt)
    checkTlsOptions("'listeners' of mqtt()", place.tls, mqtt)
  }
  // A caller without types may give the options themselves.
  if (options.websocket !== undefined && typeof options.websocket.listen !== 'function')
    throw new IopaError(
      500,
      'websocket-expected',
      "'websocket' of mqtt() takes what websocket() returns: npm install ws, import { websocket } from '@iopa/mqtt/websocket', then mqtt({ websocket: websocket({ port: 8083 }) })."
    )
}

function assertBridge(broker: unknown): void {
  if (typeof (broker as Partial<WorkerOptions['broker']> | undefined)?.join === 'function') return
  throw new IopaError(
    500,
    'bridge-expected',
    "'broker' of mqtt() takes what bridge() returns: import { bridge } from '@iopa/mqtt/bridge', then mqtt({ broker: bridge('mqtts://broker.example', { share: 'lights' }) })."
  )
}

markFactory('mqtt', mqtt)
