// Observers and changers of every protocol, with clients of other makers where the protocol has one.
import { request } from 'node:http'
import { App, type Client } from '@iopa/appbuilder'
import { type CoapListener, coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { tcp } from '@iopa/tcp'
import { encodePath, type Listener, parseUrl } from '@iopa/transport'
import { udp } from '@iopa/udp'
import mqttJs from 'mqtt'
import { until } from './hostile-support.ts'

/** Who an observer or a changer is: a user name and a password, or a pre-shared key where the protocol has those. */
export interface Credentials {
  readonly user: string
  readonly password: string
}

/** One observer on one protocol. */
export interface Watching {
  readonly protocol: string
  /** What it was told, the value of each JSON body; an empty message is `gone`, an error `error <status>`. */
  readonly told: unknown[]
  /** The observation has ended. */
  readonly ended: () => boolean
  stop(): Promise<void>
}

/** Pre-shared keys by user. */
const KEYS: Readonly<Record<string, Uint8Array>> = { ann: Buffer.from('the-key-of-ann!!'), bob: Buffer.from('the-key-of-bob!!') }

/** The protocols on which can be observed, and all on which can be changed. */
export type Observing = 'http' | 'coap' | 'coap+tcp' | 'mqtt' | 'tcp'
export type Changing = Observing | 'udp'
export const OBSERVING: readonly Observing[] = ['http', 'coap', 'coap+tcp', 'mqtt', 'tcp']
export const CHANGING: readonly Changing[] = [...OBSERVING, 'udp']

type Urls = Readonly<Record<Changing | 'coaps+tcp', string>>

/** An app on every protocol, and clients for all of them. */
export class Town {
  readonly app: App
  readonly #urls: Urls
  readonly #clients = new App({ logger: false }).use(http()).use(coap()).use(tcp()).use(udp())
  readonly #open: (() => unknown)[] = []
  /** Clients that change, one for each protocol and user. */
  readonly #changers = new Map<string, Promise<Client>>()
  readonly #publishers = new Map<string, Promise<mqttJs.MqttClient>>()

  private constructor(app: App, urls: Urls) {
    this.app = app
    this.#urls = urls
  }

  /** Serves an app that has its middleware and routes. */
  static async open(app: App): Promise<Town> {
    app
      .use(http({ port: 0 }))
      .use(coap({ port: 0, tcp: true, tls: { psk: KEYS, port: 0 } }))
      .use(mqtt({ port: 0, statistics: false }))
      .use(tcp({ port: 0 }))
      .use(udp({ port: 0 }))
    const listeners = (await app.listen()) as [Listener, CoapListener, Listener, Listener, Listener]
    const at = (url: URL | undefined): string => `127.0.0.1:${parseUrl(url as URL).port}`
    const [web, things, broker, stream, packets] = listeners
    const thing = (scheme: string): string => `${scheme}://${at(things.urls.find(({ protocol }) => protocol === `${scheme}:`))}`
    return new Town(app, {
      http: `http://${at(web.url)}`,
      coap: thing('coap'),
      'coap+tcp': thing('coap+tcp'),
      'coaps+tcp': thing('coaps+tcp'),
      mqtt: `mqtt://${at(broker.url)}`,
      tcp: `tcp://${at(stream.url)}`,
      udp: `udp://${at(packets.url)}`
    })
  }

  /** Where MQTT is served. */
  get brokerUrl(): string {
    return this.#urls.mqtt
  }

  async close(): Promise<void> {
    for (const close of this.#open.splice(0).reverse()) await close()
    await this.#clients.close({ timeout: 0 })
    await this.app.close({ timeout: 500 })
    await until('no context is left', () => this.app.live === 0)
  }

  /** A client of ours; over coap+tcp with credentials it uses the pre-shared key of the user. */
  async client(protocol: Changing, credentials?: Credentials): Promise<Client> {
    const secured = protocol === 'coap+tcp' && credentials !== undefined
    const options = secured ? { tls: { psk: { [credentials.user]: KEYS[credentials.user] as Uint8Array } } } : {}
    const client = await this.#clients.connect(this.#urls[secured ? 'coaps+tcp' : protocol], options)
    this.#open.push(() => client.close())
    return client
  }

  /** Changes a path and gives back the status, or its reason code over MQTT; undefined deletes it. */
  async put(protocol: Changing, path: string, value: unknown, credentials?: Credentials): Promise<number> {
    if (protocol === 'mqtt') return this.#publish(path, value, credentials)
    const client = await kept(this.#changers, `${protocol} ${credentials?.user}`, () => this.client(protocol, credentials))
    const options = { headers: authorization(credentials) }
    const answer = value === undefined ? await client.delete(path, options) : await client.put(path, value, options)
    return answer.status
  }

  /** What GET of a path is on a protocol, its JSON value; over MQTT it is what a new subscription begins with. */
  async get(protocol: Changing, path: string, credentials?: Credentials): Promise<unknown> {
    if (protocol === 'mqtt') {
      const watching = await this.watch('mqtt', path, credentials)
      await watching.stop()
      return watching.told[0]
    }
    const client = await kept(this.#changers, `${protocol} ${credentials?.user}`, () => this.client(protocol, credentials))
    const answer = await client.get(path, { headers: authorization(credentials) })
    return answer.ok ? answer.json() : `error ${answer.status}`
  }

  async #publish(path: string, value: unknown, credentials: Credentials | undefined): Promise<number> {
    const client = await kept(this.#publishers, String(credentials?.user), () => this.#mqtt(credentials))
    // Retained and empty is DELETE (design: MQTT rulings).
    const payload = value === undefined ? '' : JSON.stringify(value)
    return new Promise(resolve => {
      client.publish(path.slice(1), payload, { qos: 1, retain: value === undefined }, (error, packet) =>
        resolve((error as { code?: number } | null)?.code ?? (packet as { reasonCode?: number } | undefined)?.reasonCode ?? 0)
      )
    })
  }

  /** Observes a path, and resolves when the first word has come. */
  async watch(protocol: Observing, path: string, credentials?: Credentials, headers: Readonly<Record<string, string>> = {}): Promise<Watching> {
    const watching =
      protocol === 'http'
        ? this.#events(path, { ...authorization(credentials), ...headers })
        : protocol === 'mqtt'
          ? await this.subscribe(path, credentials)
          : this.#answers(protocol, await this.client(protocol, credentials), path, { ...authorization(credentials), ...headers })
    this.#open.push(() => watching.stop())
    await until(`${protocol} has the first word`, () => watching.told.length > 0 || watching.ended())
    return watching
  }

  #events(path: string, headers: Readonly<Record<string, string>>): Watching {
    const told: unknown[] = []
    let ended = false
    const sent = request(`${this.#urls.http}${encodePath(path)}`, { headers: { accept: 'text/event-stream', ...headers } }, response => {
      let text = ''
      response.on('data', data => {
        text += data
        const events = text.split('\n\n')
        text = events.pop() ?? ''
        for (const event of events) told.push(...wordOfEvent(event))
      })
      response.on('end', () => {
        if (response.statusCode !== 200) told.push(`error ${response.statusCode}`)
        ended = true
      })
      response.on('error', () => {
        ended = true
      })
    })
    sent.on('error', () => {
      ended = true
    })
    sent.end()
    return { protocol: 'http', told, ended: () => ended, stop: async () => void sent.destroy() }
  }

  #answers(protocol: Observing, client: Client, path: string, headers: Readonly<Record<string, string>>): Watching {
    const told: unknown[] = []
    const stopping = new AbortController()
    let ended = false
    const reading = (async () => {
      try {
        for await (const answer of client.observe(path, { signal: stopping.signal, headers })) told.push(await answer.json())
      } catch (error) {
        if (!stopping.signal.aborted) told.push(`error ${(error as { status?: number }).status}`)
      }
      ended = true
    })()
    return {
      protocol,
      told,
      ended: () => ended,
      stop: async () => {
        stopping.abort()
        await reading
        await client.close()
      }
    }
  }

  /** A subscription to a filter, without waiting for a first message; an error is its reason code. */
  async subscribe(path: string, credentials?: Credentials): Promise<Watching> {
    const told: unknown[] = []
    const client = await this.#mqtt(credentials)
    client.on('message', (_, payload) => told.push(payload.length === 0 ? 'gone' : JSON.parse(String(payload))))
    let refused = false
    const [grant] = await client
      .subscribeAsync(path.slice(1), { qos: 1 })
      .catch((error: { packet?: { granted: number[] } }) => [{ qos: error.packet?.granted[0] ?? 0 }])
    if ((grant?.qos ?? 0) >= 0x80) {
      refused = true
      told.push(`error ${grant?.qos}`)
    }
    return { protocol: 'mqtt', told, ended: () => refused || !client.connected, stop: async () => void (await client.endAsync(true)) }
  }

  async #mqtt(credentials?: Credentials): Promise<mqttJs.MqttClient> {
    const client = await mqttJs.connectAsync(this.#urls.mqtt, {
      protocolVersion: 5,
      reconnectPeriod: 0,
      ...(credentials && { username: credentials.user, password: credentials.password })
    })
    client.on('error', () => undefined)
    this.#open.push(() => client.endAsync(true))
    return client
  }
}

const wordOfEvent = (event: string): unknown[] => {
  const lines = event.split('\n')
  const data = lines.flatMap(line => (line.startsWith('data: ') ? [line.slice(6)] : [])).join('\n')
  if (data === '') return []
  const value = JSON.parse(data) as unknown
  return lines.includes('event: error') ? [`error ${(value as { status: number }).status}`] : [value]
}

/** A user name and a password as HTTP says them (RFC 7617). */
const authorization = (credentials: Credentials | undefined): Readonly<Record<string, string>> =>
  credentials === undefined ? {} : { authorization: `Basic ${btoa(`${credentials.user}:${credentials.password}`)}` }

const kept = <T>(all: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> => {
  let one = all.get(key)
  if (one === undefined) all.set(key, (one = make()))
  return one
}
