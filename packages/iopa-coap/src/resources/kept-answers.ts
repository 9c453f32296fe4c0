import { randomBytes } from 'node:crypto'
import type { Clock, Context, TimerHandle } from '@iopa/transport'
import { contentOption } from '../codec/etag.ts'
import type { Remote } from '../exchanges/exchange.ts'
import { Snapshots } from '../exchanges/snapshots.ts'
import type { Representation } from './representation.ts'
import type { CoapRequest } from './request.ts'

const COUNT = 1024
const COUNT_PER_PEER = 16
/** Bodies that are read in parts hold something open, such as a file: of those fewer are kept, and not for long. */
const OPEN_COUNT = 64
const OPEN_LIFETIME = 10_000
/** Time is looked at no more often than this, in milliseconds. */
const GRAIN = 1000

/** An answer of which blocks may still be asked for. */
export interface KeptAnswer {
  readonly representation: Representation
  readonly held: number
  release(): void
}

/** How answers are kept. */
export interface KeptAnswerSettings {
  readonly clock: Clock
  /** Most bytes of those in memory. */
  readonly bytes: number
  /** Milliseconds since the last block was asked for, for those in memory. */
  readonly lifetime: number
}

/**
 * Answers as they were when their first block was sent (RFC 7959 section 2.4), by peer and by what they answer: those in memory for as long as an exchange may last,
 * those that are read in parts for 10 seconds after a block was asked for. Later requests run the handler again; the ETag shows whether the body has changed.
 */
export class KeptAnswers {
  readonly #clock: Clock
  readonly #inMemory: Snapshots<KeptAnswer>
  readonly #open: Snapshots<KeptAnswer>
  #timer: TimerHandle | undefined
  #timerDue = Number.POSITIVE_INFINITY

  constructor({ clock, bytes, lifetime }: KeptAnswerSettings) {
    this.#clock = clock
    this.#inMemory = new Snapshots({ bytes, count: COUNT, countPerOwner: COUNT_PER_PEER, lifetime })
    this.#open = new Snapshots({ bytes, count: OPEN_COUNT, countPerOwner: COUNT_PER_PEER, lifetime: OPEN_LIFETIME })
  }

  /** Keeps an answer in place of the former one to the same request. `owner` is ended when it is not kept any more. */
  keep(remote: Remote, request: CoapRequest, representation: Representation, owner: Context | undefined): KeptAnswer {
    const { payload } = representation
    const inParts = !(payload instanceof Uint8Array)
    // One that stays the same over the blocks (RFC 7959 section 2.4).
    if (representation.code >> 5 === 2) representation.etag ??= inParts ? randomBytes(8) : contentOption(payload)
    const kept: KeptAnswer = { representation, held: inParts ? 0 : payload.length, release: () => void owner?.end() }
    const key = keyOf(remote, request)
    const [own, other] = inParts ? [this.#open, this.#inMemory] : [this.#inMemory, this.#open]
    other.remove(key)
    own.keep(remote, key, kept, this.#clock.elapsed())
    this.#arm()
    return kept
  }

  find(remote: Remote, request: CoapRequest): KeptAnswer | undefined {
    const key = keyOf(remote, request)
    const now = this.#clock.elapsed()
    return this.#inMemory.find(key, now) ?? this.#open.find(key, now)
  }

  remove(remote: Remote, request: CoapRequest): void {
    const key = keyOf(remote, request)
    this.#inMemory.remove(key)
    this.#open.remove(key)
  }

  /** Forgets what is kept for a connection that is closed. */
  forget(remote: Remote): void {
    this.#inMemory.forget(remote)
    this.#open.forget(remote)
  }

  close(): void {
    this.#disarm()
    this.#expire(Number.POSITIVE_INFINITY)
  }

  #expire(now: number): void {
    this.#inMemory.expire(now)
    this.#open.expire(now)
  }

  #arm(): void {
    const due = Math.min(this.#inMemory.due, this.#open.due)
    if (due >= this.#timerDue) return
    this.#disarm()
    this.#timerDue = due
    this.#timer = this.#clock.setTimeout(
      () => {
        this.#disarm()
        this.#expire(this.#clock.elapsed())
        this.#arm()
      },
      Math.max(GRAIN, due - this.#clock.elapsed())
    )
  }

  #disarm(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer)
    this.#timer = undefined
    this.#timerDue = Number.POSITIVE_INFINITY
  }
}

/** What the blocks of one transfer of one peer have in common. */
export const keyOf = (remote: Remote, request: CoapRequest): string => `${remote.endpoint!.sessionId}\n${request.transferKey}`
