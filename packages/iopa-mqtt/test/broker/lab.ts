import { App } from '@iopa/appbuilder'
import { type VirtualClock, type VirtualNetwork, virtualClock, virtualNetwork } from '@iopa/testing'
import type { ByteChannel, Host, Listener } from '@iopa/transport'
import { generate, type IConnackPacket, type IConnectPacket, type IPublishPacket, type Packet, parser } from 'mqtt-packet'
import { type MqttTransport, mqtt } from '../../src/mqtt.ts'
import type { EmbeddedOptions } from '../../src/options.ts'

/** A packet as the library reads it; the tests look only at what they expect. */
export type Read = Packet & Record<string, unknown> & { properties?: Record<string, unknown> }

/** A client that says exactly what a test has it say, over the virtual network. */
export class TestClient {
  readonly #lab: Lab
  readonly #channel: ByteChannel
  readonly version: number
  readonly packets: Read[] = []
  closed = false
  /** False keeps PUBLISH packets of QoS 1 and 2 unacknowledged. */
  acknowledges = true
  /** True where what comes back does not matter. */
  lenient = false
  /** Hears of each piece that arrives. */
  onChunk: () => void = () => undefined

  constructor(lab: Lab, channel: ByteChannel, version: number) {
    this.#lab = lab
    this.#channel = channel
    this.version = version
    const library = parser({ protocolVersion: version })
    library.on('packet', packet => this.#read(packet as Read))
    library.on('error', error => {
      if (!this.lenient) throw error
    })
    channel.open({
      data: chunk => {
        this.onChunk()
        library.parse(Buffer.from(chunk))
      },
      end: () => channel.end(),
      drain: () => undefined,
      close: () => {
        this.closed = true
      }
    })
  }

  send(packet: Packet): void {
    this.sendBytes(generate(packet, { protocolVersion: this.version }))
  }

  sendBytes(bytes: Uint8Array): void {
    this.#channel.write(bytes)
  }

  /** The next packet of a kind that no test has taken yet. */
  async next(cmd: Packet['cmd'], milliseconds = 5000): Promise<Read> {
    await this.#lab.clock.runUntil(() => this.packets.some(packet => packet.cmd === cmd), milliseconds)
    return this.packets.splice(
      this.packets.findIndex(packet => packet.cmd === cmd),
      1
    )[0] as Read
  }

  /** Every PUBLISH that has come and was not taken, as topic and payload, after everything has come to rest. */
  async messages(): Promise<string[]> {
    await this.#lab.rest()
    const messages = this.packets.filter(packet => packet.cmd === 'publish')
    this.packets.splice(0, this.packets.length, ...this.packets.filter(packet => packet.cmd !== 'publish'))
    return messages.map(packet => `${packet['topic']} ${(packet['payload'] as Buffer).toString()}`)
  }

  async subscribe(
    topic: string | readonly string[],
    options: { qos?: 0 | 1 | 2; nl?: boolean; rap?: boolean; rh?: number; identifier?: number } = {}
  ): Promise<number[]> {
    const { qos = 0, nl = false, rap = false, rh = 0, identifier } = options
    const subscriptions = [topic].flat().map(one => ({ topic: one, qos, nl, rap, rh }))
    this.send({ cmd: 'subscribe', messageId: 77, subscriptions, ...(identifier ? { properties: { subscriptionIdentifier: identifier } } : {}) })
    return (await this.next('suback'))['granted'] as number[]
  }

  publish(topic: string, payload: string | Buffer, options: Partial<IPublishPacket> = {}): void {
    this.send({ cmd: 'publish', topic, payload, qos: 0, dup: false, retain: false, ...options })
  }

  /** Publishes with QoS 1 and resolves with the PUBACK. */
  async put(topic: string, payload: string | Buffer, options: Partial<IPublishPacket> = {}): Promise<Read> {
    this.publish(topic, payload, { qos: 1, messageId: 9, ...options })
    return this.next('puback')
  }

  /** Leaves with a DISCONNECT. */
  async leave(properties: { sessionExpiryInterval?: number; reasonCode?: number } = {}): Promise<void> {
    const { reasonCode = 0, ...rest } = properties
    this.send(this.version === 5 ? { cmd: 'disconnect', reasonCode, properties: rest } : { cmd: 'disconnect' })
    await this.#lab.clock.runUntil(() => this.closed)
  }

  /** Breaks the connection without a word. */
  async vanish(): Promise<void> {
    this.#channel.destroy()
    await this.#lab.rest()
  }

  pause(): void {
    this.#channel.pause()
  }

  resume(): void {
    this.#channel.resume()
  }

  #read(packet: Read): void {
    this.packets.push(packet)
    if (!this.acknowledges) return
    const { messageId } = packet
    if (packet.cmd === 'publish' && packet['qos'] === 1) this.send({ cmd: 'puback', messageId: messageId as number })
    else if (packet.cmd === 'publish' && packet['qos'] === 2) this.send({ cmd: 'pubrec', messageId: messageId as number })
    else if (packet.cmd === 'pubrel') this.send({ cmd: 'pubcomp', messageId: messageId as number })
  }
}

