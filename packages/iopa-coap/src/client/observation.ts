import { type Clock, IopaError, isIopaError, type LinkAnswer, lossOf, type Sink, type TimerHandle } from '@iopa/transport'
import { CODE } from '../codec/codes.ts'
import type { Message } from '../codec/message.ts'
import { DEFAULT_MAX_AGE, OPTION } from '../codec/option-registry.ts'
import type { OpenRequest, Requester } from '../exchanges/requester.ts'
import { type ClientRequest, offered, Transfer, type TransferSettings } from '../exchanges/transfer.ts'
import { clientAnswer } from './request.ts'

/** A notification is newer than one of another order when it comes so many milliseconds later (RFC 7641 section 3.4). */
const ORDER_LIFETIME = 128_000

/** What an observation needs beside the request. */
export interface ClientObservationInit {
  readonly request: ClientRequest
  readonly requester: Requester
  readonly clock: Clock
  readonly settings: TransferSettings
  readonly sink: Sink
  /** The last answer of the observation on a link before this one. */
  readonly last: LinkAnswer | undefined
}

/**
 * The client side of one observation: takes notifications that are newer than the last, fetches what they begin,
 * and registers again when they are overdue (RFC 7641 section 3).
 */
export class ClientObservation {
  readonly #init: ClientObservationInit
  #open: OpenRequest | undefined
  /** The request as it was last registered. */
  #request: ClientRequest
  /** What is left of the observation while it is being cancelled. */
  #cancelling: OpenRequest | undefined
  /** True when an Echo was sent for the registration under way. */
  #echoed = false
  #timer: TimerHandle | undefined
  #waits = false
  #last: LinkAnswer | undefined
  #ended = false
  #settle: { resolve(): void; reject(error: unknown): void } | undefined
  #sequence = -1
  #heard = 0
  /** True until the first answer. */
  #first = true
  /** Counts messages that were taken, so that a body that was fetched for an older one is dropped. */
  #generation = 0
  /** Stops fetching the rest of a body of which there is a newer one. */
  #collecting: AbortController | undefined

  /**
   * True for a request that another client has protected, which is sent once: the server would take it for a replay, and what is sent on behalf of another
   * neither registers nor cancels (RFC 8613 section 4.1.3.5.1).
   */
  readonly #sealed: boolean

  constructor(init: ClientObservationInit) {
    this.#init = init
    this.#sealed = init.settings.understands !== undefined
    this.#request = init.request
    this.#last = init.last
  }

