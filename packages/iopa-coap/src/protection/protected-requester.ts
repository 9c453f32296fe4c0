import { type Clock, IopaError, type PlainMessage, type ProtectedRequest, type RequestProtection } from '@iopa/transport'
import { type LinkProtection, tokensOf } from '../client/link-init.ts'
import type { Message } from '../codec/message.ts'
import { OPTION } from '../codec/option-registry.ts'
import type { Options } from '../codec/options.ts'
import { badOptionOf, type OpenRequest, type Requester, type ResponseListener } from '../exchanges/requester.ts'
import { Transfer } from '../exchanges/transfer.ts'
import { protectedPayload } from './associations.ts'
import { MAX_UNFRAGMENTED_SIZE } from './outer-blocks.ts'
import { optionsOf, plainMessage, plainOf, responseWithin } from './plain-messages.ts'
import { Sequence, settle } from './sequence.ts'

const NOTHING = new Uint8Array(0)

/** Registrations of one observation of which notifications may still be under way. */
const MOST_BOUND = 4

const OUTER: ReadonlySet<number> = new Set([OPTION.BLOCK1, OPTION.BLOCK2, OPTION.SIZE1, OPTION.SIZE2])

/** What the protection of a client's requests needs. */
interface ProtectedRequesterInit {
  readonly requester: Requester
  readonly protection: RequestProtection
  /** The number of the option that protected messages have. */
  readonly option: number
  readonly clock: Clock
  /** Milliseconds that the protection of a message may take. */
  readonly timeout: number
}

/** How the requests of a link are protected; `release` is called when it has ended. */
export const linkProtectionOf = (init: Omit<ProtectedRequesterInit, 'requester'>, release: () => Promise<void>): LinkProtection => ({
  tokens: tokensOf(init.protection),
  over: requester => new ProtectedRequester({ ...init, requester }),
  release
})

/** Protects requests to one server: blocks, observations and Echo are within. A response that does not verify is an error. */
class ProtectedRequester implements Requester {
  readonly reliable: boolean
  echo: Uint8Array | undefined = undefined
  readonly #init: ProtectedRequesterInit

  constructor(init: ProtectedRequesterInit) {
    this.#init = init
    this.reliable = init.requester.reliable
  }

  get maxSzx(): number {
    return this.#init.requester.maxSzx
  }

