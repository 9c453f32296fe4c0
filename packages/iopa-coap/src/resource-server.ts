import { randomBytes } from 'node:crypto'
import {
  type Answer,
  type Clock,
  type Context,
  type Endpoint,
  type Host,
  IopaError,
  isIopaError,
  isLoopback,
  isUnrouted,
  type TimerHandle
} from '@iopa/appbuilder'
import { BERT, type Block, blockSize, blockValue, readBlock } from './block.ts'
import { CODE, codeOfStatus, methodOf } from './codes.ts'
import { discover, WELL_KNOWN_CORE } from './discovery.ts'
import { EchoValues } from './echo.ts'
import { etagHeader, etagOption, hashOf, sameEtag } from './etag.ts'
import type { Exchange, Remote } from './exchange.ts'
import { FORMAT_CHANGED, type Observer, ObserverRegistry, type Responder } from './observers.ts'
import { NO_OPTIONS, OptionWriter } from './option-writer.ts'
import { OPTION } from './options.ts'
import { PathCache } from './path-cache.ts'
import { diagnostic, FormatTable, isRandomAccess, type Representation, represent, writeRepresentation } from './representation.ts'
import { type CoapRequest, Refusal, readRequest } from './request.ts'
import { Snapshots } from './snapshots.ts'
import { Uploads } from './uploads.ts'

const NONE = -1
const NOTHING = new Uint8Array(0)
const SWEEP = 10_000
const ECHO_LIFETIME = 120_000
const LINK_FORMAT = 40

/** What a resource server can be told. */
export interface ResourceServerOptions {
  /** Size exponent of the blocks that it prefers. */
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

interface Snapshot {
  readonly representation: Representation
  readonly held: number
  /** Lives as long as its body can be read. */
  readonly context: Context | undefined
  release(): void
}

/** Turns requests into contexts and answers into responses: all of CoAP that is above messages, the same for datagrams and connections. */
export class ResourceServer implements Responder {
  readonly #host: Host
  readonly #clock: Clock
  readonly #options: ResourceServerOptions
  readonly #paths: PathCache
  readonly #formats: FormatTable
  readonly #writer = new OptionWriter()
  readonly #uploads: Uploads
  readonly #snapshots: Snapshots<Snapshot>
  readonly #observers: ObserverRegistry
  readonly #echo = new EchoValues(ECHO_LIFETIME)
  /** Requests with preconditions, one after the other for each path. */
  readonly #conditional = new Map<string, Promise<void>>()
  /** The last answer that was rendered for observers: most have many, who all get the same. */
  #rendered: { readonly answer: Answer; readonly accept: number; readonly representation: Representation } | undefined
  #sweep: TimerHandle | undefined

  constructor(host: Host, clock: Clock, options: ResourceServerOptions) {
    const { limits } = host
    this.#host = host
    this.#clock = clock
    this.#options = options
    this.#paths = new PathCache(limits)
    this.#formats = new FormatTable(host.scope.environment.codecs)
    const bounds = { bytes: 16 * limits.body, count: 1024, countPerOwner: 16, lifetime: options.lifetime }
    this.#uploads = new Uploads({ ...bounds, body: limits.body })
    this.#snapshots = new Snapshots(bounds)
    this.#observers = new ObserverRegistry(host, this)
  }

