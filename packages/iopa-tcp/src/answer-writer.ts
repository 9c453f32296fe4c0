import {
  answerUnrun,
  type ConnectionUser,
  type Context,
  type Endpoint,
  type Host,
  holdBytes,
  type IopaError,
  nextChunk,
  type Outbox,
  type SealedAnswer,
  silenceLimit
} from '@iopa/transport'

// Beyond this many bytes the answers of one turn leave before all of them are made, so that a slow reader is noticed.
const FLUSH_BYTES = 64 * 1024

/** How answers look on the wire. */
export interface AnswerFormat {
  /** True when a stream is written piece by piece, as it comes. */
  readonly streams: boolean
  /** Hands the bytes of an answer to `out`, in order. @throws IopaError for what the format cannot carry. */
  write(answer: SealedAnswer, request: Context, out: AnswerOutput): void
}

/** Where the bytes of answers go. */
interface AnswerOutput {
  put(bytes: Uint8Array): void
}

/** What an answer writer works with. */
export interface AnswerPorts {
  readonly host: Host
  readonly endpoint: Endpoint
  /** Parent of every request; keys that middleware sets on it are inherited. */
  readonly connection: Context
  readonly user: ConnectionUser
  readonly outbox: Outbox
  readonly format: AnswerFormat
  /** Sends what is finished, and reads on, at the end of this turn. */
  readonly schedule: () => void
  /** Resolves when the peer reads again, or the connection is gone. */
  readonly drained: () => Promise<void>
  /** The connection cannot continue, and no answer can be sent. */
  readonly destroy: () => void
}

/**
 * The answers of one connection: those that have an order wait for their turn, and all wait while the peer does not
 * read. A request counts as in work until its answer has been written.
 */
export class AnswerWriter implements AnswerOutput {
  readonly #host: Host
  readonly #endpoint: Endpoint
  readonly #connection: Context
  readonly #user: ConnectionUser
  readonly #outbox: Outbox
  readonly #format: AnswerFormat
  readonly #schedule: () => void
  readonly #drained: () => Promise<void>
  readonly #destroy: () => void
  /** Requests in work. */
  inFlight = 0
  #closed = false
  readonly #order = new AnswerOrder()
  /** Finished requests that need no order and wait for the peer to read. */
  readonly #finished: Context[] = []
  #running: Context | null = null
  #ordered = false
  #streaming = false
  #unflushed = 0

  constructor({ host, endpoint, connection, user, outbox, format, schedule, drained, destroy }: AnswerPorts) {
    this.#host = host
    this.#endpoint = endpoint
    this.#connection = connection
    this.#user = user
    this.#outbox = outbox
    this.#format = format
    this.#schedule = schedule
    this.#drained = drained
    this.#destroy = destroy
  }

  /** The connection is gone. */
  close(): void {
    this.#closed = true
  }

  /** Runs a request; `ordered` says that its answer has to wait for its turn. */
  run(request: Context, ordered: boolean): void {
    this.#enter(request, ordered)
    this.#host.run(request, this.#done, this.#format.streams ? false : 'all')
    if (this.#running === request) {
      this.#running = null
      if (ordered) this.#order.add(request, false)
    }
  }

  /** Counts the body of a request among those in memory; false if there was no room and it has been refused. */
  holds(request: Context, bytes: number, seq?: number | string): boolean {
    try {
      holdBytes(request, bytes)
      return true
    } catch (error) {
      void request.end()
      this.refuse(error as IopaError, seq)
      return false
    }
  }

  /** Answers with an error what never became a request. */
  refuse(error: IopaError, seq?: number | string): void {
    const request = this.answering(seq)
    this.answer(request, error)
  }

  /** A context for an answer that is given without the pipeline. */
  answering(seq: number | string | undefined): Context {
    const request = this.#host.create({ method: 'GET', path: '/', query: '', rawPath: '/', endpoint: this.#endpoint, source: null }, this.#connection)
    request['iopa.Seq'] = seq
    return request
  }

  /** Sends an answer that was given without the pipeline, in its turn. */
  answer(request: Context, outcome: IopaError | number): void {
    answerUnrun(request, outcome)
    this.#enter(request, request['iopa.Seq'] === undefined)
    this.#done(request)
  }

  /** Writes bytes with all others of this turn of the event loop. */
  put(bytes: Uint8Array): void {
    this.#outbox.write(bytes)
    this.#unflushed += bytes.length
  }

