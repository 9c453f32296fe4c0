import { type Clock, IopaError, type LinkAnswer, observationRefused, type TimerHandle } from '@iopa/transport'
import { CODE } from '../codec/codes.ts'
import type { Message } from '../codec/message.ts'
import { DEFAULT_MAX_AGE, OPTION } from '../codec/option-registry.ts'
import type { OpenRequest, Requester } from '../exchanges/requester.ts'
import { type ClientRequest, offered, Transfer, type TransferSettings } from '../exchanges/transfer.ts'
import { clientAnswer } from './request.ts'

/** A notification is newer than one of another order when it comes so many milliseconds later (RFC 7641 section 3.4). */
const ORDER_LIFETIME = 128_000
/** The first wait before a registration is tried again, in milliseconds; it doubles up to a minute. */
const RETRY = 1000
const LONGEST_RETRY = 60_000

/** What an observation needs beside the request. */
export interface ClientObservationInit {
  readonly request: ClientRequest
  /** The requester to use now; after a loss it may be another one. */
  readonly requester: () => Promise<Requester>
  readonly clock: Clock
  readonly settings: TransferSettings
}

/**
 * The client side of one observation: takes notifications that are newer than the last, fetches what they begin,
 * and registers again when they are overdue (RFC 7641 section 3). The newest answer waits for the reader.
 */
export class ClientObservation {
  readonly #init: ClientObservationInit
  #open: OpenRequest | undefined
  #requester: Requester | undefined
  /** The request as it was last registered. */
  #request: ClientRequest
  /** What is left of the observation while it is being cancelled. */
  #cancelling: OpenRequest | undefined
  /** True when an Echo was sent for the registration under way. */
  #echoed = false
  #timer: TimerHandle | undefined
  /** True while the timer is that of another attempt. */
  #waits = false
  /** True while it waits since the server could not be reached, until it is prompted to try again. */
  #unreached = false
  #prompted = false
  #newest: LinkAnswer | undefined
  #last: LinkAnswer | undefined
  #ended = false
  #error: unknown
  #wake: (() => void) | undefined
  #sequence = -1
  #heard = 0
  /** True until the first answer: then failures end the observation. */
  #first = true
  #retry = RETRY
  /** Counts messages that were taken, so that a body that was fetched for an older one is dropped. */
  #generation = 0
  /** Stops fetching the rest of a body of which there is a newer one. */
  #collecting: AbortController | undefined

  constructor(init: ClientObservationInit) {
    this.#init = init
    this.#request = init.request
  }

