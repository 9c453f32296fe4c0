import { REASON } from '../../codec/reason-codes.ts'
import { isTopicFilter, isTopicName } from '../../topics/topic.ts'
import type { ClientEvents } from '../operation/client-events.ts'
import type { Operation } from '../operation/operation.ts'
import type { Delivery } from '../session/delivery-queue.ts'
import { type Session, sessionOf } from '../session/session.ts'
import type { Sessions } from '../session/sessions.ts'
import { Message } from '../topics/message.ts'
import type { RetainedMessages } from '../topics/retained-messages.ts'
import { SharedGroup, type Subscription } from '../topics/subscription.ts'
import type { SubscriptionTable } from '../topics/subscription-table.ts'
import type { Figures } from '../topics/system-topics.ts'
import type { TopicTable } from '../topics/topic-table.ts'
import { sessionKeyOf, sessionName } from './names.ts'
import { Page, type PageOf } from './page.ts'
import { statisticsView } from './statistics-view.ts'
import { deliveryView, eventView, messageView, recipientView, sessionView, subscriptionView } from './views.ts'

type View = Record<string, unknown>

/** The parts of a broker that an administrator reads and changes. */
export interface AdministrationPorts {
  readonly operation: Pick<Operation, 'clock' | 'turns' | 'batches' | 'journal' | 'statistics' | 'events'>
  readonly sessions: Sessions
  readonly subscriptions: SubscriptionTable
  readonly topics: TopicTable
  readonly retained: RetainedMessages
  /** What is counted when it is asked for. */
  readonly count: () => Figures
}

/** Bytes of payloads on one page. */
const PAYLOADS = 256 * 1024
/** Items that one unit of work looks at. */
const LOOKS = 16

/** What an administrator may see of a broker and do with it. */
export class Administration {
  readonly #ports: AdministrationPorts
  readonly #startedAt: number

  constructor(ports: AdministrationPorts) {
    this.#ports = ports
    this.#startedAt = ports.operation.clock.elapsed()
  }

  get clientEvents(): ClientEvents {
    return this.#ports.operation.events
  }

  /** The sessions, the oldest first. */
  async list(after: string, limit: number): Promise<PageOf<View>> {
    const page = new Page<Session>(after, limit)
    await this.#each(this.#ports.sessions, session => page.offer(placeOf(session), session))
    return page.result(session => sessionView(session, this.#ports.operation.clock))
  }

  /** The session of this name (see `sessionName`). */
  async find(name: string): Promise<Session | undefined> {
    const { sessions } = this.#ports
    const key = sessionKeyOf(name)
    if (key === null) return undefined
    if (key !== undefined) return sessions.get(key)
    let found: Session | undefined
    await this.#each(sessions, session => {
      if (sessionName(session.user, session.clientId) === name) found = session
    })
    return found?.ended === true ? undefined : found
  }

  view(session: Session): View {
    return sessionView(session, this.#ports.operation.clock)
  }

  /** Ends the connection of a session; false if it has none. */
  kick({ connection, claim }: Session): boolean {
    const kicked = connection ?? claim
    this.#ports.operation.batches.batch(() => kicked?.disconnect(REASON.ADMINISTRATIVE_ACTION, 'an administrator has ended this connection'))
    return kicked !== null
  }

  /** Ends a session with its subscriptions and what waits for it. */
  end(session: Session): void {
    const { sessions, operation } = this.#ports
    operation.batches.batch(() => sessions.endNow(session, 'session-ended', REASON.ADMINISTRATIVE_ACTION, 'an administrator has ended this session'))
  }

  /** What is under way to a client and what waits for it, in this order, from a place on. */
  queue({ outgoing }: Session, from: number, limit: number, payload: boolean): PageOf<View> {
    const { clock } = this.#ports.operation
    const inflight = from < outgoing.inflight.size ? [...outgoing.inflight.values()].slice(from, from + limit) : []
    const start = Math.max(0, from - outgoing.inflight.size)
    const waiting = outgoing.queue.first(start + limit - inflight.length).slice(start)
    const items: View[] = []
    let bytes = 0
    for (const delivery of [...inflight, ...waiting] as Delivery[]) {
      if (payload && bytes > PAYLOADS) break
      bytes += delivery.message.size
      items.push(deliveryView(delivery, clock, payload))
    }
    const next = from + items.length
    return next < outgoing.waiting ? { items, next: String(next) } : { items }
  }

  /** The subscriptions of a session, by filter. */
  async subscriptionsOf(session: Session, after: string, limit: number): Promise<PageOf<View>> {
    const page = new Page<Subscription>(after, limit)
    await this.#each(session.subscriptions.values(), subscription => page.offer(subscription.filter, subscription))
    return page.result(subscriptionView)
  }

  /** The subscriptions that match a topic, by session; null for what is no topic. */
  subscriptionsTo(topic: string, after: string, limit: number): PageOf<View> | null {
    if (!isTopicName(topic)) return null
    const page = new Page<Subscription>(after, limit)
    const offer = (subscription: Subscription): void => page.offer(`${placeOf(sessionOf(subscription.session))} ${subscription.filter}`, subscription)
    this.#ports.subscriptions.trie.match(topic, subscribed => {
      if (subscribed instanceof SharedGroup) for (const member of subscribed.members) offer(member)
      else offer(subscribed)
    })
    return page.result(recipientView)
  }

  /** The retained messages of a filter, by topic; null for what is no filter. */
  async retainedOf(filter: string, after: string, limit: number): Promise<PageOf<View> | null> {
    if (!isTopicFilter(filter)) return null
    const { retained, operation } = this.#ports
    const { clock } = operation
    const page = new Page<Message>(after, limit)
    const matching = retained.match(filter, () => clock.elapsed())
    await this.#each(matching, message => message !== null && page.offer(message.topic, message))
    return page.result(message => messageView(message, clock, false))
  }

  /** One retained message. */
  retained(topic: string, payload: boolean): View | null {
    const { retained, operation } = this.#ports
    const message = retained.get(topic, operation.clock.elapsed())
    return message === undefined ? null : messageView(message, operation.clock, payload)
  }

  /** Deletes a retained message; resolves with false if the store fails. Subscribers get no message of it. */
  deleteRetained(name: string): Promise<boolean> {
    const { topics, retained, operation } = this.#ports
    const { journal } = operation
    const topic = topics.get(name)
    if (topic !== null) retained.publish(Message.of(topic, { payload: Buffer.alloc(0), qos: 0, retain: true }))
    return journal.active ? new Promise(resolve => journal.kept(resolve)) : Promise.resolve(true)
  }

  statistics(): View {
    const { operation, retained, count } = this.#ports
    return statisticsView(operation.statistics, count(), retained, Math.round((operation.clock.elapsed() - this.#startedAt) / 1000))
  }

  /** The last events of clients, or those after one. */
  events(after: number | undefined, limit: number): View {
    const { events } = this.#ports.operation
    return { last: events.last, events: events.after(after, limit).map(eventView) }
  }

  /** Looks at many items, a bounded number per turn of the event loop. */
  async #each<Item>(items: Iterable<Item>, look: (item: Item) => unknown): Promise<void> {
    const { turns } = this.#ports.operation
    let looks = 0
    for (const item of items) {
      look(item)
      if (++looks % LOOKS === 0 && !turns.take()) await new Promise<void>(resolve => turns.wait(resolve))
    }
  }
}

/** The place of a session among all, as text in the same order. */
const placeOf = ({ serial }: Session): string => serial.toString(36).padStart(9, '0')