  /** Resolves when the server has ended the observation, or when the signal aborts; rejects when it is lost. */
  async run(signal: AbortSignal): Promise<void> {
    const abort = (): void => this.#end(undefined)
    signal.addEventListener('abort', abort, { once: true })
    try {
      await new Promise<void>((resolve, reject) => {
        this.#settle = { resolve, reject }
        if (signal.aborted) abort()
        else void this.#register()
      })
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  async #register(echo?: Uint8Array): Promise<void> {
    const { request, settings, requester } = this.#init
    this.#disarm()
    try {
      const transfer = new Transfer(requester, settings)
      const tagged = transfer.tagged(request)
      const last = await transfer.lead(tagged)
      if (this.#ended) return
      this.#sequence = -1
      if ('code' in last) {
        this.#receive(last)
        return
      }
      this.#request = tagged
      const options = last.options.set(OPTION.OBSERVE, 0)
      const proof = echo ?? requester.echo
      requester.echo = undefined
      if (proof !== undefined) options.set(OPTION.ECHO, proof)
      settings.awaits?.('receipt')
      // The same token replaces the registration; a new one would leave the old one behind.
      if (this.#open !== undefined) this.#open.send(request.code, options, last.payload)
      else
        this.#open = requester.open(request.code, options, last.payload, settings.confirmable, {
          understands: settings.understands,
          token: settings.token,
          tokenLength: settings.tokenLength,
          received: () => {
            settings.awaits?.('answer')
            // A renewal that is not answered, or is lost without an acknowledgement to wait for, is repeated.
            if (!this.#first) this.#renewAfter(DEFAULT_MAX_AGE * 1000)
          },
          response: message => this.#receive(message),
          failed: error => {
            this.#open = undefined
            this.#lose(error)
          }
        })
    } catch (error) {
      this.#lose(error)
    }
  }

  #receive(message: Message): boolean {
    const { clock, requester, sink } = this.#init
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
      if (answer.status === 503 && !this.#first && !this.#sealed) {
        // The server goes away for a while, or has no room now: what it says of the time is heeded, unless it answers before.
        this.#arm(message)
        this.#waits = true
        return
      }
      if (!answer.ok) {
        this.#end(null)
        void sink.next(answer)
        return
      }
      // A registration that was renewed for nothing tells nothing new.
      const known = this.#last !== undefined && sameAnswer(this.#last, answer)
      this.#last = answer
      this.#first = false
      if (known) sink.accepted()
      else void sink.next(answer)
      if (sequence === undefined) this.#end(null)
      else this.#arm(message)
    }
    if (!hasMore(message)) {
      settle(clientAnswer(message, message.payload))
      return true
    }
    const { signal } = (this.#collecting = new AbortController())
    new Transfer(requester, { ...this.#init.settings, token: undefined, signal }).collect(this.#request, message).then(
      payload => settle(clientAnswer(message, payload)),
      (error: unknown) => {
        if (generation === this.#generation) this.#lose(error)
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
    if (this.#init.requester.reliable && message.code !== CODE.SERVICE_UNAVAILABLE) return
    this.#renewAfter(ageOf(message))
  }

  #renewAfter(age: number): void {
    this.#disarm()
    if (this.#sealed) return
    const wait = age + 5000 + Math.random() * 10_000
    this.#timer = this.#init.clock.setTimeout(() => void this.#register(), wait, { keep: true })
  }

  #disarm(): void {
    if (this.#timer !== undefined) this.#init.clock.clearTimeout(this.#timer)
    this.#timer = undefined
    this.#waits = false
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

  /** True while it waits to register again, since the server has said that it goes away. */
  get waits(): boolean {
    return this.#waits
  }

  /** Registers again at once. */
  renew(): void {
    if (!this.#ended && !this.#first && !this.#sealed) void this.#register()
  }

  /** No further notification comes by this registration: the client subscribes again. */
  #lose(error: unknown): void {
    if (!isIopaError(error)) this.#end(error)
    // Only the client behind can register again.
    else if (this.#sealed && !this.#first) this.#end(null)
    else if (!this.#ended) {
      // Many may share the error.
      const { status, code, detail } = error
      this.#end(lossOf(new IopaError(status, code, detail, { cause: error }), { sent: true, resume: this.#last }))
    }
  }

  /** Ends with an error; null where the server has ended it, undefined where the caller has. */
  #end(error: unknown): void {
    if (this.#ended) return
    this.#ended = true
    this.#disarm()
    this.#collecting?.abort()
    const open = this.#open
    this.#open = undefined
    if (open !== undefined && this.#sequence >= 0 && error === undefined && !this.#sealed) void this.#cancel(open)
    else open?.close()
    if (error === undefined || error === null) this.#settle?.resolve()
    else this.#settle?.reject(error)
  }

  /** Tells the server at once, and not with a reset of the next notification (RFC 7641 section 3.6). */
  async #cancel(open: OpenRequest): Promise<void> {
    const { clock, settings } = this.#init
    this.#cancelling = open
    clock.setTimeout(() => open.close(), CANCEL_TIMEOUT)
    try {
      // The signal has stopped the observation, and must not stop this.
      const last = await new Transfer(this.#init.requester, { ...settings, signal: undefined, awaits: undefined }).lead(this.#request)
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

/** For how long a representation is fresh, in milliseconds. */
const ageOf = (message: Message): number => Math.min(message.options.uint(OPTION.MAX_AGE) ?? DEFAULT_MAX_AGE, 1_000_000) * 1000

const hasMore = (message: Message): boolean => ((message.options.uint(OPTION.BLOCK2) ?? 0) & 8) !== 0

const sameAnswer = (a: LinkAnswer, b: LinkAnswer): boolean =>
  a.status === b.status && a.type === b.type && Buffer.compare(a.payloadBytes, b.payloadBytes) === 0
