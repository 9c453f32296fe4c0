import { type Answer, type Bag, type Channel, type Clock, collectBytes, IopaError, outgoing } from '@iopa/appbuilder'
import { isSafe } from '../codec/codes.ts'
import type { ClientLink } from './link.ts'
import { ClientObservation } from './observation.ts'
import { type ClientRequest, clientRequest } from './request.ts'
import { Transfer, type TransferSettings } from './transfer.ts'
import { until } from './until.ts'
import { UploadSlots } from './upload-slots.ts'

/** What a channel is made of, the same for datagrams and connections. */
export interface ClientChannelInit {
  /** For the Uri-Host option: the name that the URL has, empty for an address. */
  readonly host: string
  readonly clock: Clock
  /** Whether requests are confirmable that do not say. */
  readonly confirmable: boolean
  /** Most bytes of an answer, and of a request whose body is a stream. */
  readonly bodyLimit: number
  /** The link to use now. */
  link(): Promise<ClientLink>
  /** Ends the link, and all that waits on it. */
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
  #closing: Promise<void> | undefined
  #lastTag = 0
  readonly #nextTag = (): number => (this.#lastTag = (this.#lastTag + 1) >>> 0)

  constructor(init: ClientChannelInit) {
    this.#init = init
  }

  async send(bag: Bag): Promise<Answer> {
    this.#assertOpen()
    const { request, settings } = await this.#prepare(bag)
    try {
      const answer = await new Transfer(await until(this.#init.link(), settings.signal), settings).run(request)
      if (this.#observations.size > 0) this.#succeeded(request, answer)
      return answer
    } catch (error) {
      if (isLoss(error)) this.#lost = true
      throw error
    }
  }

  async *observe(bag: Bag): AsyncGenerator<Answer> {
    this.#assertOpen()
    const { request, settings } = await this.#prepare(bag)
    if (!isSafe(request.code)) throw new IopaError(501, 'not-observable', 'CoAP observes with GET and FETCH alone (RFC 7641, RFC 8132 section 2.4).')
    const { link, clock } = this.#init
    const observation = new ClientObservation({ request, link: () => link(), clock, settings })
    this.#observations.add(observation)
    try {
      yield* observation.answers()
    } finally {
      this.#observations.delete(observation)
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#init.close()
    return this.#closing
  }

  /** The server answers: observations that wait to try again do so now, all of them where it had been lost, and one to which this answer is news. */
  #succeeded(request: ClientRequest, answer: Answer): void {
    const lost = this.#lost
    this.#lost = false
    for (const observation of this.#observations) if (lost || observation.waits || observation.missed(request, answer)) observation.renew()
  }

  async #prepare(bag: Bag): Promise<{ readonly request: ClientRequest; readonly settings: TransferSettings }> {
    const { host, confirmable, bodyLimit } = this.#init
    const out = outgoing(bag)
    const body = out.body === null || out.body instanceof Uint8Array ? out.body : await collectBytes(out.body, bodyLimit)
    return {
      request: clientRequest({ ...out, body }, host),
      settings: { confirmable: bag['coap.Confirmable'] ?? confirmable, signal: out.signal, bodyLimit, slots: this.#slots, nextTag: this.#nextTag }
    }
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new IopaError(503, 'channel-closed', 'This channel has been closed.')
  }
}

const LOSSES: ReadonlySet<string> = new Set(['timeout', 'reset', 'disconnected', 'connect-failed'])

const isLoss = (error: unknown): boolean => error instanceof IopaError && LOSSES.has(error.code)
