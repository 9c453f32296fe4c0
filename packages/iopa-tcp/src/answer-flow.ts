import {
  answerUnrun,
  ConnectionUser,
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
import { AnswerOrder } from './answer-order.ts'

// Beyond this many bytes the answers of one turn leave before all of them are made, so that a slow reader is noticed.
const FLUSH_BYTES = 64 * 1024

/**
 * The answers of one connection: those that have an order wait for their turn, and all wait while the peer does not
 * read. A request counts as in work until its answer has been written.
 */
export abstract class AnswerFlow {
  protected readonly host: Host
  protected readonly outbox: Outbox
  protected readonly endpoint: Endpoint
  /** Parent of every request; keys that middleware sets on it are inherited. */
  protected readonly connection: Context
  protected readonly user: ConnectionUser
  /** Requests in work. */
  protected inFlight = 0
  protected closed = false
  readonly #order = new AnswerOrder()
  /** Finished requests that need no order and wait for the peer to read. */
  readonly #finished: Context[] = []
  #running: Context | null = null
  #ordered = false
  #streaming = false
  #unflushed = 0

  constructor(host: Host, outbox: Outbox, endpoint: Endpoint) {
    this.host = host
    this.outbox = outbox
    this.endpoint = endpoint
    this.connection = host.create({ method: 'CONNECT', path: '/', query: '', rawPath: '/', endpoint, source: null })
    // No pipeline runs for a connection, so there is nothing to wait for before its keys are inherited.
    answerUnrun(this.connection, 204)
    this.user = new ConnectionUser(host, this.connection, error => this.userEnded(error))
  }

  /** Writes an answer by `put`. */
  protected abstract write(answer: SealedAnswer, request: Context): void
  /** True when an answer's stream is written piece by piece, as it comes. */
  protected abstract get streams(): boolean
  /** Sends what is finished, and reads on, at the end of this turn. */
  protected abstract schedule(): void
  /** Resolves when the peer reads again, or the connection is gone. */
  protected abstract drained(): Promise<void>
  /** The user of the connection has expired or is revoked: it ends after what is in work. */
  protected abstract userEnded(error: IopaError): void
  /** The connection cannot go on, and the peer cannot be told. */
  protected abstract destroy(): void

  /** Runs a request; `ordered` says that its answer has to wait for its turn. */
  protected run(request: Context, ordered: boolean): void {
    this.#enter(request, ordered)
    this.host.run(request, this.#done, this.streams ? false : 'all')
    if (this.#running === request) {
      this.#running = null
      if (ordered) this.#order.add(request, false)
    }
  }

  /** Counts the body of a request among those in memory; false when there is no room, and it has been refused. */
  protected holds(request: Context, bytes: number, seq?: number | string): boolean {
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
  protected refuse(error: IopaError, seq?: number | string): void {
    const request = this.answering(seq)
    this.answer(request, error)
  }

  /** A context for an answer that is given without the pipeline. */
  protected answering(seq: number | string | undefined): Context {
    const request = this.host.create({ method: 'GET', path: '/', query: '', rawPath: '/', endpoint: this.endpoint, source: null }, this.connection)
    request['iopa.Seq'] = seq
    return request
  }

  /** Sends an answer that is given without the pipeline, in its turn: the problem of an error, or a status. */
  protected answer(request: Context, outcome: IopaError | number): void {
    answerUnrun(request, outcome)
    this.#enter(request, request['iopa.Seq'] === undefined)
    this.#done(request)
  }

  /** Writes bytes with all others of this turn. */
  protected put(bytes: Uint8Array): void {
    this.outbox.write(bytes)
    this.#unflushed += bytes.length
  }

  /** To be called between whole messages. */
  protected flushMany(): void {
    if (this.#unflushed < FLUSH_BYTES) return
    this.#unflushed = 0
    this.outbox.flush()
  }

  /** Sends the finished requests that may go now. */
  protected sendFinished(): void {
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
    this.user.look(request)
    if (this.closed) return void request.end('disconnect')
    if (!immediate) this.#settle(request)
    else if (this.#ordered) {
      if (!this.#order.empty || !this.#send(request)) this.#order.add(request, true)
    } else if (this.#finished.length > 0 || !this.#send(request)) this.#finished.push(request)
  }

  #settle(request: Context): void {
    if (!this.#order.finish(request)) this.#finished.push(request)
    this.schedule()
  }

  /** False while the answer has to wait: the peer does not read, or a stream is on its way. */
  #send(request: Context): boolean {
    if (!this.outbox.writable || this.#streaming) return false
    const answer = request.response
    if (answer.isStream && this.streams) {
      this.#streaming = true
      void this.#stream(request, answer.payload as AsyncIterable<Uint8Array>)
      return true
    }
    try {
      this.write(answer, request)
    } catch (error) {
      this.host.logger.error(`iopa: the answer to ${request} could not be written`, error)
      this.destroy()
    }
    this.flushMany()
    this.inFlight--
    void request.end()
    return true
  }

  async #stream(request: Context, payload: AsyncIterable<Uint8Array>): Promise<void> {
    const body = payload[Symbol.asyncIterator]()
    const limit = silenceLimit(request.response.type, this.host.limits.idleTimeout)
    try {
      for (;;) {
        const { done, value } = await nextChunk(body, limit, this.host.clock)
        if (done === true || this.closed) break
        this.put(value)
        this.flushMany()
        if (!this.outbox.writable) await this.drained()
        if (this.closed) break
      }
      // The body was given up with its request.
      if (request.ended) this.destroy()
    } catch (error) {
      if (!this.closed) this.host.logger.error(`iopa: the body of ${request} could not be read`, error)
      // Its end must not look like the end of the answer.
      this.destroy()
    }
    this.#streaming = false
    this.inFlight--
    void request.end()
    this.schedule()
  }
}
