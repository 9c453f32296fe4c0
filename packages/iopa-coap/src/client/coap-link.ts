import {
  abortable,
  type Clock,
  IopaError,
  type Link,
  type LinkAnswer,
  type LinkEnd,
  type LinkRequestOptions,
  type OutgoingRequest,
  receivedAnswer,
  requestBytes,
  type Sink,
  type SubscribeOptions
} from '@iopa/transport'
import { codeOfMethod, isSafe } from '../codec/codes.ts'
import type { Extensions } from '../codec/extensions.ts'
import { OPTION } from '../codec/option-registry.ts'
import { BodySource } from '../exchanges/body-source.ts'
import { sendUnanswered, withoutSuccess } from '../exchanges/no-response.ts'
import type { Requester } from '../exchanges/requester.ts'
import { type ClientRequest, LARGEST_STREAMED, type StreamedResponse, Transfer, type TransferSettings } from '../exchanges/transfer.ts'
import { UploadSlots } from '../exchanges/upload-slots.ts'
import { KeepAlive } from './keep-alive.ts'
import { ClientObservation } from './observation.ts'
import { isSealed, tokenLengthOf, tokenOf } from './raw-options.ts'
import { clientAnswer, clientRequest } from './request.ts'

/** What a link is made of, the same for datagrams and connections. */
export interface CoapLinkInit {
  /** For the Uri-Host option: the name that the URL has, empty for an address. */
  readonly host: string
  readonly clock: Clock
  /** Whether requests are confirmable that do not say. */
  readonly confirmable: boolean
  readonly extensions: Extensions
  /** The URL of the server. */
  readonly peer: URL
  /** Milliseconds between pings while something is observed; undefined for none. */
  readonly keepAlive: number | undefined
  /** Most bytes of an answer, and of a question whose body is a stream. */
  readonly bodyLimit: number
  readonly requester: Requester
  readonly closed: Promise<LinkEnd>
  /** Milliseconds until a request is acknowledged; undefined where the transport below is reliable. */
  readonly requestTimeout?: number
  /** What to check while nothing at all has come from the server. */
  silence?(): string | undefined
  /** Breaks a connection whose server does not answer any more; absent over datagrams. */
  lose?(): void
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
  readonly #keepAlive: KeepAlive
  /** True when the server has not answered since a request found it gone. */
  #lost = false
  #lastTag = 0
  readonly #nextTag = (): number => (this.#lastTag = (this.#lastTag + 1) >>> 0)

  constructor(init: CoapLinkInit) {
    this.#init = init
    this.closed = init.closed
    if (init.requestTimeout !== undefined) this.requestTimeout = init.requestTimeout
    init.requester.heard = () => this.#heard()
    // Observations whose registration is lost end by that, and the core observes again.
    const lost = (): void => {
      if (init.lose !== undefined) init.lose()
      else for (const observation of this.#observations) observation.renew()
    }
    this.#keepAlive = new KeepAlive({ clock: init.clock, interval: init.keepAlive, requester: init.requester, lost })
  }

  get silence(): string | undefined {
    return this.#init.silence?.()
  }

  async request(message: OutgoingRequest, options: LinkRequestOptions): Promise<LinkAnswer> {
    const request = await this.#requestOf(message, options)
    const { requester, clock } = this.#init
    const settings = this.#settings(message, options)
    try {
      const silent = message.bag['coap.Options'] === undefined ? undefined : request.options.uint(OPTION.NO_RESPONSE)
      const response = withoutSuccess(silent)
        ? await sendUnanswered(requester, request, silent, settings, clock)
        : await this.#transfer(request, settings, message.bag['coap.StreamAnswer'] === true)
      if (response === undefined) return receivedAnswer(204)
      const answer = clientAnswer(response.message, response.payload)
      if (answer.isStream) return answer
      // An observation to which this answer is news has missed a notification.
      for (const observation of this.#observations) if (observation.waits || observation.missed(request, answer)) observation.renew()
      return answer
    } catch (error) {
      if (error instanceof IopaError && LOSSES.has(error.code)) this.#lost = true
      throw error
    }
  }

  async subscribe(message: OutgoingRequest, sink: Sink, options: SubscribeOptions): Promise<void> {
    if (message.bag['coap.CollectFor'] !== undefined) {
      await sink.next(Object.assign(await this.request(message, options), { 'coap.Peer': this.#init.peer }))
      return
    }
    const request = await this.#read(message, options.signal)
    if (!isSafe(request.code)) throw new IopaError(501, 'not-observable', 'CoAP observes with GET and FETCH alone (RFC 7641, RFC 8132 section 2.4).')
    const { requester, clock } = this.#init
    const settings = this.#settings(message, options)
    const observation = new ClientObservation({ request, requester, clock, settings, sink, last: options.resume as LinkAnswer | undefined })
    this.#observations.add(observation)
    this.#keepAlive.hold()
    try {
      await observation.run(options.signal)
    } finally {
      this.#keepAlive.release()
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

  #transfer(request: ClientRequest, settings: TransferSettings, streams: boolean): Promise<StreamedResponse> {
    const transfer = new Transfer(this.#init.requester, settings)
    return streams ? transfer.begin(request) : transfer.run(request)
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
    const sealed = isSealed(bag['coap.Options'])
    return {
      confirmable: bag['coap.Confirmable'] ?? confirmable,
      tokenLength: tokenLengthOf(bag['coap.TokenLength'], requester.reliable),
      signal: options.signal,
      awaits: what => options.awaits?.(what),
      bodyLimit,
      // A proxy hands on what is protected from end to end, and the response to it (RFC 8613 section 10).
      understands: sealed ? OPTION.OSCORE : undefined,
      token: sealed ? tokenOf(bag['coap.Token']) : undefined,
      slots: this.#slots,
      nextTag: this.#nextTag
    }
  }
}

const LOSSES: ReadonlySet<string> = new Set(['timeout', 'peer-reset', 'port-unreachable', 'disconnected'])
