import { ProtocolError } from '../../codec/protocol-error.ts'
import type { PublishFields } from '../../codec/publish-decoder.ts'
import { REASON } from '../../codec/reason-codes.ts'
import { isMqttString } from '../../codec/utf8.ts'
import { isCanonicalTopic, isTopicName, levelCount, pathOf } from '../../topics/topic.ts'
import type { TopicView } from '../ports.ts'
import type { RouteIndex } from './route-index.ts'
import { Recipients, type Subscribed } from './subscription.ts'
import type { SubscriptionTrie } from './subscription-trie.ts'

/** A topic name, the routes of its path, and its recipients. */
export class Topic implements TopicView {
  readonly name: string
  readonly bytes: Buffer
  readonly path: string
  /** True if a route may have the path; other topics are plain pub/sub. */
  readonly routable: boolean
  recipients: Recipients | null = null
  version = -1
  readonly #routes: RouteIndex
  #routesVersion = -1
  #isState = false
  #hasRoute = false
  #isGuarded = false
  #answersGet = false

  constructor(name: string, bytes: Buffer, routes: RouteIndex) {
    this.name = name
    this.bytes = bytes
    this.path = pathOf(name)
    this.routable = isCanonicalTopic(name)
    this.#routes = routes
  }

  /** True when a GET route covers the path: then it is state. */
  get isState(): boolean {
    this.#follow()
    return this.#isState
  }

  /** True when any route covers the path. */
  get hasRoute(): boolean {
    this.#follow()
    return this.#hasRoute
  }

  /** True when each route of the path has a guard of its own. */
  get isGuarded(): boolean {
    this.#follow()
    return this.#isGuarded
  }

  /** As `isState`; it becomes true once a GET has answered although the app's resources are not routes. */
  get answersGet(): boolean {
    this.#follow()
    return this.#answersGet
  }

  set answersGet(answers: boolean) {
    this.#answersGet = answers
  }

  /** A topic outlasts routes: it is kept by aliases, and in the table. */
  #follow(): void {
    const routes = this.#routes
    const { version } = routes
    if (version === this.#routesVersion) return
    this.#routesVersion = version
    const { path, routable } = this
    this.#isState = routable && routes.hasGet(path)
    this.#answersGet = this.#isState
    this.#hasRoute = this.#isState || (routable && routes.hasAny(path))
    this.#isGuarded = this.#hasRoute && routes.isGuarded(path)
  }
}

const SLOTS = 4096
/** Recipients that all topics together may remember. */
const REMEMBERED = 200_000

/**
 * Topics by their bytes. The topic of a message is looked up without making a string: the slot of a hash keeps the topic that was last
 * seen there, with its recipients. A topic that was replaced in its slot is made again when it is needed.
 */
export class TopicTable {
  readonly #slots: (Topic | undefined)[] = new Array(SLOTS)
  readonly #trie: SubscriptionTrie<object, Subscribed>
  readonly #routes: RouteIndex
  readonly #maxLevels: number
  readonly #maxLength: number
  #remembered = 0

  constructor(trie: SubscriptionTrie<object, Subscribed>, routes: RouteIndex, maxLevels: number, maxLength: number) {
    this.#trie = trie
    this.#routes = routes
    this.#maxLevels = maxLevels
    this.#maxLength = maxLength
  }

