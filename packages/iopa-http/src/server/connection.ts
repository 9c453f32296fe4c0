import type { IncomingMessage, ServerResponse } from 'node:http'
import { Answer, type ByteChannel, type Clock, type Connection, type Context, type Host, IopaError, isIopaError, type Scope } from '@iopa/appbuilder'
import { Admission, type AdmissionRules } from './admission.ts'
import { fieldsOf } from '../message/answer-fields.ts'
import { formatAnswer, type Remainder, writeAnswer } from './answer-writer.ts'
import { EventStream, eventStreamFields, type Heartbeats } from '../events/event-stream.ts'
import { PeerWatch } from './peer-watch.ts'
import { answerTo, isParserError, malformedRequest } from '../message/refusal.ts'
import { HttpRequest } from './request.ts'
import { acceptsEventStream } from '../message/request-target.ts'
import { finish, leave, type Socket } from './socket.ts'

/** What the connections of one listener share. */
export interface ConnectionSettings extends AdmissionRules {
  readonly host: Host
  readonly clock: Clock
  readonly heartbeats: Heartbeats
  /** Milliseconds, for the `retry` of event streams. */
  readonly retry: number
  /** True once the listener is closing: every answer is the last of its connection. */
  closing: boolean
}

const DISCONNECTED = new IopaError(400, 'disconnected', 'The peer has gone before its request was complete.')
const SERVER_OPTIONS = Answer.received(204)

/**
 * One connection: its requests are answered one after another, those that were pipelined wait unread behind the one in
 * work. So a request has its connection to itself, and needs no listeners of its own.
 */
export class HttpConnection {
  readonly #settings: ConnectionSettings
  readonly #socket: Socket
  readonly #counted: Connection
  readonly #admission: Admission
  readonly #context: Context
  /** Parent of the requests: they inherit the keys that middleware sets on the connection, but not from one that a proxy shares out. */
  readonly #parent: Context | Scope
  readonly #watch: PeerWatch
  readonly #done = (context: Context): void => this.#answered(context)
  readonly #next = (): void => this.#startHeld()
  readonly #waitsForBody = (waiting: boolean): void => this.#watch.wait(waiting ? 'body' : null)
  /** The request in work. */
  #request: HttpRequest | null = null
  /** The last request, while the rest of its body is still to come, which node discards. */
  #discarded: IncomingMessage | null = null
  /** Requests that were pipelined. */
  readonly #held: { readonly message: IncomingMessage; readonly response: ServerResponse }[] = []
  #holds = false
  /** What the connection ends with when all requests before are answered. */
  #fault: IopaError | null = null
  /** The body that is being written. */
  #source: AsyncIterator<Uint8Array> | Iterator<Uint8Array> | null = null
  #wake: (() => void) | null = null
  /** This side has ended the connection. */
  #left = false
  /** The peer has gone. */
  #gone = false

