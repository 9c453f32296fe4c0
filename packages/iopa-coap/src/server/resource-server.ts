import {
  type Clock,
  type Context,
  type Counters,
  type Endpoint,
  type Host,
  holdBytes,
  isUnrouted,
  type SealedAnswer,
  type TimerHandle,
  usersOf
} from '@iopa/transport'
import { type Block, readBlock } from '../codec/block.ts'
import { CODE, methodOf } from '../codec/codes.ts'
import { AmplificationGuard } from './amplification.ts'
import { discover, LINK_FORMAT, WELL_KNOWN_CORE } from './discovery.ts'
import { ErrorResponses } from './error-responses.ts'
import type { Exchange, Notification, Remote } from './exchange.ts'
import { keyOf } from './kept-answers.ts'
import { type Observer, ObserverRegistry, type Responder } from './observers.ts'
import { PathCache } from './path-cache.ts'
import { Refusal } from './refusal.ts'
import { diagnostic, FormatTable, fitted, isRandomAccess, type Representation, represent } from './representation.ts'
import { type CoapRequest, readRequest } from './request.ts'
import { Responses } from './responses.ts'
import { Uploads } from './uploads.ts'

const NONE = -1
const SWEEP = 10_000
const BUSY_SECONDS = 30

/** What a resource server can be told. */
export interface ResourceServerOptions {
  readonly counters: Counters
  /** Size exponent of the largest block on datagrams. */
  readonly szx: number
  /** How many times the bytes of its request an answer to an unverified peer may have; Infinity for any. */
  readonly amplification: number
  /** Answers to a multicast request are spread over so many milliseconds. */
  readonly leisure: number
  /** Milliseconds for which parts of a body, in either direction, are kept. */
  readonly lifetime: number
  /** The two ends of a remote that is heard for the first time. */
  introduce(remote: Remote): Endpoint
}

/** Turns requests into contexts and answers into responses: all of CoAP that is above messages, the same for datagrams and connections. */
export class ResourceServer implements Responder {
  readonly #host: Host
  readonly #clock: Clock
  readonly #options: ResourceServerOptions
  readonly #paths: PathCache
  readonly #formats: FormatTable
  readonly #guard: AmplificationGuard
  readonly #uploads: Uploads
  readonly #errors: ErrorResponses
  readonly #responses: Responses
  readonly #observers: ObserverRegistry
  /** The last answer that was rendered for observers: most resources have many, who all get the same. */
  #rendered: { readonly answer: SealedAnswer; readonly accept: number; readonly representation: Representation } | undefined
  #sweep: TimerHandle | undefined

