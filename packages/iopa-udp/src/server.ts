import {
  type AnsweredContext,
  answerUnrun,
  type BagAnswer,
  type BagRequest,
  bodyTooLarge,
  byteBody,
  type Clock,
  type Counters,
  type DatagramChannel,
  type DatagramReceiver,
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
import { answerLimit, FaultBudget } from './datagram-limit.ts'
import { Endpoints } from './endpoints.ts'

type Seq = number | string | undefined

const NOT_OBSERVABLE = new IopaError(501, 'not-observable', 'UDP cannot detect that an observer has left: observe over tcp or coap.')
const STATUS_KEY = '"iopa.StatusCode"'

/** A datagram socket of a listener: each datagram is a request, each answer a datagram. */
export class DatagramServer implements DatagramReceiver {
  readonly #channel: DatagramChannel
  readonly #host: Host
  readonly #raw: boolean
  readonly #endpoints: Endpoints
  readonly #faults: FaultBudget
  readonly #counters: Pick<Counters, 'refusal'>
  /** Takes no more requests. */
  closing = false

  constructor(channel: DatagramChannel, host: Host, clock: Clock, raw: boolean, counters: Pick<Counters, 'refusal'>) {
    this.#channel = channel
    this.#host = host
    this.#raw = raw
    this.#endpoints = new Endpoints(channel, host.limits)
    this.#faults = new FaultBudget(clock)
    this.#counters = counters
    channel.open(this)
  }

  message(bytes: Uint8Array, address: string, port: number): void {
    // Port 0 cannot be answered (RFC 768).
    if (this.closing || port === 0) return
    const endpoint = this.#endpoints.of(address, port)
    if (this.#raw)
      this.#run({ method: 'DATA', path: '/', query: '', rawPath: '/', endpoint, source: new DatagramSource(bytes) }, bytes.length, undefined)
    else this.#bag(bytes, endpoint)
  }

  /** Ignores socket errors: an unreachable peer is not a failure of this server. */
  error(): void {}

  #bag(bytes: Uint8Array, endpoint: Endpoint): void {
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
      this.#run({ method, path, query, rawPath: path, endpoint, source: new BagSource(bag) }, size, seq)
    }
  }

  #run(init: Parameters<Host['create']>[0], size: number, seq: Seq): void {
    const request = this.#host.create(init)
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
    this.#counters.refusal(status, code, endpoint)
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
    const limit = answerLimit(request.endpoint.remoteAddress, size)
    if (this.#raw) {
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
    const { remotePort, remoteAddress } = request.endpoint
    if (bytes !== null) this.#channel.send(bytes, remotePort, remoteAddress)
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