  /** Writes a whole message out of turn, with all others of this turn of the event loop: to an observer. */
  send(bytes: Uint8Array): void {
    this.#outbox.write(bytes)
    this.#unflushed += bytes.length
    if (this.#unflushed >= FLUSH_BYTES) this.#flushMany()
  }

  /** Checks whether middleware has set another user in a request; `run` does this itself. */
  look(request: Context): void {
    this.#user.look(request)
  }

  /** Resolves when the peer reads again; at once, as undefined, when it does. */
  waits(): Promise<void> | undefined {
    return this.#outbox.writable ? undefined : this.#drained()
  }

  /** Call it between whole messages only. */
  #flushMany(): void {
    if (this.#unflushed < FLUSH_BYTES) return
    this.#unflushed = 0
    this.#outbox.flush()
  }

  /** Sends the finished requests that may go now. */
  sendFinished(): void {
    this.#unflushed = 0
    for (let request = this.#order.next; request !== undefined && this.#send(request); request = this.#order.next) this.#order.remove(request)
    let sent = 0
    while (sent < this.#finished.length && this.#send(this.#finished[sent]!)) sent++
    if (sent > 0) this.#finished.splice(0, sent)
  }

  #enter(request: Context, ordered: boolean): void {
    this.inFlight++
    this.#running = request
    this.#ordered = ordered
  }

  readonly #done = (request: Context): void => {
    const immediate = request === this.#running
    if (immediate) this.#running = null
    this.#user.look(request)
    if (this.#closed) return void request.end('disconnect')
    if (!immediate) this.#settle(request)
    else if (this.#ordered) {
      if (!this.#order.empty || !this.#send(request)) this.#order.add(request, true)
    } else if (this.#finished.length > 0 || !this.#send(request)) this.#finished.push(request)
  }

  #settle(request: Context): void {
    if (!this.#order.finish(request)) this.#finished.push(request)
    this.#schedule()
  }

  /** False while the answer has to wait: the peer does not read, or a stream is on its way. */
  #send(request: Context): boolean {
    if (!this.#outbox.writable || this.#streaming) return false
    const answer = request.response
    if (answer.isStream && this.#format.streams) {
      this.#streaming = true
      void this.#stream(request, answer.payload as AsyncIterable<Uint8Array>)
      return true
    }
    try {
      this.#format.write(answer, request, this)
    } catch (error) {
      this.#host.logger.error(`iopa: the answer to ${request} could not be written`, error)
      this.#destroy()
    }
    this.#flushMany()
    this.inFlight--
    void request.end()
    return true
  }

  async #stream(request: Context, payload: AsyncIterable<Uint8Array>): Promise<void> {
    const body = payload[Symbol.asyncIterator]()
    const limit = silenceLimit(request.response.type, this.#host.limits.idleTimeout)
    try {
      for (;;) {
        const { done, value } = await nextChunk(body, limit, this.#host.clock)
        if (done === true || this.#closed) break
        this.put(value)
        this.#flushMany()
        if (!this.#outbox.writable) await this.#drained()
        if (this.#closed) break
      }
      // The body was cancelled with its request.
      if (request.ended) this.#destroy()
    } catch (error) {
      if (!this.#closed) this.#host.logger.error(`iopa: the body of ${request} could not be read`, error)
      // Its end must not look like the end of the answer.
      this.#destroy()
    }
    this.#streaming = false
    this.inFlight--
    void request.end()
    this.#schedule()
  }
}

/** Requests whose answers are sent in the order of arrival, not in the order in which they finish. */
class AnswerOrder {
  // A map keeps the order of its keys; the value says whether the answer is there.
  readonly #requests = new Map<Context, boolean>()

  get empty(): boolean {
    return this.#requests.size === 0
  }

  add(request: Context, finished: boolean): void {
    this.#requests.set(request, finished)
  }

  /** False for a request that has no place in the order. */
  finish(request: Context): boolean {
    if (!this.#requests.has(request)) return false
    this.#requests.set(request, true)
    return true
  }

  /** The request whose turn it is, if its answer is there. */
  get next(): Context | undefined {
    for (const [request, finished] of this.#requests) return finished ? request : undefined
    return undefined
  }

  remove(request: Context): void {
    this.#requests.delete(request)
  }
}
