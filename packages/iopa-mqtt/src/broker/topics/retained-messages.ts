import type { Clock } from '@iopa/transport'
import type { Journal } from '../operation/journal.ts'
import { APP, Quota } from '../operation/quota.ts'
import type { Message } from './message.ts'
import { TopicTree } from './topic-tree.ts'

/** Messages that one sweep looks at. */
const SWEPT = 2000

/** Bounds of all retained messages. */
export interface RetainedLimits {
  readonly maxRetained: number
  readonly maxRetainedBytes: number
}

/** The retained message of each topic (MQTT 5 section 3.3.1.3), bounded in number and bytes; each account has a share of both. */
export class RetainedMessages {
  readonly #tree = new TopicTree<Message>()
  readonly #journal: Journal
  readonly #clock: Clock
  readonly #count: Quota
  readonly #bytes: Quota
  /** Where the search for expired messages stands. */
  #sweeping: Iterator<Message | null, void> | null = null

  /** `limitOf` is the limit of one account for either, beside its share. */
  constructor(
    { maxRetained, maxRetainedBytes }: RetainedLimits,
    journal: Journal,
    clock: Clock,
    limitOf: (account: string, of: 'retained' | 'retainedBytes') => number = () => Number.POSITIVE_INFINITY
  ) {
    this.#journal = journal
    this.#clock = clock
    this.#count = new Quota(maxRetained, undefined, account => limitOf(account, 'retained'))
    this.#bytes = new Quota(maxRetainedBytes, undefined, account => limitOf(account, 'retainedBytes'))
  }

  get size(): number {
    return this.#tree.size
  }

  get bytes(): number {
    return this.#bytes.used
  }

  /**
   * Retains a message that was published with the RETAIN flag; one with an empty payload deletes the retained message of its topic. The store
   * keeps the change. Returns a function that takes it back, for when the store fails; null if there is no room.
   */
  publish(message: Message): (() => void) | null {
    const { topic } = message
    const journal = this.#journal
    const before = journal.active ? this.get(topic, this.#clock.elapsed()) : undefined
    if (message.isEmpty) {
      if (this.delete(topic)) journal.add({ kind: 'retained', topic, value: null })
    } else {
      if (!this.set(message)) return null
      if (journal.active) journal.add({ kind: 'retained', topic, value: { ...message.toStored(), account: message.account } })
    }
    if (!journal.active) return NO_CHANGE
    const after = message.isEmpty ? undefined : message
    return () => {
      // A later message that was retained meanwhile stays.
      if (this.get(topic, this.#clock.elapsed()) !== after) return
      this.delete(topic)
      if (before) this.restore(before)
    }
  }

  get(topic: string, now: number): Message | undefined {
    const message = this.#tree.get(topic)
    if (!message?.isExpired(now)) return message
    this.delete(topic)
    return undefined
  }

  /** Replaces the retained message of the topic; false if there is no room, and the one before stays. */
  set(message: Message): boolean {
    const before = this.#tree.get(message.topic)
    const { account, size } = message
    const more = size - (before?.size ?? 0)
    if (!before && !this.#count.allows(account, 1)) return false
    if (more > 0 && !this.#bytes.allows(account, more)) return false
    this.#put(message, before)
    return true
  }

  /** Adds a message that the store kept, even if its account now exceeds its share; false if there is no room at all. */
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

  /** The messages that a filter matches, found while it is iterated; null stands for a piece of the search without a match. */
  *match(filter: string, now: () => number): Generator<Message | null, void, undefined> {
    for (const message of this.#tree.match(filter)) yield message?.isExpired(now()) ? null : message
  }

  /** Deletes expired messages among the next few and returns their topics; repeated calls look at all of them in turn. */
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
    for (const topic of expired) {
      this.delete(topic)
      this.#journal.add({ kind: 'retained', topic, value: null })
    }
    return expired
  }
}

/** Takes nothing back: what a message without the RETAIN flag changes. */
export const NO_CHANGE = (): void => undefined