  /** Answers a request, now or later. Never throws. */
  handle(exchange: Exchange): void {
    const { message, remote } = exchange
    try {
      const endpoint = (remote.endpoint ??= this.#introduce(remote))
      const request = readRequest(message, this.#paths, this.#host.limits, remote.reliable)
      if (request.echo !== undefined && !remote.verified)
        remote.verified = this.#echo.verify(request.echo, remote.address, remote.port, this.#clock.now())
      this.#process(exchange, request, endpoint)
    } catch (error) {
      this.#refuse(exchange, error)
    }
  }

  /** Forgets what is kept for a connection that is gone. */
  forget(remote: Remote): void {
    this.#uploads.forget(remote)
    this.#snapshots.forget(remote)
  }

  close(): void {
    if (this.#sweep !== undefined) this.#clock.clearTimeout(this.#sweep)
    this.#sweep = undefined
    this.#snapshots.expire(Number.POSITIVE_INFINITY)
    this.#uploads.expire(Number.POSITIVE_INFINITY)
  }

  respondObserved(observer: Observer, answer: Answer): void {
    const { exchange, request, context } = observer
    const representation = represent(answer, exchange.message.code, request.accept, this.#formats)
    observer.contentFormat = representation.contentFormat
    const fitting = fitted(request, representation)
    const accepted = fitting.code >> 5 === 2
    this.#respond(exchange, request, fitting, accepted ? observer.sequence : NONE, undefined)
    if (!accepted) queueMicrotask(() => void context.end('unsubscribe'))
  }

  notify(observer: Observer, answer: Answer): Promise<void> | undefined {
    const { exchange, request, subscriber, context } = observer
    const { remote } = exchange
    const { accept } = request
    let rendered = this.#rendered
    if (rendered === undefined || rendered.answer !== answer || rendered.accept !== accept) {
      rendered = this.#rendered = { answer, accept, representation: represent(answer, CODE.GET, accept, this.#formats) }
    }
    const { representation } = rendered
    if (!answer.ok || representation.contentFormat !== observer.contentFormat) {
      // The last one, and so without an Observe option (RFC 7641 section 4.2).
      const last = answer.ok ? diagnostic(FORMAT_CHANGED, 'The resource has another Content-Format now.') : representation
      const delivered = subscriber.notify(last.code, writeRepresentation(this.#writer, last, MESSAGE), last.payload as Uint8Array)
      const end = (): void => void context.end('unsubscribe')
      if (delivered === undefined) queueMicrotask(end)
      else void delivered.then(end)
      return undefined
    }
    const payload = representation.payload as Uint8Array
    const szx = Math.min(request.block2 === NONE ? this.#options.szx : request.block2 & 7, remote.maxSzx)
    const single = request.block2 === NONE ? Math.min(blockSize(this.#options.szx), remote.maxPayload) : blockSize(szx)
    let block2 = NONE
    let part = payload
    if (payload.length > (remote.reliable && request.block2 === NONE ? remote.maxPayload : single)) {
      representation.etag ??= hashOf(payload)
      this.#keep(remote, request, representation, undefined)
      part = payload.subarray(0, blockSize(szx))
      block2 = blockValue(0, true, szx)
    } else if (request.block2 !== NONE) block2 = blockValue(0, false, szx)
    const options = writeRepresentation(this.#writer, representation, {
      observe: observer.sequence,
      block1: NONE,
      block2,
      size1: NONE,
      size2: part === payload ? NONE : payload.length
    })
    return subscriber.notify(representation.code, options, part)
  }

  #introduce(remote: Remote): Endpoint {
    if (remote.reliable || this.#options.amplification === Number.POSITIVE_INFINITY || isLoopback(remote.address)) remote.verified = true
    return this.#options.introduce(remote)
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
      this.#tooLarge(exchange, request)
      return
    }
    if (request.block2 > 15 && this.#continue(exchange, request)) return
    if (request.observe === 1) this.#observers.cancel(remote, message.token)
    const observes =
      request.observe === 0 &&
      message.code === CODE.GET &&
      !exchange.toMulticast &&
      request.path !== WELL_KNOWN_CORE &&
      this.#observers.hasRoom(remote, message.token)
    if (observes && !remote.verified) {
      this.#challenge(exchange)
      return
    }
    const context = this.#host.create(
      { method, path: request.path, query: request.query, rawPath: request.path, endpoint, source: request },
      remote.connection
    )
    if (observes) this.#observers.register(exchange, request, context)
    else if (request.conditional) this.#whenAllowed(exchange, request, context)
    else this.#run(exchange, request, context)
  }

  #run(exchange: Exchange, request: CoapRequest, context: Context): void {
    this.#host.run(context, () => this.#answer(exchange, request, context))
  }

  #answer(exchange: Exchange, request: CoapRequest, context: Context): void {
    const answer = context.response
    const { code } = exchange.message
    if (code === CODE.GET && request.path === WELL_KNOWN_CORE && isUnrouted(context)) {
      this.#respond(exchange, request, this.#discovered(request), NONE, undefined)
      void context.end()
    } else if (answer.isStream && !isRandomAccess(answer.payload)) {
      answer.collect(this.#host.limits.body).then(
        () => this.#answer(exchange, request, context),
        (error: unknown) => {
          this.#failed(exchange, error)
          void context.end()
        }
      )
    } else {
      const representation = represent(answer, code, request.accept, this.#formats)
      // A body of which parts are read needs its context as long as there are parts to read.
      const kept = isRandomAccess(representation.payload) ? context : undefined
      this.#respond(exchange, request, representation, NONE, kept)
      if (kept === undefined) void context.end()
    }
  }

  #discovered(request: CoapRequest): Representation {
    return { ...diagnostic(CODE.CONTENT, discover(this.#host, request.query)), contentFormat: LINK_FORMAT }
  }

  /** Cuts a representation to what fits, and sends it. Ends `context` when its body is not needed any more. */
  #respond(exchange: Exchange, request: CoapRequest, given: Representation, observe: number, context: Context | undefined): void {
    const { remote } = exchange
    const representation = fitted(request, given)
    if (representation !== given && context !== undefined) {
      void context.end()
      context = undefined
    }
    const size = sizeOf(representation)
    const asked = request.block2
    let szx = Math.min(asked === NONE ? this.#options.szx : asked & 7, remote.maxSzx)
    let single =
      asked === NONE ? (remote.reliable ? remote.maxPayload : Math.min(blockSize(this.#options.szx), remote.maxPayload)) : lengthOfBlock(szx, remote)
    if (!remote.verified) {
      const room = this.#room(exchange, representation)
      if (size > room && size > 16) {
        if (representation.code >= 128) {
          const short = shortened(representation, room)
          this.#send(exchange, request, short, observe, NONE, short.payload as Uint8Array)
          return
        }
        // What has changed the state is answered in any case; asking for it again would change it again.
        if (room < 16 && (exchange.message.code === CODE.GET || exchange.message.code === CODE.FETCH)) {
          void context?.end()
          this.#challenge(exchange)
          return
        }
        while (szx > 0 && blockSize(szx) > room) szx--
        single = Math.min(single, blockSize(szx))
      }
    }
    if (size <= single && asked <= 15) {
      this.#sendPart(exchange, request, representation, observe, asked === NONE ? NONE : blockValue(0, false, szx), 0, size, context)
      return
    }
    const num = asked === NONE ? 0 : asked >>> 4
    const start = num * blockSize(szx)
    if (start >= size && num > 0) {
      void context?.end()
      this.#send(exchange, request, NO_SUCH_BLOCK, NONE, NONE, NO_SUCH_BLOCK.payload as Uint8Array)
      return
    }
    if (representation.etag === undefined && representation.code >> 5 === 2)
      representation.etag = isRandomAccess(representation.payload) ? randomBytes(8) : hashOf(representation.payload)
    const snapshot = this.#keep(remote, request, representation, context)
    this.#sendBlock(exchange, request, snapshot, num, szx, observe)
  }

  #sendBlock(exchange: Exchange, request: CoapRequest, snapshot: Snapshot, asked: number, askedSzx: number, observe: number): void {
    const { representation } = snapshot
    const size = sizeOf(representation)
    const start = asked * blockSize(askedSzx)
    let szx = askedSzx
    if (!exchange.remote.verified) {
      const room = this.#room(exchange, representation)
      while (szx > 0 && blockSize(szx) > room) szx--
    }
    const num = start / blockSize(szx)
    if (start >= size) {
      this.#send(exchange, request, NO_SUCH_BLOCK, NONE, NONE, NO_SUCH_BLOCK.payload as Uint8Array)
      return
    }
    const end = Math.min(size, start + lengthOfBlock(szx, exchange.remote))
    // After the last part nothing is left to read: what comes again is answered by the message layer.
    this.#sendPart(
      exchange,
      request,
      representation,
      observe,
      blockValue(num, end < size, szx),
      start,
      end,
      end === size ? snapshot.context : undefined
    )
  }

  /** Sends the bytes from `start` to `end`, which may have to be read first; then ends `context`. */
  #sendPart(
    exchange: Exchange,
    request: CoapRequest,
    representation: Representation,
    observe: number,
    block2: number,
    start: number,
    end: number,
    context: Context | undefined
  ): void {
    const { payload } = representation
    if (!isRandomAccess(payload)) {
      this.#send(exchange, request, representation, observe, block2, start === 0 && end === payload.length ? payload : payload.subarray(start, end))
      return
    }
    payload.read(start, end).then(
      part => {
        this.#send(exchange, request, representation, observe, block2, part)
        void context?.end()
      },
      (error: unknown) => {
        this.#failed(exchange, error)
        void context?.end()
      }
    )
  }

  #send(exchange: Exchange, request: CoapRequest, representation: Representation, observe: number, block2: number, part: Uint8Array): void {
    const { code } = representation
    // RFC 7967 section 2.1: a bit for each class of responses that is not wanted.
    if (request.noResponse !== 0 && (request.noResponse >> ((code >> 5) - 1)) & 1) {
      exchange.suppress()
      return
    }
    const assembled = request.block1 !== NONE
    const options = writeRepresentation(this.#writer, representation, {
      observe,
      block2,
      block1: assembled ? request.block1 & ~8 : NONE,
      size2: (block2 & ~7) === 8 && exchange.remote.verified ? sizeOf(representation) : NONE,
      size1: NONE
    })
    if (exchange.toMulticast) this.#sendLater(exchange, code, options, part)
    else exchange.respond(code, options, part)
  }

  /** Answers a multicast request at a random moment, or not at all (RFC 7252 section 8.2). */
  #sendLater(exchange: Exchange, code: number, options: OptionWriter, payload: Uint8Array): void {
    if (code >> 5 !== 2 || payload.length === 0) {
      exchange.suppress()
      return
    }
    const copy = options.copy()
    this.#clock.setTimeout(() => exchange.respond(code, copy, payload), Math.random() * this.#options.leisure)
  }

  /** Serves a later block of an answer that was begun; false when it has to be made anew. */
  #continue(exchange: Exchange, request: CoapRequest): boolean {
    const { remote, message } = exchange
    const snapshot = this.#snapshots.find(keyOf(remote, request), this.#clock.now())
    const { num, szx } = readBlock(request.block2)
    if (snapshot !== undefined) {
      this.#sendBlock(exchange, request, snapshot, num, Math.min(szx, remote.maxSzx), NONE)
      return true
    }
    if (message.code === CODE.GET) return false
    throw new Refusal(CODE.REQUEST_ENTITY_INCOMPLETE, 'The answer that this block belongs to is not kept any more; send the request again.')
  }

  /** Takes a block of the body; true when it was the last. */
  #assemble(exchange: Exchange, request: CoapRequest, block: Block): boolean {
    const { remote, message } = exchange
    const result = this.#uploads.accept(
      remote,
      keyOf(remote, request),
      block,
      message.payload,
      request.size1 === NONE ? undefined : request.size1,
      this.#clock.now()
    )
    this.#arm()
    switch (result.outcome) {
      case 'complete':
        request.assembled = result.body
        return true
      case 'continue':
        exchange.respond(
          CODE.CONTINUE,
          this.#writer.reset().uint(OPTION.BLOCK1, blockValue(block.num, true, Math.min(block.szx, this.#blockLimit(remote)))),
          NOTHING
        )
        return false
      case 'too-large':
        this.#tooLarge(exchange, request)
        return false
      case 'incomplete':
        throw new Refusal(CODE.REQUEST_ENTITY_INCOMPLETE, 'A block before this one is missing; begin again with block 0.')
      case 'malformed':
        throw new Refusal(CODE.BAD_REQUEST, 'The payload is not as long as its block says.')
      default:
        this.#send(exchange, request, { ...diagnostic(CODE.SERVICE_UNAVAILABLE, ''), maxAge: 30 }, NONE, NONE, NOTHING)
        return false
    }
  }

  #blockLimit(remote: Remote): number {
    return remote.reliable ? remote.maxSzx : this.#options.szx
  }

  #tooLarge(exchange: Exchange, request: CoapRequest): void {
    const { body } = this.#host.limits
    const options = this.#writer.reset()
    // Telling the block says that there is a size that would do (RFC 7959 section 2.9.3).
    if (request.block1 !== NONE) options.uint(OPTION.BLOCK1, request.block1 & ~8)
    exchange.respond(CODE.REQUEST_ENTITY_TOO_LARGE, options.uint(OPTION.SIZE1, body), Buffer.from(`The body is larger than ${body} bytes.`))
  }