  async *answers(): AsyncGenerator<LinkAnswer> {
    const { signal } = this.#init.settings
    const abort = (): void => this.#end(undefined)
    if (signal?.aborted) return
    signal?.addEventListener('abort', abort, { once: true })
    try {
      void this.#register()
      for (;;) {
        const answer = this.#newest
        this.#newest = undefined
        if (answer !== undefined) yield answer
        else if (this.#ended) {
          if (this.#error !== undefined) throw this.#error
          return
        } else
          await new Promise<void>(resolve => {
            this.#wake = resolve
          })
      }
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#end(undefined)
    }
  }

  async #register(echo?: Uint8Array): Promise<void> {
    const { request, settings } = this.#init
    this.#disarm()
    try {
      const requester = await this.#init.requester()
      if (this.#ended) return
      const transfer = new Transfer(requester, settings)
      const tagged = transfer.tagged(request)
      const last = await transfer.lead(tagged)
      if (this.#ended) return
      this.#sequence = -1
      if ('code' in last) {
        this.#receive(last, requester)
        return
      }
      this.#request = tagged
      const options = last.options.set(OPTION.OBSERVE, 0)
      const proof = echo ?? requester.echo
      requester.echo = undefined
      if (proof !== undefined) options.set(OPTION.ECHO, proof)
      // The same token at the same server replaces the registration; a new one would leave the old one behind.
      if (this.#open !== undefined && this.#requester === requester) this.#open.send(request.code, options, last.payload)
      else {
        this.#requester = requester
        this.#open = requester.open(request.code, options, last.payload, settings.confirmable, {
          response: message => this.#receive(message, requester),
          failed: error => this.#lost(error)
        })
      }
    } catch (error) {
      this.#retryAfter(error)
    }
  }

  #receive(message: Message, requester: Requester): boolean {
    const { clock } = this.#init
    const sequence = message.options.uint(OPTION.OBSERVE)
    if (this.#ended) {
      // The answer to the cancellation, or a notification that was under way and is rejected.
      if (sequence === undefined) this.#cancelling?.close()
      return sequence === undefined
    }
    const echo = message.code === CODE.UNAUTHORIZED ? message.options.get(OPTION.ECHO) : undefined
    if (echo !== undefined && !this.#echoed) {
      this.#echoed = true
      queueMicrotask(() => void this.#register(echo))
      return true
    }
    // A connection keeps the order by itself, and its numbers mean nothing (RFC 8323 section 7.1).
    if (!requester.reliable && sequence !== undefined && this.#sequence >= 0 && !this.#isNewer(sequence)) return true
    offered(requester, message)
    this.#echoed = false
    this.#retry = RETRY
    this.#prompted = false
    if (sequence !== undefined) this.#sequence = sequence
    this.#heard = clock.elapsed()
    const generation = ++this.#generation
    this.#collecting?.abort()
    if (message.code === CODE.VALID) {
      this.#arm(message)
      return true
    }
    const settle = (answer: LinkAnswer): void => {
      if (this.#ended || generation !== this.#generation) return
      if (answer.status === 503 && !this.#first) {
        // The server goes away for a while, or has no room now: what it says of the time is heeded, unless it answers before.
        this.#arm(message)
        this.#waits = true
        return
      }
      this.#first = false
      if (!answer.ok) {
        this.#end(observationRefused(answer))
        return
      }
      // A registration that was renewed for nothing tells nothing new.
      if (this.#last === undefined || !sameAnswer(this.#last, answer)) this.#newest = answer
      this.#last = answer
      if (sequence === undefined) this.#end(undefined)
      else this.#arm(message)
      this.#wake?.()
    }
    if (!hasMore(message)) {
      settle(clientAnswer(message, message.payload))
      return true
    }
    const { signal } = (this.#collecting = new AbortController())
    new Transfer(requester, { ...this.#init.settings, signal }).collect(this.#request, message).then(
      payload => settle(clientAnswer(message, payload)),
      (error: unknown) => {
        if (generation === this.#generation) this.#retryAfter(error)
      }
    )
    return true
  }

  #isNewer(sequence: number): boolean {
    const last = this.#sequence
    const ahead = (last < sequence && sequence - last < 0x800000) || (last > sequence && last - sequence > 0x800000)
    return ahead || this.#init.clock.elapsed() > this.#heard + ORDER_LIFETIME
  }

  /** Registers again when the representation is not fresh any more, and 5 to 15 seconds have passed besides (RFC 7641 section 3.3.1). */
  #arm(message: Message): void {
    this.#disarm()
    // On a connection the registration lasts as long as that.
    if (this.#requester?.reliable === true && message.code !== CODE.SERVICE_UNAVAILABLE) return
    const age = message.options.uint(OPTION.MAX_AGE) ?? DEFAULT_MAX_AGE
    const wait = Math.min(age, 1_000_000) * 1000 + 5000 + Math.random() * 10_000
    this.#timer = this.#init.clock.setTimeout(() => void this.#register(), wait, { keep: true })
  }

  #disarm(): void {
    if (this.#timer !== undefined) this.#init.clock.clearTimeout(this.#timer)
    this.#timer = undefined
    this.#waits = false
    this.#unreached = false
  }

  /** The token waits no longer. */
  #lost(error: unknown): void {
    this.#open = undefined
    this.#retryAfter(error)
  }

  /** True while it waits to try again, since the server could not be reached. */
  get waits(): boolean {
    return this.#waits
  }

  /** True when the answer to a request like that of the observation is another one than was told last. */
  missed(request: ClientRequest, answer: LinkAnswer): boolean {
    return (
      this.#last !== undefined &&
      request.code === this.#init.request.code &&
      sameOptions(request, this.#init.request) &&
      !sameAnswer(this.#last, answer)
    )
  }

  /**
   * The server has been heard: registers again at once when it could not be reached, or where it was lost. Only once until that succeeds: two
   * observations that fail must not prompt each other.
   */
  prompt(lost: boolean): void {
    if (this.#ended || this.#first || !(lost || (this.#unreached && !this.#prompted))) return
    this.#prompted = true
    void this.#register()
  }

  /** Registers again at once. */
  renew(): void {
    if (this.#ended || this.#first) return
    this.#retry = RETRY
    void this.#register()
  }

  /** Without an answer: the first time that is the end, later it is tried again. */
  #retryAfter(error: unknown): void {
    if (this.#ended) return
    if (this.#first || (error instanceof IopaError && error.code === 'channel-closed')) {
      this.#end(error)
      return
    }
    this.#disarm()
    this.#waits = true
    this.#unreached = true
    this.#timer = this.#init.clock.setTimeout(() => void this.#register(), this.#retry * (0.5 + Math.random()), { keep: true })
    this.#retry = Math.min(LONGEST_RETRY, this.#retry * 2)
  }

  #end(error: unknown): void {
    if (this.#ended) return
    this.#ended = true
    this.#error = error
    this.#disarm()
    this.#collecting?.abort()
    const open = this.#open
    this.#open = undefined
    if (open !== undefined && this.#sequence >= 0 && error === undefined) void this.#cancel(open)
    else open?.close()
    this.#wake?.()
  }

  /** Tells the server at once, and not with a reset of the next notification (RFC 7641 section 3.6). */
  async #cancel(open: OpenRequest): Promise<void> {
    const { clock, settings } = this.#init
    this.#cancelling = open
    clock.setTimeout(() => open.close(), CANCEL_TIMEOUT)
    try {
      // The signal has stopped the observation, and must not stop this.
      const last = await new Transfer(this.#requester!, { ...settings, signal: undefined }).lead(this.#request)
      if ('code' in last) open.close()
      else open.send(this.#request.code, last.options.set(OPTION.OBSERVE, 1), last.payload)
    } catch {
      open.close()
    }
  }
}

/** How long an observation that is given up still waits for the answer to that, in milliseconds. */
const CANCEL_TIMEOUT = 5000

const sameOptions = (a: ClientRequest, b: ClientRequest): boolean => a.options.equals(b.options) && Buffer.compare(a.payload, b.payload) === 0

const hasMore = (message: Message): boolean => ((message.options.uint(OPTION.BLOCK2) ?? 0) & 8) !== 0

const sameAnswer = (a: LinkAnswer, b: LinkAnswer): boolean =>
  a.status === b.status && a.type === b.type && Buffer.compare(a.payloadBytes, b.payloadBytes) === 0
