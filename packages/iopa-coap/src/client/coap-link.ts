import {
  abortable,
  type Clock,
  IopaError,
  type Link,
  type LinkAnswer,
  type LinkEnd,
  type LinkRequestOptions,
  type OutgoingRequest,
  requestBytes,
  type Sink,
  type SubscribeOptions
} from '@iopa/transport'
import { codeOfMethod, isSafe } from '../codec/codes.ts'
import type { Extensions } from '../codec/extensions.ts'
import { BodySource } from '../exchanges/body-source.ts'
import type { Requester } from '../exchanges/requester.ts'
import { type ClientRequest, LARGEST_STREAMED, Transfer, type TransferSettings } from '../exchanges/transfer.ts'
import { UploadSlots } from '../exchanges/upload-slots.ts'
import { ClientObservation } from './observation.ts'
import { tokenLengthOf } from './raw-options.ts'
import { clientAnswer, clientRequest } from './request.ts'

/** What a link is made of, the same for datagrams and connections. */
export interface CoapLinkInit {
  /** For the Uri-Host option: the name that the URL has, empty for an address. */
  readonly host: string
  readonly clock: Clock
  /** Whether requests are confirmable that do not say. */
  readonly confirmable: boolean
  readonly extensions: Extensions
  /** Most bytes of an answer, and of a question whose body is a stream. */
  readonly bodyLimit: number
  readonly requester: Requester
  readonly closed: Promise<LinkEnd>
  /** Milliseconds until a request is acknowledged; undefined where the transport below is reliable. */
  readonly requestTimeout?: number
  /** Ends it, and all that waits on it. */
  close(): Promise<void>
}

/** One endpoint or one connection: requests in blocks where they are large, and observations. */
export class CoapLink implements Link {
  /** NSTART and the queue of a peer are those of the message layer. */
  readonly concurrency: number = Number.POSITIVE_INFINITY
  readonly closed: Promise<LinkEnd>
  readonly requestTimeout?: number
  readonly #init: CoapLinkInit
  readonly #observations = new Set<ClientObservation>()
  readonly #slots = new UploadSlots()
  /** True when the server has not answered since a request found it gone. */
  #lost = false
  #lastTag = 0
  readonly #nextTag = (): number => (this.#lastTag = (this.#lastTag + 1) >>> 0)

  constructor(init: CoapLinkInit) {
    this.#init = init
    this.closed = init.closed
    if (init.requestTimeout !== undefined) this.requestTimeout = init.requestTimeout
    init.requester.heard = () => this.#heard()
  }

  async request(message: OutgoingRequest, options: LinkRequestOptions): Promise<LinkAnswer> {
    const request = await this.#requestOf(message, options)
    try {
      const response = await new Transfer(this.#init.requester, this.#settings(message, options)).run(request)
      const answer = clientAnswer(response.message, response.payload)
      // An observation to which this answer is news has missed a notification.
      for (const observation of this.#observations) if (observation.waits || observation.missed(request, answer)) observation.renew()
      return answer
    } catch (error) {
      if (error instanceof IopaError && LOSSES.has(error.code)) this.#lost = true
      throw error
    }
  }

  async subscribe(message: OutgoingRequest, sink: Sink, options: SubscribeOptions): Promise<void> {
    const request = await this.#read(message, options.signal)
    if (!isSafe(request.code)) throw new IopaError(501, 'not-observable', 'CoAP observes with GET and FETCH alone (RFC 7641, RFC 8132 section 2.4).')
    const { requester, clock } = this.#init
    const settings = this.#settings(message, options)
    const observation = new ClientObservation({ request, requester, clock, settings, sink, last: options.resume as LinkAnswer | undefined })
    this.#observations.add(observation)
    try {
      await observation.run(options.signal)
    } finally {
      this.#observations.delete(observation)
    }
  }

  close(): Promise<void> {
    return this.#init.close()
  }

  /** The server lives: where it had been lost, all observations register again. */
  #heard(): void {
    if (!this.#lost) return
    this.#lost = false
    for (const observation of this.#observations) observation.renew()
  }

  /** A request with its body; one that changes a state reads a stream while it sends it. */
  async #requestOf(message: OutgoingRequest, options: LinkRequestOptions): Promise<ClientRequest> {
    const { signal } = options
    const { body } = message
    if (body === null || body instanceof Uint8Array || isSafe(codeOfMethod(message.method) ?? 0)) return this.#read(message, signal)
    const { host, requester, extensions } = this.#init
    const single = Math.min(requester.maxPayload, LARGEST_STREAMED)
    const source = new BodySource(body)
    try {
      options.awaits?.('body')
      await abortable(signal, () => source.fill(single))
      const whole = source.rest(single)
      const request = clientRequest({ ...message, body: whole ?? source.part(single, single).bytes }, host, extensions.codes)
      return whole === undefined ? { ...request, source } : request
    } catch (error) {
      source.giveUp()
      throw error
    }
  }

  async #read(message: OutgoingRequest, signal: AbortSignal): Promise<ClientRequest> {
    const { host, bodyLimit, extensions } = this.#init
    const limit = message.body instanceof Uint8Array ? Number.POSITIVE_INFINITY : bodyLimit
    return clientRequest({ ...message, body: await requestBytes(message, limit, signal) }, host, extensions.codes)
  }

  #settings({ bag }: OutgoingRequest, options: LinkRequestOptions): TransferSettings {
    const { confirmable, bodyLimit, requester } = this.#init
    return {
      confirmable: bag['coap.Confirmable'] ?? confirmable,
      tokenLength: tokenLengthOf(bag['coap.TokenLength'], requester.reliable),
      signal: options.signal,
      awaits: what => options.awaits?.(what),
      bodyLimit,
      slots: this.#slots,
      nextTag: this.#nextTag
    }
  }
}

const LOSSES: ReadonlySet<string> = new Set(['timeout', 'peer-reset', 'disconnected'])
