import {
  type BagAnswer,
  type BagRequest,
  bodyTooLarge,
  type Context,
  decodeBagRequest,
  encodeBagAnswer,
  IopaError,
  type RequestSource,
  type SealedAnswer
} from '@iopa/transport'
import { foreignProtocol } from './foreign-protocol.ts'
import { Session } from './session.ts'

const TOO_MANY = new IopaError(429, 'too-many-observations', 'This connection observes as much as it may; end an observation first.')

/** A session of bags: a JSON object per line, answers matched by `iopa.Seq`, observations named by it. */
export class BagSession extends Session {
  readonly #observations = new Map<number | string, Context>()

  protected get occupied(): boolean {
    return this.#observations.size > 0
  }

  protected get streams(): boolean {
    return false
  }

  protected receive(frame: Uint8Array): void {
    const { limits } = this.host
    const bag = decodeBagRequest(frame, limits)
    if ('error' in bag) {
      const foreign = foreignProtocol(frame)
      if (foreign) throw foreign
      this.refuse(bag.error, bag.seq)
    } else if (bag.body !== null && bag.body.length > limits.body) this.refuse(bodyTooLarge(limits.body), bag.seq)
    else if (bag.observe === false) this.#unobserve(bag.seq!)
    else this.#request(bag)
  }

  protected override unauthorized(error: IopaError): void {
    this.refuse(error)
  }

  protected write(answer: SealedAnswer, request: Context): void {
    this.#line(request.requestedMethod === 'HEAD' || answer.isStream ? withoutBody(answer) : answer, request['iopa.Seq'])
  }

  #request(bag: BagRequest): void {
    const { method, path, query, observe, seq } = bag
    const request = this.host.create({ method, path, query, rawPath: path, endpoint: this.endpoint, source: new BagSource(bag) }, this.connection)
    request['iopa.Observe'] = observe
    request['iopa.Seq'] = seq
    if (bag.body !== null && !this.holds(request, bag.body.length, seq)) return
    if (observe) this.#observe(request, seq!)
    else this.run(request, seq === undefined)
  }

  #line(answer: BagAnswer, seq: number | string | undefined): void {
    this.put(Buffer.from(`${encodeBagAnswer(answer, seq)}\n`))
  }

  #observe(request: Context, seq: number | string): void {
    const same = this.#observations.get(seq)
    if (same === undefined && this.#observations.size >= this.host.limits.observersPerConnection) {
      void request.end()
      this.refuse(TOO_MANY, seq)
      return
    }
    void same?.end('unsubscribe')
    this.#observations.set(seq, request)
    this.counted.keepAlive(true)
    this.inFlight++
    let waiting = true
    const entered = (): void => {
      if (!waiting) return
      waiting = false
      this.inFlight--
      this.user.look(request)
      this.schedule()
    }
    request.defer(() => {
      if (this.#observations.get(seq) === request) this.#observations.delete(seq)
      this.counted.keepAlive(this.occupied)
      entered()
      this.schedule()
    })
    const deliver = (answer: SealedAnswer): void | Promise<void> => {
      if (request.ended) return
      if (!this.outbox.writable) return this.drained().then(() => deliver(answer))
      this.#line(answer, seq)
      this.flushMany()
      entered()
      if (!answer.ok) void request.end()
      else if (!this.outbox.writable) return this.drained()
    }
    this.counters.observed(request)
    void this.host.observe(request, deliver)
  }

  /** Ends an observation, if there is one, and says so: nothing with this seq comes after it. */
  #unobserve(seq: number | string): void {
    void this.#observations.get(seq)?.end('unsubscribe')
    const request = this.answering(seq)
    this.answer(request, 204)
  }
}

const withoutBody = ({ status, reason, headerPairs, type }: SealedAnswer): BagAnswer => ({
  status,
  reason,
  headerPairs,
  type,
  encoded: false,
  payload: null
})

/** The parts of a bag that a context asks for when somebody reads them. */
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
