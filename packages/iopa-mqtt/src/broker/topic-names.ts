import { ProtocolError } from '../codec/protocol-error.ts'
import type { PublishFields } from '../codec/publish-decoder.ts'
import { REASON } from '../codec/reason-codes.ts'
import type { Broker } from './broker.ts'
import { sameBytes, type Topic } from './topic-table.ts'

/** The topics that one connection names, and their aliases (MQTT 5 section 3.3.2.3.4). */
export class TopicNames {
  readonly #broker: Broker
  #aliases: (Topic | undefined)[] | null = null
  #lastTopic: Topic | null = null

  constructor(broker: Broker) {
    this.#broker = broker
  }

  /** The topic of a PUBLISH; null for one with wildcards or beyond the limits. */
  topicOf(bytes: Buffer, fields: PublishFields): Topic | null {
    const { topicStart, topicEnd, topicAlias } = fields
    if (topicAlias > 0) return this.#aliased(bytes, fields)
    if (topicStart === topicEnd) throw new ProtocolError(REASON.PROTOCOL_ERROR, 'a PUBLISH has neither topic nor alias')
    const last = this.#lastTopic
    if (last !== null && sameBytes(last.bytes, bytes, topicStart, topicEnd)) return last
    const topic = this.#broker.topics.find(bytes, topicStart, topicEnd)
    this.#lastTopic = topic
    return topic
  }

  #aliased(bytes: Buffer, { topicStart, topicEnd, topicAlias }: PublishFields): Topic | null {
    const broker = this.#broker
    if (topicAlias > broker.options.topicAliasMaximum) throw new ProtocolError(REASON.TOPIC_ALIAS_INVALID, 'the topic alias is above the maximum')
    this.#aliases ??= []
    if (topicStart === topicEnd) {
      const topic = this.#aliases[topicAlias]
      if (!topic) throw new ProtocolError(REASON.PROTOCOL_ERROR, 'the topic alias was not set')
      return topic
    }
    const topic = broker.topics.find(bytes, topicStart, topicEnd)
    this.#aliases[topicAlias] = topic ?? undefined
    return topic
  }
}