  constructor(host: Host, clock: Clock, options: ResourceServerOptions) {
    const { limits, logger } = host
    const { szx, leisure, lifetime, amplification } = options
    this.#host = host
    usersOf(host)
    this.#clock = clock
    this.#options = options
    this.#paths = new PathCache(limits)
    this.#formats = new FormatTable(host.scope.environment.codecs)
    this.#guard = new AmplificationGuard(clock, amplification)
    this.#uploads = new Uploads(
      { body: limits.body, bytes: 16 * limits.body, count: 1024, countPerOwner: 16, lifetime },
      host.scope.environment.bodies
    )
    this.#errors = new ErrorResponses({ limits, logger, guard: this.#guard })
    this.#responses = new Responses({ clock, guard: this.#guard, errors: this.#errors, bytes: 16 * limits.body, szx, leisure, lifetime })
    this.#observers = new ObserverRegistry(host, this, options.counters)
  }

  /** Answers a request, now or later. Never throws. */
  handle(exchange: Exchange): void {
    const { message, remote } = exchange
    try {
      const endpoint = (remote.endpoint ??= this.#introduce(remote))
      const request = readRequest(message, this.#paths, this.#host.limits, remote.reliable)
      if (request.echo !== undefined && !remote.verified) this.#guard.verify(remote, request.echo)
      this.#process(exchange, request, endpoint)
    } catch (error) {
      this.#errors.refuse(exchange, error)
    }
  }

  /** Forgets what is kept for a connection that is gone. */
  forget(remote: Remote): void {
    this.#uploads.forget(remote)
    this.#responses.forget(remote)
  }

  close(): void {
    if (this.#sweep !== undefined) this.#clock.clearTimeout(this.#sweep)
    this.#sweep = undefined
    this.#uploads.expire(Number.POSITIVE_INFINITY)
    this.#responses.close()
  }

  respondObserved(observer: Observer, answer: SealedAnswer): void {
    const { exchange, request, context } = observer
    const representation = represent(answer, exchange.message.code, request.accept, this.#formats)
    observer.contentFormat = representation.contentFormat
    const accepted = fitted(request, representation).code >> 5 === 2
    const sent = this.#responses.send(exchange, request, representation, accepted ? observer.sequence : NONE)
    if (!accepted || !sent) queueMicrotask(() => void context.end('unsubscribe'))
  }

  notification(observer: Observer, answer: SealedAnswer): Notification {
    let last: Representation
    try {
      const representation = this.#render(answer, observer.request.accept)
      // A representation of another format than the first is no notification any more (RFC 7641 section 4.2).
      const changed = answer.ok && representation.contentFormat !== observer.contentFormat
      if (answer.ok && !changed) return this.#responses.notification(observer, representation)
      last = changed ? FORMAT_CHANGED : representation
    } catch (error) {
      this.#host.logger.error('iopa: a CoAP notification could not be made', error)
      last = FAILED
    }
    observer.last = true
    return this.#responses.lastNotification(last)
  }

  #introduce(remote: Remote): Endpoint {
    this.#guard.introduce(remote)
    return this.#options.introduce(remote)
  }

  #render(answer: SealedAnswer, accept: number): Representation {
    let rendered = this.#rendered
    if (rendered?.answer !== answer || rendered.accept !== accept) {
      rendered = this.#rendered = { answer, accept, representation: represent(answer, CODE.GET, accept, this.#formats) }
    }
    return rendered.representation
  }

  #process(exchange: Exchange, request: CoapRequest, endpoint: Endpoint): void {
    const { message, remote } = exchange
    const method = methodOf(message.code)
    if (exchange.toMulticast && message.code !== CODE.GET) {
      exchange.suppress()
      return
    }
    if (method === undefined) throw new Refusal(CODE.METHOD_NOT_ALLOWED, 'CoAP has no such method.')
    if (request.block1 !== NONE) {
      if (!this.#assemble(exchange, request, readBlock(request.block1))) return
    } else if (message.bytes.length - message.optionsEnd - 1 > this.#host.limits.body) {
      this.#errors.tooLarge(exchange, request)
      return
    }
    if (request.block2 > 15 && this.#resume(exchange, request)) return
    if (request.observe === 1) this.#observers.cancel(exchange)
    const observes = request.observe === 0 && this.#observers.takes(exchange, request)
    const context = this.#host.create(
      { method, path: request.path, query: request.query, rawPath: request.path, endpoint, source: request },
      remote.connection
    )
    context['coap.Message'] = message
    if (request.assembled !== undefined) hold(context, request.assembled.buffer.byteLength)
    if (observes) this.#observers.register(exchange, request, context)
    else
      this.#host.run(
        context,
        () => {
          remote.user?.look(context)
          this.#answer(exchange, request, context)
        },
        true
      )
  }

  /** Takes a block of the body; true when it was the last. */
  #assemble(exchange: Exchange, request: CoapRequest, block: Block): boolean {
    const { remote, message } = exchange
    const announced = request.size1 === NONE ? undefined : request.size1
    const origin = {
      unverified: remote.verified ? undefined : remote.address,
      contentFormat: request.contentFormat === NONE ? undefined : request.contentFormat,
      sender: { 'server.User': remote.connection?.['server.User'], 'server.RemoteAddress': remote.address }
    }
    const result = this.#uploads.accept(remote, keyOf(remote, request), block, message.payload, announced, this.#clock.elapsed(), origin)
    this.#arm()
    switch (result.outcome) {
      case 'complete':
        request.assembled = result.body
        request.contentFormat = result.contentFormat ?? request.contentFormat
        return true
      case 'continue':
        this.#responses.proceed(exchange, block.num, block.szx)
        return false
      case 'too-large':
        this.#errors.tooLarge(exchange, request)
        return false
      case 'incomplete':
        throw new Refusal(
          CODE.REQUEST_ENTITY_INCOMPLETE,
          'A block before this one is missing, or has another Content-Format; begin again with block 0.'
        )
      case 'malformed':
        throw new Refusal(CODE.BAD_REQUEST, 'The payload is not as long as its block says.')
      default:
        this.#errors.busy(exchange, BUSY_SECONDS)
        return false
    }
  }

  /** Serves a later block of an answer that was begun; false when it has to be made anew, which only a GET may. */
  #resume(exchange: Exchange, request: CoapRequest): boolean {
    const again = (error: unknown): void => {
      // What has changed since is begun anew: the client sees another ETag.
      if (exchange.message.code === CODE.GET) this.handle(exchange)
      else this.#errors.fail(exchange, error)
    }
    if (this.#responses.resume(exchange, request, again)) return true
    if (exchange.message.code === CODE.GET) return false
    throw new Refusal(CODE.REQUEST_ENTITY_INCOMPLETE, 'The answer that this block belongs to is not kept any more; send the request again.')
  }

  #answer(exchange: Exchange, request: CoapRequest, context: Context): void {
    try {
      this.#respond(exchange, request, context)
    } catch (error) {
      this.#errors.fail(exchange, error)
      void context.end()
    }
  }

  #respond(exchange: Exchange, request: CoapRequest, context: Context): void {
    const answer = context.response
    const { code } = exchange.message
    const representation =
      request.path === WELL_KNOWN_CORE && code === CODE.GET && isUnrouted(context)
        ? { ...diagnostic(CODE.CONTENT, discover(this.#host, request.query, context)), contentFormat: LINK_FORMAT }
        : represent(answer, code, request.accept, this.#formats)
    // A body of which parts are read needs its context as long as there are parts to read.
    if (isRandomAccess(representation.payload)) this.#responses.send(exchange, request, representation, NONE, context)
    else {
      this.#responses.send(exchange, request, representation)
      void context.end()
    }
  }

  #arm(): void {
    if (this.#sweep !== undefined || this.#uploads.size === 0) return
    this.#sweep = this.#clock.setTimeout(() => {
      this.#sweep = undefined
      this.#uploads.expire(this.#clock.elapsed())
      this.#arm()
    }, SWEEP)
  }
}

const FAILED = diagnostic(CODE.INTERNAL_SERVER_ERROR, '')
const FORMAT_CHANGED = diagnostic(CODE.NOT_ACCEPTABLE, 'The resource has another Content-Format now.')

/** Counts a body that was assembled while its request lasts. @throws IopaError 503 when there is no room. */
const hold = (context: Context, bytes: number): void => {
  try {
    holdBytes(context, bytes)
  } catch (error) {
    void context.end()
    throw error
  }
}