  /** The topic in these bytes; null if they are not a topic name or exceed the limits. */
  find(bytes: Buffer, start: number, end: number): Topic | null {
    const slot = slotOf(bytes, start, end)
    const known = this.#slots[slot]
    if (known && sameBytes(known.bytes, bytes, start, end)) return known
    if (end - start > this.#maxLength || !isMqttString(bytes, start, end)) return null
    return this.#make(slot, bytes.toString('utf8', start, end), Buffer.from(bytes.subarray(start, end)))
  }

  /** The topic of a path that a route may have; null for any other path. */
  ofPath(path: string): Topic | null {
    const topic = path.length > 1 ? this.get(path.slice(1)) : null
    return topic?.routable === true ? topic : null
  }

  /** The topic of a name; null if it is not a topic name or exceeds the limits. */
  get(name: string): Topic | null {
    if (!name.isWellFormed()) return null
    const bytes = Buffer.from(name)
    const slot = slotOf(bytes, 0, bytes.length)
    const known = this.#slots[slot]
    if (known && known.name === name) return known
    return bytes.length > this.#maxLength || !isMqttString(bytes, 0, bytes.length) ? null : this.#make(slot, name, bytes)
  }

  /** Changes whenever the recipients of a topic may have changed. */
  get version(): number {
    return this.#trie.version
  }

  /** The recipients of its messages, as the subscriptions are now. */
  recipients(topic: Topic): Recipients {
    const version = this.#trie.version
    if (topic.recipients !== null && topic.version === version) return topic.recipients
    if (this.#remembered > REMEMBERED) this.#forget()
    const recipients = new Recipients(visit => this.#trie.match(topic.name, visit))
    this.#remembered += recipients.list.length
    topic.recipients = recipients
    topic.version = version
    return recipients
  }

  #make(slot: number, name: string, bytes: Buffer): Topic | null {
    if (!isTopicName(name) || levelCount(name) > this.#maxLevels) return null
    const topic = new Topic(name, bytes, this.#routes)
    this.#slots[slot] = topic
    return topic
  }

  #forget(): void {
    this.#slots.fill(undefined)
    this.#remembered = 0
  }
}

function slotOf(bytes: Buffer, start: number, end: number): number {
  let hash = end - start
  for (let at = start; at < end; at++) hash = (Math.imul(hash, 31) + (bytes[at] as number)) | 0
  return (hash ^ (hash >>> 15)) & (SLOTS - 1)
}

/** True when a part of some bytes is the same as these. */
function sameBytes(known: Buffer, bytes: Buffer, start: number, end: number): boolean {
  const length = end - start
  if (known.length !== length) return false
  for (let at = 0; at < length; at++) if (known[at] !== bytes[start + at]) return false
  return true
}

/** The topics that one connection publishes to, and their aliases (MQTT 5 section 3.3.2.3.4). */
export class TopicAliases {
  readonly #topics: TopicTable
  readonly #maximum: number
  #aliases: (Topic | undefined)[] | null = null
  #last: Topic | null = null

  /** `maximum` is the Topic Alias Maximum of the server. */
  constructor(topics: TopicTable, maximum: number) {
    this.#topics = topics
    this.#maximum = maximum
  }

  /** The topic of a PUBLISH; null for one with wildcards or beyond the limits. */
  topicOf(bytes: Buffer, fields: PublishFields): Topic | null {
    const { topicStart, topicEnd, topicAlias } = fields
    if (topicAlias > 0) return this.#aliased(bytes, fields)
    if (topicStart === topicEnd) throw new ProtocolError(REASON.PROTOCOL_ERROR, 'a PUBLISH has neither topic nor alias')
    const last = this.#last
    if (last !== null && sameBytes(last.bytes, bytes, topicStart, topicEnd)) return last
    const topic = this.#topics.find(bytes, topicStart, topicEnd)
    this.#last = topic
    return topic
  }

  #aliased(bytes: Buffer, { topicStart, topicEnd, topicAlias }: PublishFields): Topic | null {
    if (topicAlias > this.#maximum) throw new ProtocolError(REASON.TOPIC_ALIAS_INVALID, 'the topic alias is above the maximum')
    this.#aliases ??= []
    if (topicStart === topicEnd) {
      const topic = this.#aliases[topicAlias]
      if (!topic) throw new ProtocolError(REASON.PROTOCOL_ERROR, 'the topic alias was not set')
      return topic
    }
    const topic = this.#topics.find(bytes, topicStart, topicEnd)
    this.#aliases[topicAlias] = topic ?? undefined
    return topic
  }
}