  get maxPayload(): number {
    return protectedPayload(this.#init.requester)
  }

  get heard(): (() => void) | undefined {
    return this.#init.requester.heard
  }
  set heard(heard: (() => void) | undefined) {
    this.#init.requester.heard = heard
  }

  open(code: number, options: Options, payload: Uint8Array, confirmable: boolean, listener: ResponseListener): OpenRequest {
    const open = new OpenProtectedRequest(this.#init, confirmable, listener)
    open.send(code, options, payload)
    return open
  }

  /** An Empty message is not protected (RFC 8613 section 4.2). */
  ping(done: (answered: boolean) => void): void {
    this.#init.requester.ping(done)
  }
}

class OpenProtectedRequest implements OpenRequest, ResponseListener {
  readonly understands: number
  readonly tokenLength: number | undefined
  readonly #init: ProtectedRequesterInit
  readonly #confirmable: boolean
  readonly #listener: ResponseListener
  readonly #sending = new Sequence()
  readonly #receiving = new Sequence()
  /** The requests that were sent with this token, newest first, as long as responses to them may come: each response is bound to one. */
  readonly #bound: ProtectedRequest[] = []
  #outer: OpenRequest | undefined
  /** True when a response to the newest request was verified: what does not verify after that is not from the server, and changes nothing. */
  #verified = false
  #closed = false
  readonly #fetching = new AbortController()

  constructor(init: ProtectedRequesterInit, confirmable: boolean, listener: ResponseListener) {
    this.#init = init
    this.understands = init.option
    this.tokenLength = listener.tokenLength
    this.#confirmable = confirmable
    this.#listener = listener
  }

  send(code: number, options: Options, payload: Uint8Array): void {
    const { protection, clock, timeout } = this.#init
    if (options.has(this.#init.option)) {
      this.#fail(
        new IopaError(
          400,
          'bad-coap-option',
          `Option ${this.#init.option} is made by the option protect of coap(): leave that out to send it as it is.`
        )
      )
      return
    }
    const request = plainMessage(code, options, payload)
    const late = (sent: ProtectedRequest): void => sent.end()
    const failed = (error: unknown): void => this.#fail(error)
    this.#sending.run(() =>
      settle(
        () => protection.protect(request),
        { clock, timeout, failed, late },
        sent => this.#send(sent)
      )
    )
  }

  response(message: Message): boolean {
    if (this.#closed) return false
    let accepted = true
    this.#receiving.run(() => this.#receive(message, result => (accepted = result)))
    return accepted
  }

  received(): void {
    this.#listener.received?.()
  }

  failed(error: unknown): void {
    this.#end()
    this.#listener.failed(error)
  }

  close(): void {
    this.#end()
    this.#outer?.close()
  }

  #send(sent: ProtectedRequest): void {
    if (this.#closed) {
      sent.end()
      return
    }
    this.#verified = false
    this.#bound.unshift(sent)
    if (this.#bound.length > MOST_BOUND) this.#bound.pop()?.end()
    const { code, payload } = sent.message
    const options = optionsOf(sent.message)
    if (this.#outer === undefined) this.#outer = this.#init.requester.open(code, options, payload, this.#confirmable, this)
    else this.#outer.send(code, options, payload)
    if (this.#closed) this.#outer.close()
  }

  #receive(message: Message, answered: (accepted: boolean) => void): void | Promise<void> {
    if (this.#closed) {
      answered(false)
      return undefined
    }
    if (((message.options.uint(OPTION.BLOCK2) ?? 0) & 8) === 0) return this.#openWith(0, message, plainOf(message, OUTER), answered)
    return this.#whole(message).then(
      payload => this.#openWith(0, message, { ...plainOf(message, OUTER), payload }, answered),
      (error: unknown) => this.#fail(error)
    )
  }

  /** The whole of a protected response that a proxy has cut into blocks. */
  #whole(first: Message): Promise<Uint8Array> {
    const { requester } = this.#init
    const { code, options } = this.#bound[0]!.message
    const settings = {
      confirmable: this.#confirmable,
      signal: this.#fetching.signal,
      bodyLimit: MAX_UNFRAGMENTED_SIZE,
      understands: this.understands,
      nextTag: () => 0
    }
    const request = { code, options: optionsOf({ code, options, payload: NOTHING }), payload: NOTHING }
    return new Transfer(requester, settings).collect(request, first)
  }

  /** Opens a response as one to the request at a place, else to those before it. */
  #openWith(at: number, message: Message, plain: PlainMessage, answered: (accepted: boolean) => void, first?: unknown): void | Promise<void> {
    const bound = this.#bound[at]
    if (this.#closed) return undefined
    if (bound === undefined) {
      // A notification that is forged must not end the observation.
      if (!this.#verified) this.#fail(first)
      return undefined
    }
    const { clock, timeout } = this.#init
    // What the next attempt takes, where this one fails.
    const rest: (void | Promise<void>)[] = []
    const failed = (error: unknown): void => {
      rest.push(this.#openWith(at + 1, message, plain, answered, first ?? error))
    }
    const opening = settle(
      () => bound.open(plain),
      { clock, timeout, failed },
      inner => this.#opened(at, message, inner, answered)
    )
    return opening === undefined ? rest[0] : opening.then(() => rest[0])
  }

  #opened(at: number, message: Message, inner: PlainMessage | undefined, answered: (accepted: boolean) => void): void {
    if (this.#closed || inner === undefined) return
    if (at === 0) {
      this.#verified = true
      for (const before of this.#bound.splice(1)) before.end()
    }
    const response = responseWithin(message, inner)
    const error = badOptionOf(response)
    if (error !== undefined) this.#fail(error)
    else answered(this.#listener.response(response))
  }

  #fail(error: unknown): void {
    if (this.#closed) return
    this.close()
    this.#listener.failed(error)
  }

  #end(): void {
    if (this.#closed) return
    this.#closed = true
    this.#fetching.abort()
    for (const sent of this.#bound.splice(0)) sent.end()
  }
}