  /** Runs a request when the state is as its If-Match or If-None-Match option says, else answers 4.12 (RFC 7252 section 5.10.8). */
  #whenAllowed(exchange: Exchange, request: CoapRequest, context: Context): void {
    const { path } = request
    const check = async (): Promise<void> => {
      const answer = await this.#host.represent(path, context)
      // Who may not even look is told so by the pipeline.
      if (answer.ok || answer.status === 404 || answer.status === 405 || answer.status === 410) {
        const tags = request.etags(OPTION.IF_MATCH)
        const current = answer.ok ? currentTag(answer) : undefined
        const wanted = tags.length === 0 || (current !== undefined && tags.some(tag => tag.length === 0 || sameEtag(tag, etagOption(current))))
        const absent = !answer.ok || !exchange.message.options.has(OPTION.IF_NONE_MATCH)
        if (!wanted || !absent) {
          const text = wanted ? 'The resource exists already.' : 'The resource is not in the state that If-Match names.'
          const refusal = diagnostic(CODE.PRECONDITION_FAILED, text)
          this.#send(exchange, request, refusal, NONE, NONE, refusal.payload as Uint8Array)
          await context.end()
          return
        }
        if (tags.length > 0 && current !== undefined && !tags.some(tag => tag.length === 0)) request.matched = current
      }
      await new Promise<void>(resolve =>
        this.#host.run(context, () => {
          this.#answer(exchange, request, context)
          resolve()
        })
      )
    }
    const turn = (this.#conditional.get(path) ?? Promise.resolve()).then(check).catch((error: unknown) => {
      this.#failed(exchange, error)
      void context.end()
    })
    this.#conditional.set(path, turn)
    void turn.then(() => {
      if (this.#conditional.get(path) === turn) this.#conditional.delete(path)
    })
  }

  /** Asks the peer to show that it receives at its address (RFC 9175 section 2.4). */
  #challenge(exchange: Exchange): void {
    const { address, port } = exchange.remote
    exchange.respond(CODE.UNAUTHORIZED, this.#writer.reset().opaque(OPTION.ECHO, this.#echo.issue(address, port, this.#clock.now())), NOTHING)
  }

  /** Bytes of payload that an answer to an unverified peer may have. */
  #room(exchange: Exchange, representation: Representation): number {
    const { message } = exchange
    const options = writeRepresentation(this.#writer, representation, { ...MESSAGE, block2: 8 }).length + (representation.etag === undefined ? 9 : 0)
    return this.#options.amplification * message.bytes.length - (5 + message.tokenEnd - message.tokenStart + options)
  }

  #keep(remote: Remote, request: CoapRequest, representation: Representation, context: Context | undefined): Snapshot {
    const { payload } = representation
    const snapshot: Snapshot = {
      representation,
      held: isRandomAccess(payload) ? 0 : payload.length,
      context,
      release: () => void context?.end()
    }
    this.#snapshots.keep(remote, keyOf(remote, request), snapshot, this.#clock.now())
    this.#arm()
    return snapshot
  }

  #refuse(exchange: Exchange, error: unknown): void {
    if (exchange.toMulticast) {
      exchange.suppress()
      return
    }
    if (error instanceof Refusal) exchange.respond(error.code, NO_OPTIONS, this.#diagnosis(exchange, error.detail))
    else if (isIopaError(error))
      exchange.respond(codeOfStatus(error.status, exchange.message.code), NO_OPTIONS, this.#diagnosis(exchange, error.detail))
    else this.#failed(exchange, error)
  }

  #diagnosis(exchange: Exchange, text: string): Uint8Array {
    const bytes = Buffer.from(text)
    return exchange.remote.verified ? bytes : bytes.subarray(0, Math.max(0, (this.#options.amplification - 1) * exchange.message.bytes.length - 5))
  }

  /** A fault that is not the peer's. */
  #failed(exchange: Exchange, error: unknown): void {
    if (!(error instanceof IopaError)) this.#host.logger.error('iopa: a CoAP answer could not be made', error)
    if (exchange.toMulticast) exchange.suppress()
    else exchange.respond(CODE.INTERNAL_SERVER_ERROR, NO_OPTIONS, NOTHING)
  }

  #arm(): void {
    if (this.#sweep !== undefined || (this.#uploads.size === 0 && this.#snapshots.size === 0)) return
    this.#sweep = this.#clock.setTimeout(() => {
      this.#sweep = undefined
      const now = this.#clock.now()
      this.#uploads.expire(now)
      this.#snapshots.expire(now)
      this.#arm()
    }, SWEEP)
  }
}

