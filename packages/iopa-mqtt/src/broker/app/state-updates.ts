import type { Change, Host, SealedAnswer } from '@iopa/transport'
import { topicMatches } from '../../topics/topic.ts'
import { MqttEndpoint } from '../session/endpoint.ts'
import type { StateSource } from '../session/initial-messages.ts'
import { type Session, sessionOf } from '../session/session.ts'
import type { FanOuts } from '../topics/fan-outs.ts'
import type { Message } from '../topics/message.ts'
import type { RouteIndex } from '../topics/route-index.ts'
import { Recipient, type Recipients } from '../topics/subscription.ts'
import type { Topic, TopicTable } from '../topics/topic-table.ts'
import { TopicTree } from '../topics/topic-tree.ts'
import { sendState, stateMessage } from './representation.ts'
import type { TopicObservations } from './topic-observations.ts'

export interface StateUpdatesPorts {
  readonly host: Pick<Host, 'represent' | 'logger'>
  readonly topics: TopicTable
  readonly routes: RouteIndex
  readonly observations: TopicObservations
  readonly fanOuts: FanOuts
}

/** A state that is being sent to a session: changes while it is read only mark it, and it is read once more. */
interface Update {
  recipient: Recipient
  dirty: boolean
  /** True where a path without a route was state before. */
  wasState: boolean
  readonly sent: (() => void)[]
}

/** A change that is being passed on to many subscribers, in slices. */
interface Walk {
  /** Those that it visits: a session that subscribes later is in another list. */
  readonly list: readonly Recipient[]
  readonly publisher: Session | null
  readonly wasState: boolean
  begun: boolean
  /** Called when all subscribers have been visited. */
  readonly visited: (() => void)[]
}

/** Sends subscribers the states that have changed, by any protocol (design: observation, MQTT rulings d and e). */
export class StateUpdates implements StateSource<Session> {
  readonly #ports: StateUpdatesPorts
  readonly #topics: TopicTable
  readonly #changed = new ChangedTopics(CHANGED)
  /** By topic, so that a change costs nothing for the updates of others. */
  readonly #updates = new Map<string, Map<Session, Update>>()
  readonly #walks = new Map<string, Walk[]>()
  /** Topic of the PUBLISH whose handler began last: its change is the most likely one. */
  recent: Topic | null = null

  constructor(ports: StateUpdatesPorts) {
    this.#ports = ports
    this.#topics = ports.topics
  }

  /** A path of the app has changed. */
  readonly changed = ({ path, origin }: Change): void => {
    const topic = this.#topicOf(path)
    if (topic?.answersGet === true) this.#announce(topic, origin)
    // Without a GET route, the code that handles the PUBLISH forwards its payload.
    else if (topic !== null && (publisherOf(origin) === null || !isChangeOf(origin, path)))
      this.refresh(topic, sessionBehind(origin), origin === null && this.#ports.routes.hadGet(topic.path))
    // Middleware has rewritten the path: subscribers read the state under the name that was asked for, too.
    if (origin === null || origin.requestedPath === path || !isChangeOf(origin, path)) return
    const asked = this.#topicOf(origin.requestedPath)
    // Whether a topic answers GET that is published to is found out by the code that handles the PUBLISH.
    if (asked !== null && (asked.answersGet || (publisherOf(origin) === null && topic?.answersGet === true))) this.#announce(asked, origin)
  }

  /** Marks a topic as state that has changed, for subscriptions with wildcards. */
  add(topic: Topic): void {
    this.#changed.add(topic.name)
  }

  /**
   * Sends the state to all subscribers but those that the core notifies; `publisher` is the session that changed it. `wasState` says that the
   * route of the path was removed, so that its state is gone where no other route answers.
   */
  refresh(topic: Topic, publisher: Session | null, wasState = false): void {
    const recipients = this.#topics.recipients(topic)
    if (!recipients.empty) this.#refreshAll(topic, recipients, publisher, wasState)
  }

  #refreshAll(topic: Topic, { list, groups }: Recipients, publisher: Session | null, wasState = false): void {
    const visit = (index: number): void => {
      const recipient = list[index]
      if (recipient === undefined) {
        groups[index - list.length]?.choose(topic, member => {
          if (member) this.#update(sessionOf(member.session), topic, new Recipient([member]), wasState)
        })
        return
      }
      const target = recipient.session === publisher ? recipient.own : recipient
      if (target !== null) this.#refresh(topic, target, wasState)
    }
    const length = list.length + groups.length
    if (length > SHORT) this.#walk(topic, { list, publisher, wasState, begun: false, visited: [] }, length, visit)
    else for (let index = 0; index < length; index++) visit(index)
  }