export interface ConnectForm extends Partial<Omit<IConnectPacket, 'cmd'>> {
  version?: 3 | 4 | 5
  from?: string
  acknowledges?: boolean
}

/** An app with a broker on a virtual network. */
export class Lab {
  readonly clock: VirtualClock
  readonly network: VirtualNetwork
  readonly app: App
  readonly transport: MqttTransport
  readonly errors: unknown[][] = []
  host!: Host
  #listener: Listener | undefined
  #clients = 0

  constructor(
    build: (app: App) => unknown = () => undefined,
    options: EmbeddedOptions = {},
    clock: VirtualClock = virtualClock({ start: 1_700_000_000_000 })
  ) {
    this.clock = clock
    this.network = virtualNetwork({ clock })
    const note = (...data: unknown[]): number => this.errors.push(data)
    this.app = new App({ clock, logger: { error: note, warn: note, info: () => undefined, debug: () => undefined } })
    build(this.app)
    const transport = mqtt({ port: 1883, statistics: false, network: this.network, ...options })
    this.transport = { ...transport, listen: host => transport.listen((this.host = host)) }
    this.app.use(this.transport)
  }

  async start(): Promise<this> {
    const listeners = await this.app.listen()
    this.#listener = listeners[0] as Listener
    return this
  }

  get url(): URL {
    return (this.#listener as Listener).url
  }

  /** Lets everything happen that needs no time worth the name. */
  async rest(milliseconds = 10): Promise<void> {
    await this.clock.advance(milliseconds)
    await this.clock.settle()
  }

  /** A raw connection. */
  async dial(version = 4, from = '127.0.0.1'): Promise<TestClient> {
    const machine = from === '127.0.0.1' ? this.network : this.network.machine(from)
    const channel = await this.clock.runUntil(machine.connect({ host: this.url.hostname, port: Number(this.url.port) }))
    return new TestClient(this, channel, version)
  }

  /** A client whose CONNECT was answered, and the answer. */
  async connect(form: ConnectForm = {}): Promise<{ client: TestClient; connack: Read & IConnackPacket }> {
    const { version = 5, from, acknowledges = true, ...rest } = form
    const client = await this.dial(version, from)
    client.acknowledges = acknowledges
    client.send({
      cmd: 'connect',
      protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
      protocolVersion: version,
      clean: true,
      clientId: `client-${++this.#clients}`,
      keepalive: 0,
      ...rest
    })
    const connack = (await client.next('connack')) as Read & IConnackPacket
    return { client, connack }
  }

  async client(form: ConnectForm = {}): Promise<TestClient> {
    return (await this.connect(form)).client
  }

  async close(): Promise<void> {
    const closed = this.app.close({ timeout: 100 })
    await this.clock.runUntil(closed)
  }
}

const labs: Lab[] = []

/** Starts an app with a broker; `closeLabs` in `afterEach` ends it. */
export async function lab(build?: (app: App) => unknown, options?: EmbeddedOptions, clock?: VirtualClock): Promise<Lab> {
  const made = new Lab(build, options, clock)
  labs.push(made)
  return made.start()
}

/** Closes what a test has started, and says how many contexts were left alive in all. */
export async function closeLabs(): Promise<number> {
  let live = 0
  for (const made of labs.splice(0)) {
    await made.close()
    live += made.app.live
  }
  return live
}