const NO_SUCH_BLOCK = diagnostic(CODE.BAD_REQUEST, 'There is no such block.')

const MESSAGE = { observe: NONE, block1: NONE, block2: NONE, size1: NONE, size2: NONE }

const sizeOf = ({ payload }: Representation): number => (isRandomAccess(payload) ? payload.size : payload.length)

/** What the blocks of one transfer of one peer have in common. */
const keyOf = (remote: Remote, request: CoapRequest): string => `${remote.endpoint!.sessionId}\n${request.transferKey}`

/** Bytes of payload of a block: with BERT as many times 1024 as fit (RFC 8323 section 6). */
const lengthOfBlock = (szx: number, remote: Remote): number =>
  szx === BERT ? Math.max(1024, remote.maxPayload - (remote.maxPayload % 1024)) : blockSize(szx)

/** What a request may be answered with where its handler answers 2.05. */
const fitted = (request: CoapRequest, given: Representation): Representation => {
  if (given.code !== CODE.CONTENT) return given
  const representation = request.etagged ? validated(request, given) : given
  // RFC 7252 section 5.10.4: an Accept that cannot be met is 4.06.
  const unfit =
    representation.code === CODE.CONTENT && request.accept !== NONE && representation.contentFormat !== request.accept && sizeOf(representation) > 0
  return unfit ? diagnostic(CODE.NOT_ACCEPTABLE, 'The resource has no representation in the format that Accept asks for.') : representation
}

/** 2.03 without payload where the client has the representation already (RFC 7252 section 5.10.6.2). */
const validated = (request: CoapRequest, representation: Representation): Representation => {
  const { payload } = representation
  const etag = representation.etag ?? (isRandomAccess(payload) ? undefined : hashOf(payload))
  if (etag === undefined || !request.etags(OPTION.ETAG).some(tag => sameEtag(tag, etag))) return representation
  return { ...representation, code: CODE.VALID, etag, contentFormat: NONE, payload: NOTHING }
}

/** The entity tag of a representation: its own, or one made from its content. */
const currentTag = (answer: Answer): string => answer.headers.get('etag') ?? etagHeader(hashOf(answer.payloadBytes))

/** An error whose text is cut, at a character, or left out where it is no plain text. */
const shortened = (representation: Representation, room: number): Representation => {
  const text = representation.payload as Uint8Array
  if (representation.contentFormat !== NONE || room < 16) return { ...representation, contentFormat: NONE, payload: NOTHING }
  let end = room
  while (end > 0 && (text[end]! & 0xc0) === 0x80) end--
  return { ...representation, payload: text.subarray(0, end) }
}
