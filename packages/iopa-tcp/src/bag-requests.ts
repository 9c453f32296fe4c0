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
import type { AnswerFormat } from './answer-writer.ts'
import type { FrameReceiver, RequestPorts } from './frame-receiver.ts'

const TOO_MANY = new IopaError(429, 'too-many-observations', 'This connection has reached its limit of observations: end one first.')

/** Bags on the wire: a JSON object per line. */
export const bagFormat: AnswerFormat = {
  streams: false,
  write(answer, request, out) {
    const left = request.requestedMethod === 'HEAD' || answer.isStream ? withoutBody(answer) : answer
    out.put(Buffer.from(`${encodeBagAnswer(left, request['iopa.Seq'])}\n`))
  }
}

/** The requests of a connection that carries bags: answers are matched by `iopa.Seq`, observations are named by it. */
export class BagRequests implements FrameReceiver {
  readonly #ports: RequestPorts
  readonly #observations = new Map<number | string, Context>()

  constructor(ports: RequestPorts) {
    this.#ports = ports
  }

  get occupied(): boolean {
    return this.#observations.size > 0
  }

  receive(frame: Uint8Array): void {
    const { host } = this.#ports
    const { limits } = host
    const bag = decodeBagRequest(frame, limits)
    if ('error' in bag) {
      const foreign = foreignProtocol(frame)
      if (foreign) throw foreign
      this.#refuse(bag.error, bag.seq)
    } else if (bag.body !== null && bag.body.length > limits.body) this.#refuse(bodyTooLarge(limits.body), bag.seq)
    else if (bag.observe === false) this.#unobserve(bag.seq!)
    else this.#request(bag)
  }

  userEnded(error: IopaError): void {
    this.#ports.answers.refuse(error)
  }

  #refuse(error: IopaError, seq: BagRequest['seq']): void {
    const { answers, counters, endpoint } = this.#ports
    counters.refusal(error.status, error.code, endpoint)
    answers.refuse(error, seq)
  }

  #request(bag: BagRequest): void {
    const { answers, host, endpoint, connection } = this.#ports
    const { method, path, query, observe, seq } = bag
    const request = host.create({ method, path, query, rawPath: path, endpoint, source: new BagSource(bag) }, connection)
    request['iopa.Observe'] = observe
    request['iopa.Seq'] = seq
    if (bag.body !== null && !answers.holds(request, bag.body.length, seq)) return
    if (observe) this.#observe(request, seq!)
    else answers.run(request, seq === undefined)
  }

  #observe(request: Context, seq: number | string): void {
    const { answers, host, counted, counters, schedule } = this.#ports
    const same = this.#observations.get(seq)
    if (same === undefined && this.#observations.size >= host.limits.observersPerConnection) {
      void request.end()
      this.#refuse(TOO_MANY, seq)
      return
    }
    void same?.end('unsubscribe')
    this.#observations.set(seq, request)
    counted.keepAlive(true)
    answers.inFlight++
    let waiting = true
    let over = false
    const entered = (): void => {
      if (!waiting) return
      waiting = false
      answers.inFlight--
      answers.look(request)
      schedule()
    }
    request.defer(() => {
      over = true
      if (this.#observations.get(seq) === request) this.#observations.delete(seq)
      counted.keepAlive(this.occupied)
      entered()
      schedule()
    })
    const deliver = (answer: SealedAnswer): void | Promise<void> => {
      if (over) return
      const waits = answers.waits()
      if (waits !== undefined) return waits.then(() => deliver(answer))
      // Answers to observers are collected.
      answers.send(Buffer.from(`${encodeBagAnswer(answer, seq)}\n`))
      if (waiting) entered()
      if (!answer.ok) void request.end()
      else return answers.waits()
    }
    counters.observed(request)
    void host.observe(request, deliver)
  }

  /** Ends an observation, if there is one, and says so: nothing with this seq comes after it. */
  #unobserve(seq: number | string): void {
    void this.#observations.get(seq)?.end('unsubscribe')
    const { answers } = this.#ports
    const request = answers.answering(seq)
    answers.answer(request, 204)
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

const HANDSHAKE = 0x16
const HTTP = / HTTP\/\d(?:\.\d)?$/

/**
 * What to answer to a line that another protocol begins with; null for any other line. A web page can make a browser
 * send HTTP, or a TLS handshake with lines of its choice in it, to any port of this machine: nothing after it may be obeyed.
 */
function foreignProtocol(line: Uint8Array): IopaError | null {
  const name = line[0] === HANDSHAKE ? 'TLS' : HTTP.test(Buffer.from(line.subarray(-10)).toString('latin1')) ? 'HTTP' : null
  return name && new IopaError(400, 'foreign-protocol', `This port takes lines of JSON, not ${name}.`)
}
