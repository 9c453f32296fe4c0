import { type Clock, type Host, IopaError } from '@iopa/transport'
import type { SubscribeRequest } from '../codec/client-encoder.ts'
import type { Connection } from '../remote/connection.ts'
import { deferred, within } from '../remote/waiting.ts'
import { parseSharedFilter } from '../topics/topic.ts'
import { catchesState, requestsOf, type SubscriptionGroup, type SubscriptionPlan } from './subscriptions.ts'

/** What a `Subscriber` needs. */
export interface SubscriberOptions {
  readonly plan: SubscriptionPlan
  readonly statePrefix: string | false
  /** The group of workers, or null for none. */
  readonly share: string | null
  readonly clock: Clock
  readonly logger: Host['logger']
}

/** Milliseconds to wait for a message that we send to ourselves through a shared subscription. */
const PROBE_TIMEOUT = 1000
/** MQTT 5 section 3.9.3. */
const SHARED_NOT_SUPPORTED = 0x9e

/**
 * Subscribes each new connection to the plan. Whether a broker has shared subscriptions it says itself in MQTT 5; in MQTT 3.1.1 some have
 * them, some take `$share/...` for the name of a topic and would never send anything, so that is found out with a message to ourselves.
 */
export class Subscriber {
  readonly #options: SubscriberOptions
  /** Null until it is known. */
  #shared: boolean | null = null
  #probe: { topic: string; seen: () => void } | null = null

  constructor(options: SubscriberOptions) {
    this.#options = options
  }

  /** Takes the message that tells whether subscriptions are shared; false for any other. */
  takes(topic: string): boolean {
    if (topic !== this.#probe?.topic) return false
    this.#probe.seen()
    return true
  }

  /** @throws IopaError 403 when the broker refuses a filter */
  async subscribe(connection: Connection): Promise<void> {
    const { plan, share } = this.#options
    if (share !== null && this.#shared === null) this.#decide(connection.capabilities.shared ?? (await this.#probed(connection)))
    for (const group of plan.commands) {
      const shared = this.#shareOf(group, connection)
      const refused = await this.#request(connection, requestsOf(group, shared, 'never'), group.identifier)
      if (refused) {
        this.#decide(false)
        await this.#request(connection, requestsOf(group, null, 'never'), group.identifier)
      }
    }
    if (plan.state) await this.#request(connection, requestsOf(plan.state, null, 'new'), plan.state.identifier)
  }

  /** Leaves the group, so that its other members get what has not been sent yet. */
  async leave(connection: Connection): Promise<void> {
    const shared = this.#options.plan.commands.flatMap(group => {
      const share = this.#shareOf(group, connection)
      return share === null ? [] : requestsOf(group, share, 'never').map(({ filter }) => filter)
    })
    if (shared.length > 0) await connection.unsubscribe(shared)
  }

  #decide(shared: boolean): void {
    this.#shared = shared
    if (!shared) this.#options.logger.warn('iopa: the broker has no shared subscriptions, so every worker gets every command')
  }

  /** The group to share filters in, or null: where messages do not say how they came, a shared one must not be taken for a state message. */
  #shareOf({ filters }: SubscriptionGroup, { capabilities }: Connection): string | null {
    if (!this.#shared || (!capabilities.subscriptionIdentifiers && filters.some(filter => catchesState(filter, this.#options.statePrefix))))
      return null
    return this.#options.share
  }

  /** True when the broker says that it has no shared subscriptions. */
  async #request(connection: Connection, requests: readonly SubscribeRequest[], identifier: number): Promise<boolean> {
    const codes = await connection.subscribe(requests, identifier)
    if (codes.includes(SHARED_NOT_SUPPORTED)) return true
    for (const [index, code] of codes.entries()) {
      const filter = requests[index]?.filter ?? ''
      // MQTT 3.1.1 has one code for every refusal.
      if (code >= 0x80 && parseSharedFilter(filter) && connection.capabilities.protocolVersion === 4) return true
      if (code >= 0x80) {
        throw new IopaError(
          403,
          'subscription-refused',
          `The broker refuses a subscription to ${filter} (0x${code.toString(16)}): let this client subscribe to it.`
        )
      }
      if (code === 0) this.#options.logger.warn(`iopa: the broker grants ${filter} with QoS 0 only: messages are lost when the connection is`)
    }
    return false
  }

  async #probed(connection: Connection): Promise<boolean> {
    const topic = `iopa/probe/${connection.clientId.replace(/[/+#]/g, '-')}`
    const filter = `$share/probe-${crypto.randomUUID()}/${topic}`
    const seen = deferred<void>()
    let arrived = false
    this.#probe = {
      topic,
      seen: () => {
        arrived = true
        seen.resolve()
      }
    }
    try {
      const [code = 0x80] = await connection.subscribe([{ filter, qos: 0 }])
      if (code >= 0x80) return false
      await connection.publish({ topic, payload: new Uint8Array(0), qos: 0 })
      await within(PROBE_TIMEOUT, this.#options.clock, seen.promise)
      await connection.unsubscribe([filter])
      return arrived
    } finally {
      this.#probe = null
    }
  }
}
