import type { Clock, IopaError, SealedAnswer } from '@iopa/transport'
import { Backoff } from '@iopa/transport'
import type { Losses } from '../broker/operation/statistics.ts'
import type { RemoteBroker } from '../remote/broker.ts'
import type { InboundMessage } from '../remote/message.ts'
import { pause } from '../remote/waiting.ts'
import { isTopicName } from '../topics/topic.ts'

/** What `DeadLetters` needs. */
export interface DeadLettersOptions {
  /** A prefix for the topics of dead letters, a function of a message's topic, or false for none. */
  readonly topics: string | false | ((topic: string) => string)
  /** True for the topics that the worker subscribes to. */
  readonly isOurs: (topic: string) => boolean
  readonly broker: RemoteBroker
  readonly clock: Clock
  readonly losses: Losses
  readonly attempts: number
  /** Milliseconds. */
  readonly retry: { readonly initial: number; readonly maximum: number }
}

/** Where messages go that failed for good: each to the dead-letter topic of its topic. */
export class DeadLetters {
  readonly #options: DeadLettersOptions

  constructor(options: DeadLettersOptions) {
    this.#options = options
  }

  /** True for a topic that holds dead letters: what is there is not a command, whatever filter it matches. */
  includes(topic: string): boolean {
    const { topics } = this.#options
    return typeof topics === 'string' && topic.startsWith(`${topics}/`)
  }

  /**
   * Publishes the message to its dead-letter topic. Where that fails for good it is logged, for it would block all others. Resolves with true
   * when the message may be acknowledged, with false when `stopping` aborts before.
   */
  async publish(message: InboundMessage, answer: SealedAnswer, attempts: number, stopping: AbortSignal): Promise<boolean> {
    const { broker, clock, losses, retry } = this.#options
    const topic = this.#topicOf(message.topic)
    const drop = (because = ''): true => {
      const why = `${answer.status} ${answer.error?.code ?? answer.reason} after ${attempts} attempt${attempts === 1 ? '' : 's'}`
      losses.note('a message failed for good and is dropped', `${message.topic} (${why})${because}`)
      return true
    }
    if (topic === null) return drop()
    const userProperties = {
      ...message.properties.userProperties,
      status: String(answer.status),
      reason: answer.error?.detail || answer.reason,
      attempts: String(attempts),
      'original-topic': message.topic
    }
    const letter = { topic, payload: message.payload, qos: 1, properties: { ...publishable(message.properties), userProperties } } as const
    const backoff = new Backoff(retry)
    for (let attempt = 1; ; attempt++) {
      try {
        const receipt = await broker.publish(letter, stopping)
        if (receipt.reasonCode < 0x80) return true
        if (attempt >= this.#options.attempts) return drop(`: the broker refuses ${topic} (0x${receipt.reasonCode.toString(16)})`)
      } catch (error) {
        if (stopping.aborted) return false
        if ((error as IopaError).status === 413) return drop(': with its reason it is too large for the broker')
      }
      if (!(await pause(backoff.next(), clock, stopping))) return false
    }
  }

  #topicOf(topic: string): string | null {
    const { topics, isOurs } = this.#options
    if (topics === false) return null
    if (typeof topics === 'string') return `${topics}/${topic}`
    const dead = topics(topic)
    // There it would come back as a command, and fail again.
    return isTopicName(dead) && !isOurs(dead) ? dead : null
  }
}

/** The properties that a publisher may set again (those about our own subscriptions may not). */
const publishable = ({ contentType, correlationData, payloadFormatIndicator }: InboundMessage['properties']): InboundMessage['properties'] => ({
  ...(contentType === undefined ? {} : { contentType }),
  ...(correlationData === undefined ? {} : { correlationData }),
  ...(payloadFormatIndicator === undefined ? {} : { payloadFormatIndicator })
})