  constructor(socket: Socket, channel: ByteChannel, counted: Connection, settings: ConnectionSettings) {
    this.#settings = settings
    this.#socket = socket
    this.#counted = counted
    this.#admission = new Admission(channel, settings)
    this.#context = settings.host.create(this.#admission.connection())
    this.#parent = this.#admission.proxied ? settings.host.scope : this.#context
    this.#watch = new PeerWatch(socket, settings.clock.now())
    socket.once('end', () => this.#vanish())
    socket.once('close', () => {
      this.#vanish()
      counted.remove()
    })
  }

  /** Takes a request: at once, or when those before it have been answered. */
  receive(message: IncomingMessage, response: ServerResponse): void {
    if (this.#left || this.#gone) return
    if (response.socket !== null) this.#start(message, response)
    else this.#hold(message, response)
  }

  /** Takes an error of the parser or of the socket. */
  malformed(error: Error): void {
    if (this.#left) return
    if (!isParserError(error)) {
      this.#socket.destroy()
      return
    }
    // What follows `Connection: close` is none of our business; the answer before it is.
    if ((error as { code?: string }).code === 'HPE_CLOSED_CONNECTION') return
    const fault = malformedRequest(error)
    if (this.#request?.unread === true) this.#request.break(fault)
    else if (this.#request !== null || this.#held.length > 0) this.#fault ??= fault
    else this.#leave(answerTo(fault))
  }

  /** Answers a CONNECT request, for which node gives the socket out of its hands. */
  refuseTunnel(): void {
    if (this.#request !== null || this.#held.length > 0) this.#socket.destroy()
    else this.#leave(answerTo(new IopaError(400, 'control-method', 'CONNECT is no method that a peer may ask for.')))
  }

  /** Ends the connection when nothing is in work on it. */
  finish(): void {
    if (this.#request === null && !this.#left) finish(this.#socket)
  }

  /** Ends an observation: nobody will tell the observer of changes any more. */
  endEvents(): void {
    if (this.#request?.context?.['iopa.Observe'] === true) void this.#request.context.end('shutdown')
  }

  /** Drops a connection whose peer keeps others waiting: it does not read, or does not send what it has begun to. */
  sweep(now: number): void {
    if (this.#left || this.#gone) return
    const { limits } = this.#settings
    if (this.#request !== null) {
      if (this.#watch.stalled(now, limits.idleTimeout)) this.#socket.destroy()
      return
    }
    if (this.#discarded?.complete === true) this.#discarded = null
    if (!this.#watch.late(now, limits.headerTimeout, this.#discarded !== null)) return
    if (this.#discarded !== null || this.#socket.bytesRead === 0 || this.#socket.writableLength > 0) this.#socket.destroy()
    else this.#leave(answerTo(new IopaError(408, 'header-timeout', `The header of the request did not come within ${limits.headerTimeout} ms.`)))
  }

  #start(message: IncomingMessage, response: ServerResponse): void {
    const { host, limits } = this.#settings
    this.#counted.touch()
    this.#watch.begin()
    this.#discarded = null
    const request = new HttpRequest(message, response, limits.body, this.#waitsForBody)
    this.#request = request
    const context = this.#admit(request)
    if (context === null) return
    request.context = context
    if (message.method === 'GET' && request.accept !== '' && acceptsEventStream(request.accept)) this.#observe(request, context)
    else host.run(context, this.#done)
    if (this.#request === request) this.#counted.busy(1)
  }

  /** The context of a request; null when it has been answered without one. */
  #admit(request: HttpRequest): Context | null {
    try {
      const init = this.#admission.admit(request)
      if (init.path !== '*') return this.#settings.host.create(init, this.#parent)
      this.#write(request, SERVER_OPTIONS)
    } catch (error) {
      this.#write(request, answerTo(isIopaError(error) ? error : new IopaError(500, 'internal-error')))
    }
    return null
  }

  /** Keeps a pipelined request, and reads no further. */
  #hold(message: IncomingMessage, response: ServerResponse): void {
    if (!this.#holds) {
      this.#holds = true
      // Node resumes the socket by itself when it discards or reads a body.
      this.#socket.on('resume', () => {
        if (this.#held.length > 0) this.#socket.pause()
      })
    }
    this.#held.push({ message, response })
    this.#socket.pause()
    if (this.#held.length === 1 && this.#request === null) this.#continue()
  }

  /** Goes on with what was held when everything written so far has left, and node has made the next response ready. */
  #continue(): void {
    if (this.#socket.writable) this.#socket.write('', this.#next)
  }

  #startHeld(): void {
    if (this.#left || this.#gone || this.#request !== null) return
    const held = this.#held[0]
    if (held === undefined) {
      if (this.#fault !== null) this.#leave(answerTo(this.#fault))
    } else if (held.response.socket !== null) {
      this.#held.shift()
      if (this.#held.length === 0) this.#socket.resume()
      this.#start(held.message, held.response)
    }
  }

  #answered(context: Context): void {
    const request = this.#request
    if (request === null || request.context !== context) discard(context.response)
    else this.#write(request, context.response)
  }

  #write(request: HttpRequest, answer: Answer): void {
    try {
      if (request.unfinishable && !answer.isStream) {
        this.#leave(answer, request.message.method === 'HEAD')
        this.#settle(request)
        return
      }
      const remainder = writeAnswer(request, answer, this.#settings.closing || request.upgrades)
      if (remainder !== null) void this.#pump(request, remainder)
      else {
        if (answer.isStream) discard(answer)
        this.#settle(request)
      }
    } catch (error) {
      this.#fail(request, error)
    }
  }

  /** Writes a streamed body as fast as the peer reads it. */
  async #pump(request: HttpRequest, { head, stream, length }: Remainder): Promise<void> {
    const { response } = request
    let left = length ?? Number.POSITIVE_INFINITY
    let begun = false
    const begin = (): void => {
      if (begun || this.#gone) return
      begun = true
      head()
    }
    // A stream that is silent at first, such as one of events, must not keep its head back; one that fails at once gets another.
    const flush = setImmediate(() => {
      try {
        begin()
        response.flushHeaders()
      } catch (error) {
        this.#fail(request, error)
      }
    })
    try {
      const source = (this.#source = iteratorOf(stream))
      for (;;) {
        const next = source.next()
        const { done, value } = 'then' in next ? await next : next
        if (this.#request !== request) return
        begin()
        if (done === true) break
        left -= value.length
        if (left < 0) throw new Error(`The body is longer than the ${length} bytes that its head has promised.`)
        if (value.length > 0 && !response.write(value)) await this.#drained(response)
        if (this.#request !== request) return
        this.#counted.touch()
      }
      this.#source = null
      if (length !== null && left > 0) throw new Error(`The body is ${left} bytes shorter than its head has promised.`)
      response.end()
      this.#settle(request)
    } catch (error) {
      this.#fail(request, error)
    } finally {
      clearImmediate(flush)
    }
  }

  /** Renders an observing GET: its answers as events, or the first one as it is when there is nothing to observe. */
  #observe(request: HttpRequest, context: Context): void {
    const { host, heartbeats, retry } = this.#settings
    const { response } = request
    context['iopa.Observe'] = true
    let events: EventStream | null = null
    context.defer(() => {
      events?.close()
      if (this.#request !== request) return
      response.end()
      this.#settle(request)
    })
    const sink = { write: (text: string) => response.write(text), drained: () => this.#drained(response) }
    const deliver = (answer: Answer): Promise<void> | void => {
      if (this.#request !== request) return
      if (events === null) {
        if (!answer.ok || answer.isStream) return this.#write(request, answer)
        response.writeHead(200, 'OK', eventStreamFields(fieldsOf(answer)))
        events = new EventStream(sink, heartbeats)
        return events.begin(answer, retry, context['iopa.Headers'].get('last-event-id') ?? '')
      }
      const delivered = events.deliver(answer)
      if (!answer.ok) void context.end()
      return delivered
    }
    host.observe(context, deliver).catch((error: unknown) => this.#fail(request, error))
  }

  #drained(response: ServerResponse): Promise<void> {
    if (this.#gone) return Promise.resolve()
    this.#watch.wait('drain')
    return new Promise(resolve => {
      this.#wake = () => {
        this.#wake = null
        this.#watch.wait(null)
        resolve()
      }
      response.once('drain', this.#wake)
    })
  }

  /** An answer that cannot be written: another one where nothing has left, else the end of the connection. */
  #fail(request: HttpRequest, error: unknown): void {
    if (this.#request !== request) return
    this.#settings.host.logger.error(`iopa: the answer to ${request.message.method} ${request.message.url} could not be written`, error)
    this.#source?.return?.()
    this.#source = null
    if (request.response.headersSent) request.response.destroy()
    else this.#leave(answerTo(new IopaError(500, 'internal-error')))
    this.#settle(request, 'reset')
  }

  #settle(request: HttpRequest, reason: 'finish' | 'reset' = 'finish'): void {
    this.#request = null
    if (request.unread) this.#discarded = request.message
    if (request.context !== null) {
      void request.context.end(reason)
      this.#counted.busy(0)
    }
    if (this.#held.length > 0 || this.#fault !== null) this.#continue()
  }

  /** Ends the connection with an answer of its own making. */
  #leave(answer: Answer, head = false): void {
    this.#left = true
    const { clock } = this.#settings
    leave(this.#socket, clock, formatAnswer(answer, clock.now(), head))
  }

  /** The peer has gone: what is in work for it ends. */
  #vanish(): void {
    if (this.#gone) return
    this.#gone = true
    const request = this.#request
    this.#request = null
    this.#held.length = 0
    this.#source?.return?.()
    this.#source = null
    this.#wake?.()
    const reason = this.#settings.closing ? 'shutdown' : 'disconnect'
    request?.break(DISCONNECTED)
    void request?.context?.end(reason)
    void this.#context.end(reason)
  }
}

const iteratorOf = (stream: Remainder['stream']): AsyncIterator<Uint8Array> | Iterator<Uint8Array> =>
  Symbol.asyncIterator in stream ? stream[Symbol.asyncIterator]() : stream[Symbol.iterator]()

/** Gives up a streamed body that nobody will read. */
const discard = (answer: Answer): void => {
  if (!answer.isStream) return
  const iterator = (answer.payload as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
  void iterator.return?.().catch(() => undefined)
}
