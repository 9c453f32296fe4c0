import { setMaxListeners } from 'node:events'
import { type Bag, type Channel, type Clock, channelClosed, IopaError, type LinkAnswer, outgoing, readRequestBody } from '@iopa/transport'
import { isSafe } from '../codec/codes.ts'
import type { Requester } from '../exchanges/requester.ts'
import { type ClientRequest, Transfer, type TransferSettings } from '../exchanges/transfer.ts'
import { UploadSlots, until } from '../exchanges/upload-slots.ts'
import { ClientObservation } from './observation.ts'
import { clientAnswer, clientRequest } from './request.ts'

/** What a channel is made of, the same for datagrams and connections. */
export interface ClientChannelInit {
  /** For the Uri-Host option: the name that the URL has, empty for an address. */
  readonly host: string
  readonly clock: Clock
  /** Whether requests are confirmable that do not say. */
  readonly confirmable: boolean
  /** Most bytes of an answer, and of a request whose body is a stream. */
  readonly bodyLimit: number
  /** Milliseconds for the body of a request to be read. */
  readonly timeout: number
  /** The requester to use now; after a loss it may be another one. */
  requester(): Promise<Requester>
  /** Closes it, and fails all that waits on it. */
  close(): Promise<void>
}

/** The Channel of CoAP: requests one by one, and observations. */
export class ClientChannel implements Channel {
  readonly observable: readonly string[] = ['FETCH']
  readonly #init: ClientChannelInit
  readonly #observations = new Set<ClientObservation>()
  readonly #slots = new UploadSlots()
  /** True when the server has not answered since a request found it gone. */
  #lost = false
  #closed: Promise<void> | undefined
  /** Aborts when the channel is closed. */
  readonly #closing = new AbortController()
  #lastTag = 0
  readonly #nextTag = (): number => (this.#lastTag = (this.#lastTag + 1) >>> 0)

  constructor(init: ClientChannelInit) {
    this.#init = init
    // All that waits for something listens.
    setMaxListeners(0, this.#closing.signal)
  }

  async send(bag: Bag): Promise<LinkAnswer> {
    const { request, settings } = await this.#prepare(bag)
    try {
      const { message, payload } = await new Transfer(await until(this.#requester(), settings.signal), settings).run(request)
      const answer = clientAnswer(message, payload)
      if (this.#observations.size > 0) this.#succeeded(request, answer)
      return answer
    } catch (error) {
      if (isLoss(error)) this.#lost = true
      throw error
    }
  }

  async *observe(bag: Bag): AsyncGenerator<LinkAnswer> {
    if (bag['iopa.CallCancelled']?.aborted) return
    const { request, settings } = await this.#prepare(bag)
    if (!isSafe(request.code)) throw new IopaError(501, 'not-observable', 'CoAP observes with GET and FETCH alone (RFC 7641, RFC 8132 section 2.4).')
    const observation = new ClientObservation({ request, requester: () => this.#requester(), clock: this.#init.clock, settings })
    this.#observations.add(observation)
    try {
      yield* observation.answers()
    } finally {
      this.#observations.delete(observation)
    }
  }

  close(): Promise<void> {
    this.#closing.abort(channelClosed())
    this.#closed ??= this.#init.close()
    return this.#closed
  }

  async #requester(): Promise<Requester> {
    const requester = await this.#init.requester()
    requester.heard = this.#heard
    return requester
  }

  /** The server lives: observations that wait to try again since it could not be reached do so now, all of them where it had been lost. */
  readonly #heard = (): void => {
    const lost = this.#lost
    this.#lost = false
    if (this.#observations.size > 0) for (const observation of this.#observations) observation.prompt(lost)
  }

  /** The server answers: observations that wait to try again do so now, and one to which this answer is news. */
  #succeeded(request: ClientRequest, answer: LinkAnswer): void {
    for (const observation of this.#observations) if (observation.waits || observation.missed(request, answer)) observation.renew()
  }

  async #prepare(bag: Bag): Promise<{ readonly request: ClientRequest; readonly settings: TransferSettings }> {
    const { host, confirmable, bodyLimit, clock, timeout } = this.#init
    const out = outgoing(bag)
    const limit = out.body instanceof Uint8Array ? Number.POSITIVE_INFINITY : bodyLimit
    const body = await readRequestBody(out, { limit, clock, timeout, closing: this.#closing.signal })
    return {
      request: clientRequest({ ...out, body }, host),
      settings: { confirmable: bag['coap.Confirmable'] ?? confirmable, signal: out.signal, bodyLimit, slots: this.#slots, nextTag: this.#nextTag }
    }
  }
}

const LOSSES: ReadonlySet<string> = new Set(['timeout', 'reset', 'disconnected', 'connect-failed'])

const isLoss = (error: unknown): boolean => error instanceof IopaError && LOSSES.has(error.code)
