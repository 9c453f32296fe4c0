import type { Logger } from '@iopa/appbuilder'
import type { EmbeddedOptions } from '@iopa/mqtt'
import { seededRandom, type VirtualClock, type VirtualNetwork, virtualClock, virtualNetwork } from '@iopa/testing'
import { CuttableStore } from './cuttable-store.ts'
import { FinalChecks } from './final-checks.ts'
import { Ledger } from './ledger.ts'
import { MqttClient } from './mqtt-client.ts'
import { CoapObserver, HttpObserver, type Observer, TcpObserver } from './observers.ts'
import { Rights } from './rights.ts'
import { type ServedApp, serve, Truth } from './served-app.ts'
import { LASTING } from './sessions.ts'
import { OBSERVERS, SLOTS, type Step } from './steps.ts'

export interface WorldResult {
  readonly faults: readonly string[]
  readonly deliveries: number
  readonly kept: number
  readonly overflowed: number
  readonly evicted: number
  /** Milliseconds of virtual time. */
  readonly time: number
}

/** How the broker of a world is set up. */
export interface WorldForm {
  readonly broker: EmbeddedOptions
  readonly stored: boolean
  readonly slow: boolean
  readonly queue: number
}

const worldForm = (seed: number): WorldForm => {
  const random = seededRandom(seed ^ 0x5eed)
  const pick = <T>(...list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const queue = pick(1000, 1000, 15)
  const maxSessions = pick(20_000, 20_000, 7, 13)
  return {
    stored: pick(true, false),
    slow: pick(true, true, false),
    queue,
    broker: {
      refusal: pick('close', 'acknowledge'),
      ackOrder: pick('strict', 'any'),
      clientIds: pick('user', 'user', 'exclusive'),
      sendWindow: pick(256, 2),
      maxSessions,
      limits: { queueMessages: queue }
    }
  }
}

/** One broker with its users, from the first step to the last check. */
export class World {
  readonly #clock: VirtualClock
  readonly #network: VirtualNetwork
  readonly #ledger: Ledger
  readonly #truth = new Truth()
  readonly #form: WorldForm
  readonly #start: number
  readonly #clients: (MqttClient | undefined)[] = new Array(SLOTS)
  readonly #observers: (Observer | undefined)[] = new Array(OBSERVERS)
  readonly #errors: string[] = []
  #store: CuttableStore | null
  #served!: ServedApp
  #streams = 0
  #messageId = 0

  constructor(seed: number) {
    this.#form = worldForm(seed)
    this.#clock = virtualClock({ start: 1_700_000_000_000 })
    this.#network = virtualNetwork({ clock: this.#clock, seed, delay: [1, 6], splitting: seed % 3 === 0 ? 40 : 0, coalescing: 0.3 })
    const evicts = (this.#form.broker.maxSessions ?? 0) < 100
    this.#start = this.#clock.now()
    this.#ledger = new Ledger(new Rights(seed, this.#form.slow), () => this.#clock.now() - this.#start, this.#form.queue, evicts)
    this.#store = this.#form.stored ? new CuttableStore() : null
  }

  async run(steps: readonly Step[]): Promise<WorldResult> {
    const start = this.#clock.now()
    await this.#serve()
    for (const step of steps) {
      await this.#take(step)
      await this.#clock.advance(step.wait)
    }
    await this.#finish()
    const { faults, overflowed, evicted, receipts } = this.#ledger
    const { deliveries, kept } = receipts
    return { faults, deliveries, kept, overflowed, evicted, time: this.#clock.now() - start }
  }

  async #serve(): Promise<void> {
    const note = (...data: unknown[]): void => void this.#errors.push(data.map(String).join(' '))
    const quiet = (): void => undefined
    const logger: Logger = { error: note, warn: quiet, info: quiet, debug: quiet }
    const broker = { ...this.#form.broker, ...(this.#store ? { store: this.#store } : {}) }
    const { clock, network, ledger, truth } = { clock: this.#clock, network: this.#network, ledger: this.#ledger, truth: this.#truth }
    this.#served = await clock.runUntil(serve({ clock, network, ledger, truth, logger, broker }))
  }

  async #take(step: Step): Promise<void> {
    switch (step.kind) {
      case 'connect': {
        const before = this.#clients[step.slot]
        if (before && !before.closed) return
        const { user, version, clean, lasting, window, clientId } = step
        const will = step.will && { ...step.will, payload: '', delay: version === 5 ? step.will.delay : 0 }
        this.#clients[step.slot] = this.#client({ version, clientId, userName: user, clean, expiry: lasting, receiveMaximum: window, will })
        return
      }
      case 'leave':
        this.#clients[step.slot]?.leave(step.ends ? 0 : -1)
        return
      case 'kill':
      case 'pause':
      case 'resume':
      case 'hold':
      case 'release':
        this.#clients[step.slot]?.[step.kind]()
        return
      case 'subscribe': {
        const { filter, qos, noLocal, asPublished, retainHandling } = step
        this.#clients[step.slot]?.subscribe({ filter, qos, noLocal, retainAsPublished: asPublished, retainHandling })
        return
      }
      case 'unsubscribe':
        this.#clients[step.slot]?.unsubscribe(step.filter)
        return
      case 'publish': {
        const { topic, qos, retain, empty, method, expiry, count } = step
        for (let at = 0; at < count; at++) this.#clients[step.slot]?.publish({ topic, qos, retain, method, expiry, responseTopic: '' }, empty)
        return
      }
      case 'ask':
        this.#clients[step.slot]?.ask('ask/0', step.response, step.qos)
        return
      case 'observe':
        this.#observers[step.place]?.close()
        this.#observers[step.place] = this.#observe(step.protocol, step.user, step.topic)
        return
      case 'unobserve':
        this.#observers[step.place]?.close()
        this.#observers[step.place] = undefined
        return
      case 'change':
        await this.#change(step.protocol, step.user, step.topic)
        return
      case 'share':
        this.#share(step.topic, step.qos, step.retain)
        return
      case 'restart':
        await this.#restart(step.crash)
        return
      case 'revoke':
        this.#revoke(step.user)
        return
      case 'readmit':
        // Not before the last CONNACK of the time before has come.
        if (this.#clock.now() - this.#start > (this.#ledger.revocations.get(step.user) ?? 0) + 1000) this.#truth.revoked.delete(step.user)
        return
      case 'forbid':
        this.#ledger.forbidden(step.user, step.topic)
        return
      case 'rest':
        await this.#rest()
    }
  }

  #client(form: ConstructorParameters<typeof MqttClient>[2]): MqttClient {
    return new MqttClient(this.#ledger, ++this.#streams, form, this.#network, this.#served.ports.mqtt)
  }

  #observe(protocol: 'http' | 'tcp' | 'coap', user: string, topic: string): Observer {
    const { ports } = this.#served
    if (protocol === 'http') return new HttpObserver(this.#ledger, user, topic, this.#network, ports.http)
    if (protocol === 'tcp') return new TcpObserver(this.#ledger, user, topic, this.#network, ports.tcp)
    return new CoapObserver(this.#ledger, user, topic, this.#network, ports.coap, ++this.#messageId)
  }

  /** Changes a state over a protocol other than MQTT. */
  async #change(protocol: 'http' | 'tcp', user: string, topic: string): Promise<void> {
    const { ports } = this.#served
    const allowed = this.#ledger.rights.mayWrite(user, topic)
    const body = topic.startsWith('s/') ? `@${this.#ledger.mint('state', topic, user, { allowed }).id}@` : 'x'
    const channel = await this.#clock.runUntil(this.#network.connect({ host: '127.0.0.1', port: ports[protocol] }))
    channel.open({ data: () => channel.end(), end: () => channel.end(), drain: () => undefined, close: () => undefined })
    const name = user === '' ? '' : `x-user: ${user}\r\n`
    if (protocol === 'http') {
      channel.write(`PUT /${topic} HTTP/1.1\r\nhost: localhost\r\n${name}content-type: text/plain\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
      return
    }
    const headers = user === '' ? {} : { 'iopa.Headers': { 'x-user': user } }
    const bag = { 'iopa.Method': 'PUT', 'iopa.Path': `/${topic}`, 'iopa.Body': body, 'iopa.ContentType': 'text/plain', ...headers }
    channel.write(`${JSON.stringify(bag)}\n`)
  }

  /** Publishes from inside the app. */
  #share(topic: string, qos: number, retain: boolean): void {
    const token = this.#ledger.mint('message', topic, '(app)', { qos, retain })
    if (qos > 0) this.#ledger.expect(token)
    const store = this.#store
    void this.#served.transport.publish(topic, `@${token.id}@`, { qos: qos as 0 | 1 | 2, retain }).then(
      () => {
        if (!store?.isCut) this.#ledger.published(token, 0, 5)
      },
      (error: unknown) => {
        token.refused = true
        if (!String(error).includes('not kept')) this.#ledger.fault(`@${token.id}@ of the app is refused: ${String(error)}`)
      }
    )
  }

  async #restart(crash: boolean): Promise<void> {
    const store = this.#store
    this.#ledger.restarting()
    if (crash) {
      // A process that is cut off sends nothing any more.
      store?.cut()
      for (const client of this.#clients) client?.kill()
    }
    for (const observer of this.#observers) observer?.close()
    await this.#clock.runUntil(this.#served.app.close({ timeout: 50 }))
    for (const client of this.#clients) client?.kill()
    this.#ledger.restarted(store !== null)
    if (store) this.#store = await this.#clock.runUntil(store.successor())
    await this.#clock.advance(20)
    await this.#serve()
  }

  /** All clients read and acknowledge, until nothing is under way: what must have arrived has. */
  async #rest(): Promise<void> {
    for (const client of this.#clients) {
      client?.resume()
      client?.release()
    }
    await this.#clock.advance(6000)
    this.#ledger.settle()
  }

  /** Ends an account, as an app does: first the account, and then what it has begun. */
  #revoke(user: string): void {
    this.#truth.revoked.add(user)
    this.#ledger.revoked(user)
    this.#served.app.revoke(user)
  }

  async #finish(): Promise<void> {
    const checks = new FinalChecks(this.#ledger, this.#truth, this.#clock, (user, clientId) =>
      this.#client({ version: 5, clientId, userName: user, clean: clientId.startsWith('final'), expiry: LASTING * 2, receiveMaximum: 60, will: null })
    )
    await checks.run(
      this.#clients.filter(client => client !== undefined),
      this.#observers.filter(observer => observer !== undefined),
      this.#truth.revoked
    )
    for (const client of this.#clients) client?.kill()
    for (const observer of this.#observers) observer?.close()
    await this.#clock.runUntil(this.#served.app.close({ timeout: 1000 }))
    if (this.#served.app.live !== 0) this.#ledger.fault(`${this.#served.app.live} contexts are alive after the end`)
    for (const error of this.#errors.filter(text => !/answered 503 busy|after the answer had been sent/.test(text)))
      this.#ledger.fault(`logged: ${error}`)
  }
}
