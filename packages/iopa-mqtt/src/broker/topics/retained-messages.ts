import { APP, Quota } from '../operation/quota.ts'
import type { Message } from './message.ts'
import { TopicTree } from './topic-tree.ts'

/** Messages that one sweep looks at. */
const SWEPT = 2000

/** The newest retained message of each topic, bounded in number and bytes, of which each account has its share (MQTT 5 section 3.3.1.3). */
export class RetainedMessages {
  readonly #tree = new TopicTree<Message>()
  readonly #count: Quota
  readonly #bytes: Quota
  /** Where the search for expired messages stands. */
  #sweeping: Iterator<Message | null, void> | null = null

  /** `limitOf` is what an account may have of either, whatever its share is. */
  constructor(
    maxCount: number,
    maxBytes: number,
    limitOf: (account: string, of: 'retained' | 'retainedBytes') => number = () => Number.POSITIVE_INFINITY
  ) {
    this.#count = new Quota(maxCount, undefined, account => limitOf(account, 'retained'))
    this.#bytes = new Quota(maxBytes, undefined, account => limitOf(account, 'retainedBytes'))
  }

  get size(): number {
    return this.#tree.size
  }

  get bytes(): number {
    return this.#bytes.used
  }

  get(topic: string, now: number): Message | undefined {
    const message = this.#tree.get(topic)
    if (!message?.isExpired(now)) return message
    this.delete(topic)
    return undefined
  }

  /** Keeps the message in place of the one before; false when there is no room for it, and the one before stays. */
  set(message: Message): boolean {
    const before = this.#tree.get(message.topic)
    const { account, size } = message
    const more = size - (before?.size ?? 0)
    if (!before && !this.#count.allows(account, 1)) return false
    if (more > 0 && !this.#bytes.allows(account, more)) return false
    this.#put(message, before)
    return true
  }

  /** Takes back a message that a store kept, whatever the share of its account is by now; false when there is no room at all. */
  restore(message: Message): boolean {
    if (!this.#count.allows(APP, 1) || !this.#bytes.allows(APP, message.size)) return false
    this.#put(message, this.#tree.get(message.topic))
    return true
  }

  #put(message: Message, before: Message | undefined): void {
    if (before) this.#release(before)
    this.#tree.set(message.topic, message.detach())
    this.#count.add(message.account, 1)
    this.#bytes.add(message.account, message.size)
  }

  delete(topic: string): boolean {
    const before = this.#tree.delete(topic)
    if (!before) return false
    this.#release(before)
    return true
  }

  #release({ account, size }: Message): void {
    this.#count.add(account, -1)
    this.#bytes.add(account, -size)
  }

  /** The messages that a filter matches, found one after another as they are asked for; null stands for a piece of the search that found none. */
  *match(filter: string, now: () => number): Generator<Message | null, void, undefined> {
    for (const message of this.#tree.match(filter)) yield message?.isExpired(now()) ? null : message
  }

  /** Drops expired messages among the next few and returns their topics; called often, it looks at all of them in turn. */
  sweep(now: number): string[] {
    const expired: string[] = []
    this.#sweeping ??= this.#tree.values()
    for (let looks = 0; looks < SWEPT; looks++) {
      const { done, value } = this.#sweeping.next()
      if (done) {
        this.#sweeping = null
        break
      }
      if (value?.isExpired(now)) expired.push(value.topic)
    }
    for (const topic of expired) this.delete(topic)
    return expired
  }
}