  /** Visits many subscribers in slices. A change that comes before the first visit needs no walk of its own: states are read after it. */
  #walk(topic: Topic, walk: Walk, length: number, visit: (index: number) => void): void {
    const { list, publisher, wasState } = walk
    let walks = this.#walks.get(topic.name)
    if (walks?.some(one => !one.begun && one.list === list && one.publisher === publisher && one.wasState === wasState)) return
    if (!walks) this.#walks.set(topic.name, (walks = []))
    walks.push(walk)
    const begin = (index: number): void => {
      walk.begun = true
      visit(index)
    }
    this.#ports.fanOuts.add(topic.name, length, 0, begin, () => {
      // Walks of one topic end in the order in which they began.
      walks.shift()
      if (walks.length === 0) this.#walks.delete(topic.name)
      for (const visited of walk.visited) visited()
    })
  }

  /** The answer to a GET of a topic in the name of a session; null if it failed. */
  get(session: Session, topic: Topic): Promise<SealedAnswer | null> {
    const { host } = this.#ports
    return host.represent(topic.path, session.context).catch((error: unknown) => {
      host.logger.error(`iopa: ${topic.path} could not be read for an MQTT client`, error)
      return null
    })
  }

  read(session: Session, topic: Topic, done: (message: Message | null) => void): void {
    void this.get(session, topic).then(answer => {
      if (!answer?.ok || session.ended) {
        if (answer?.status === 404 || answer?.status === 410) this.#changed.delete(topic.name)
        done(null)
      } else done(stateMessage(topic, answer))
    })
  }

  /** Routes whose paths are known come first, then topics that have changed since the start. */
  *topics(filter: string): Generator<string | null, void, undefined> {
    const fixed = new Set<string>()
    let looked = 0
    for (const path of this.#ports.routes.statePaths()) {
      const topic = path.slice(1)
      if (topic === '' || fixed.has(topic) || !topicMatches(filter, topic)) {
        if (++looked % LOOKS === 0) yield null
        continue
      }
      fixed.add(topic)
      yield topic
    }
    for (const topic of this.#changed.match(filter)) yield topic === null || fixed.has(topic) ? null : topic
  }

  /** Calls back when every stored session has the last change of this topic in its queue. */
  whenQueued(topic: Topic, done: () => void): void {
    let open = 1
    const settle = (): void => {
      if (--open === 0) done()
    }
    const awaitUpdates = (): void => {
      for (const [session, update] of this.#updates.get(topic.name) ?? []) {
        if (!session.stored) continue
        open++
        update.sent.push(settle)
      }
      settle()
    }
    const last = this.#walks.get(topic.name)?.at(-1)
    if (last) last.visited.push(awaitUpdates)
    else awaitUpdates()
  }

  #topicOf(path: string): Topic | null {
    const { recent } = this
    if (recent === null || recent.path !== path) return this.#topics.ofPath(path)
    return recent.routable ? recent : null
  }

  #announce(topic: Topic, origin: Change['origin']): void {
    this.#changed.add(topic.name)
    const recipients = this.#topics.recipients(topic)
    if (!recipients.empty) this.#refreshAll(topic, recipients, sessionBehind(origin))
  }

  #refresh(topic: Topic, recipient: Recipient, wasState: boolean): void {
    const session = sessionOf(recipient.session)
    const observed = session.observed?.get(topic.name)
    if (observed && !session.stored) return
    const exact = session.subscriptions.get(topic.name)
    if (observed || !exact || exact.noLocal) this.#update(session, topic, recipient, wasState)
    else this.#ports.observations.observe(session, topic, answer => sendState(session, topic, answer, recipient, wasState))
  }

  /** Reads the state for a session and sends it; if it changes meanwhile, it is read once more. */
  #update(session: Session, topic: Topic, recipient: Recipient, wasState: boolean): void {
    let updates = this.#updates.get(topic.name)
    if (!updates) this.#updates.set(topic.name, (updates = new Map()))
    const running = updates.get(session)
    if (running) {
      running.dirty = true
      running.wasState = wasState
      running.recipient = recipient
      return
    }
    const update: Update = { recipient, dirty: false, wasState, sent: [] }
    updates.set(session, update)
    this.#run(session, topic, update)
  }

  #run(session: Session, topic: Topic, update: Update): void {
    const asked = session.authorization.ask(topic, allowed => {
      if (!allowed || session.ended) {
        this.#finish(session, topic, update)
        return
      }
      update.dirty = false
      void this.get(session, topic).then(answer => {
        if (answer) sendState(session, topic, answer, update.recipient, update.wasState)
        if (update.dirty && !session.ended) this.#run(session, topic, update)
        else this.#finish(session, topic, update)
      })
    })
    if (!asked) this.#finish(session, topic, update)
  }

  #finish(session: Session, topic: Topic, update: Update): void {
    const updates = this.#updates.get(topic.name)
    updates?.delete(session)
    if (updates?.size === 0) this.#updates.delete(topic.name)
    for (const sent of update.sent) sent()
  }
}

/** True if the change is that of the request itself and not of a path that its handler named. */
const isChangeOf = (origin: Change['origin'], path: string): boolean =>
  origin !== null && (origin.response.resource === path || origin['iopa.PathBase'] + origin['iopa.Path'] === path)

/** The client that asked for a change; null for a change by another protocol, or by the app. */
const publisherOf = (origin: Change['origin']): MqttEndpoint | null => (origin?.endpoint instanceof MqttEndpoint ? origin.endpoint : null)

const sessionBehind = (origin: Change['origin']): Session | null => publisherOf(origin)?.session ?? null

/** Most subscribers that are visited at once. */
const SHORT = 512
/** Paths that one piece of a search looks at. */
const LOOKS = 64
/** Changed topics that are remembered. */
const CHANGED = 10_000

/** Topics of the states that have changed since the start; beyond the bound the oldest are forgotten. */
class ChangedTopics {
  readonly #tree = new TopicTree<string>()
  readonly #order = new Set<string>()
  readonly #max: number

  constructor(max: number) {
    this.#max = max
  }

  add(topic: string): void {
    if (this.#order.has(topic)) return
    if (this.#order.size >= this.#max) this.delete(this.#order.values().next().value as string)
    this.#order.add(topic)
    this.#tree.set(topic, topic)
  }

  delete(topic: string): void {
    if (this.#order.delete(topic)) this.#tree.delete(topic)
  }

  match(filter: string): Generator<string | null, void, undefined> {
    return this.#tree.match(filter)
  }
}
