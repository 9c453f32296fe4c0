import {
  type AnsweredContext,
  answerUnrun,
  type BagAnswer,
  type BagRequest,
  bodyTooLarge,
  byteBody,
  type Clock,
  type Context,
  type ContextInit,
  type Counters,
  type DatagramChannel,
  decodeBagRequest,
  type Endpoint,
  encodeBagAnswer,
  type Host,
  holdBytes,
  IopaError,
  type RequestSource,
  reasonPhrase,
  type SealedAnswer
} from '@iopa/transport'
import { FaultBudget } from './datagram-limit.ts'

type Seq = number | string | undefined

const NOT_OBSERVABLE = new IopaError(501, 'not-observable', 'UDP cannot detect that an observer has left: observe over tcp or coap.')
const STATUS_KEY = '"iopa.StatusCode"'

/** What serves the datagrams of a channel. */
export interface Served {
  readonly server: DatagramServer
  /** Ends what is not in work any more, and the channel. */
  close(): Promise<void>
}

/** What serving needs. */
export interface Serving {
  readonly channel: DatagramChannel
  readonly host: Host
  readonly clock: Clock
  readonly raw: boolean
  readonly counters: Counters
}

/** What a server of datagrams is made of. */
export interface DatagramServerInit {
  readonly host: Host
  readonly clock: Clock
  readonly raw: boolean
  readonly counters: Pick<Counters, 'refusal'>
  /** Sends an answer to where its request came from. */
  send(endpoint: Endpoint, bytes: Uint8Array): void
  /** Most bytes of the answer to a request of `size` bytes. */
  limitOf(endpoint: Endpoint, size: number): number
}

/** Each datagram is a request, each answer a datagram. */
export class DatagramServer {
  readonly #init: DatagramServerInit
  readonly #host: Host
  readonly #faults: FaultBudget
  /** Takes no more requests. */
  closing = false

  constructor(init: DatagramServerInit) {
    this.#init = init
    this.#host = init.host
    this.#faults = new FaultBudget(init.clock)
  }

  /** Takes a datagram from an endpoint; `connection` is that of its session, if it has one. */
  receive(bytes: Uint8Array, endpoint: Endpoint, connection?: Context): void {
    if (this.closing) return
    if (this.#init.raw) {
      const init = { method: 'DATA', path: '/', query: '', rawPath: '/', endpoint, source: new DatagramSource(bytes) }
      this.#run(init, connection, bytes.length, undefined)
    } else this.#bag(bytes, endpoint, connection)
  }

  #bag(bytes: Uint8Array, endpoint: Endpoint, connection: Context | undefined): void {
    const { limits } = this.#host
    const size = bytes.length
    const bag = decodeBagRequest(bytes, limits)
    if ('error' in bag) {
      this.#report(bag.error, endpoint)
      // An answer that is answered would begin an endless conversation between two servers.
      if (!Buffer.from(bytes.buffer, bytes.byteOffset, size).includes(STATUS_KEY) && this.#faults.take())
        this.#answer(bag.error, endpoint, size, bag.seq)
    } else if (bag.body !== null && bag.body.length > limits.body) this.#refuse(bodyTooLarge(limits.body), endpoint, size, bag.seq)
    else if (bag.observe !== undefined) this.#refuse(NOT_OBSERVABLE, endpoint, size, bag.seq)
    else {
      const { method, path, query, seq } = bag
      this.#run({ method, path, query, rawPath: path, endpoint, source: new BagSource(bag) }, connection, size, seq)
    }
  }

  #run(init: ContextInit, connection: Context | undefined, size: number, seq: Seq): void {
    const request = this.#host.create(init, connection)
    request['iopa.Seq'] = seq
    try {
      holdBytes(request, size)
    } catch (error) {
      void request.end()
      this.#refuse(error as IopaError, request.endpoint, size, seq)
      return
    }
    this.#host.run(request, finished => this.#send(finished, finished.response, size, seq), 'all')
  }

  #report({ status, code }: IopaError, endpoint: Endpoint): void {
    this.#init.counters.refusal(status, code, endpoint)
  }

  #refuse(error: IopaError, endpoint: Endpoint, size: number, seq: Seq): void {
    this.#report(error, endpoint)
    this.#answer(error, endpoint, size, seq)
  }

  #answer(error: IopaError, endpoint: Endpoint, size: number, seq: Seq): void {
    const request = this.#host.create({ method: 'GET', path: '/', query: '', rawPath: '/', endpoint, source: null })
    this.#send(request, answerUnrun(request, error), size, seq)
  }

  #send(request: AnsweredContext, answer: SealedAnswer, size: number, seq: Seq): void {
    const limit = this.#init.limitOf(request.endpoint, size)
    if (this.#init.raw) {
      // A body that the status leaves out is still a stream.
      const bytes = answer.payload === null || answer.isStream ? null : answer.payloadBytes
      this.#transmit(request, bytes !== null && bytes.length <= limit ? bytes : null)
      return
    }
    const bytes = encoded(
      request.requestedMethod === 'HEAD' || answer.isStream ? { ...bare(answer.status), headerPairs: answer.headerPairs, type: answer.type } : answer,
      seq
    )
    // Of a refusal that is too long only the status is sent.
    if (bytes.length <= limit) this.#transmit(request, bytes)
    else this.#write(request, bare(answer.isProblem ? answer.status : 413), seq)
  }

  #write(request: AnsweredContext, answer: BagAnswer | null, seq: Seq): void {
    this.#transmit(request, answer && encoded(answer, seq))
  }

  #transmit(request: AnsweredContext, bytes: Uint8Array | null): void {
    if (bytes !== null) this.#init.send(request.endpoint, bytes)
    void request.end()
  }
}

const encoded = (answer: BagAnswer, seq: Seq): Uint8Array => Buffer.from(`${encodeBagAnswer(answer, seq)}\n`)

/** An answer that is a status and nothing else. */
const bare = (status: number): BagAnswer => ({ status, reason: reasonPhrase(status), headerPairs: [], type: '', encoded: false, payload: null })

/** The parts of a bag that a context reads on demand. */
class BagSource implements RequestSource {
  readonly #bag: BagRequest

  constructor(bag: BagRequest) {
    this.#bag = bag
  }

  headers(): string[] {
    return this.#bag.headers
  }

  contentType(): string {
    return this.#bag.contentType
  }

  body(): Uint8Array | null {
    return this.#bag.body
  }
}

/** A datagram as a body. */
class DatagramSource implements RequestSource {
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  body(): Uint8Array {
    return byteBody(this.#bytes)
  }
}
