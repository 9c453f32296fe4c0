import { addressGroup, type Clock, type Context, type Endpoint, type Host, holdBytes, isUnrouted, type TimerHandle, usersOf } from '@iopa/transport'
import { isSealed } from '../client/raw-options.ts'
import { type Block, readBlock } from '../codec/block.ts'
import { CODE, isSafe } from '../codec/codes.ts'
import type { Extensions } from '../codec/extensions.ts'
import { OPTION } from '../codec/option-registry.ts'
import type { AmplificationGuard } from '../exchanges/amplification.ts'
import type { Exchange, Remote } from '../exchanges/exchange.ts'
import type { StreamedUpload } from '../exchanges/upload.ts'
import type { Uploads } from '../exchanges/uploads.ts'
import { relayOptions } from '../observers/relayed-response.ts'
import { discover, LINK_FORMAT, WELL_KNOWN_CORE } from './discovery.ts'
import type { ErrorResponses } from './error-responses.ts'
import { type KeptAnswers, keyOf } from './kept-answers.ts'
import { PathCache } from './path-cache.ts'
import { isProxied, proxyPathOf, readTarget } from './proxied.ts'
import { diagnostic, type FormatTable, fitted, type Representation, represent } from './representation.ts'
import type { CoapRequest, RequestUpload } from './request.ts'
import { Refusal, readRequest } from './request-reader.ts'
import type { Responses } from './responses.ts'
import { UploadRun } from './upload-run.ts'

const NONE = -1
const SWEEP = 10_000
const BUSY_SECONDS = 30

/** Takes the requests that begin or cancel an observation (RFC 7641). */
export interface Registrar<R extends Remote> {
  /** True when a request with Observe 0 becomes an observation; otherwise it is answered like any other. */
  takes(exchange: Exchange<R>, request: CoapRequest): boolean
  register(exchange: Exchange<R>, request: CoapRequest, context: Context): void
  /** Ends the observation that a request with Observe 1 names, if there is one. */
  cancel(exchange: Exchange<R>): void
}

/** What a resource server is made of. */
export interface ResourceServerParts<R extends Remote> {
  readonly guard: AmplificationGuard
  readonly uploads: Uploads
  readonly errors: ErrorResponses
  readonly responses: Responses
  readonly kept: KeptAnswers
  readonly formats: FormatTable
  readonly registrar: Registrar<R>
  readonly extensions: Extensions
  /** True where a multicast request gets a response for /.well-known/core alone. */
  readonly discoveryOnly: boolean
  /** The two ends of a remote whose first request this is. */
  introduce(remote: R): Endpoint
  /** True where requests for a path have to be protected, and those of this remote are not. */
  bars?(remote: R, path: string): boolean
}

/** Turns requests into contexts and answers into responses, the same for datagrams and connections. */
export class ResourceServer<R extends Remote> {
  readonly #host: Host
  readonly #clock: Clock
  readonly #parts: ResourceServerParts<R>
  readonly #paths: PathCache
  readonly #proxyPath: string | undefined
  #sweep: TimerHandle | undefined

  constructor(host: Host, clock: Clock, parts: ResourceServerParts<R>) {
    this.#host = host
    usersOf(host)
    this.#clock = clock
    this.#parts = parts
    this.#paths = new PathCache(host.limits)
    this.#proxyPath = proxyPathOf(host)
  }

  /** Answers a request, now or later. Never throws. */
  handle(exchange: Exchange<R>): void {
    const { message, remote } = exchange
    const host = this.#host
    const { registrar, errors, extensions } = this.#parts
    let upload: RequestUpload | undefined
    try {
      const endpoint = this.introduce(remote)
      const proxyPath = this.#proxyPath
      const proxied = proxyPath !== undefined && !exchange.toMulticast && isProxied(message)
      const request = readRequest(message, this.#paths, host.limits, remote.reliable, extensions, proxied)
      if (proxied) readTarget(request, proxyPath, host.limits)
      const { code } = message
      if (request.echo !== undefined && !remote.verified) this.#parts.guard.verify(remote, request.echo)
      if (this.#parts.bars?.(remote, request.path)) throw new Refusal(CODE.UNAUTHORIZED, 'Requests for this path have to be protected.')
      // A code that the app has named is one that it takes from a group.
      const foreign = code !== CODE.GET && code <= CODE.IPATCH
      if (exchange.toMulticast && (foreign || (this.#parts.discoveryOnly && request.path !== WELL_KNOWN_CORE))) {
        exchange.suppress()
        return
      }
      const method = extensions.codes.methodOf(code)
      if (method === undefined) throw new Refusal(CODE.METHOD_NOT_ALLOWED, 'CoAP has no such method.')
      if (request.block1 !== NONE) {
        if (!this.#assemble(exchange, request, readBlock(request.block1))) return
        upload = request.upload
      } else if (message.bytes.length - message.optionsEnd - 1 > host.limits.body) {
        errors.tooLarge(exchange, request)
        return
      }
      if (request.block2 > 15 && upload === undefined && this.#resume(exchange, request)) return
      if (request.observe === 1) registrar.cancel(exchange)
      request.sealed = request.proxied && message.options.has(OPTION.OSCORE)
      const observes = request.observe === 0 && registrar.takes(exchange, request)
      const { path, query } = request
      const context = host.create({ method, path, query, rawPath: path, endpoint, source: request }, remote.connection)
      context['coap.Message'] = message
      if (request.assembled !== undefined) hold(context, request.assembled.buffer.byteLength)
      if (observes) registrar.register(exchange, request, context)
      else if (upload !== undefined) upload.begin(context, done => host.run(context, done, true))
      else host.run(context, () => this.#answer(exchange, request, context), true)
    } catch (error) {
      errors.refuse(exchange, error)
      upload?.cancel()
    }
  }

  /** The endpoint of a remote, which is made with its first request. */
  introduce(remote: R): Endpoint {
    if (remote.endpoint !== undefined) return remote.endpoint
    this.#parts.guard.introduce(remote)
    return (remote.endpoint = this.#parts.introduce(remote))
  }

  /** Forgets what is kept for a connection that is closed. */
  forget(remote: R): void {
    this.#parts.uploads.forget(remote)
    this.#parts.kept.forget(remote)
  }

  close(): void {
    if (this.#sweep !== undefined) this.#clock.clearTimeout(this.#sweep)
    this.#sweep = undefined
    this.#parts.uploads.expire(Number.POSITIVE_INFINITY)
    this.#parts.kept.close()
  }

  /** Takes a block of the body; true when it was the last. */
  #assemble(exchange: Exchange<R>, request: CoapRequest, block: Block): boolean {
    const { remote, message } = exchange
    const announced = request.size1 === NONE ? undefined : request.size1
    const origin = {
      unverified: remote.verified ? undefined : addressGroup(remote.address),
      contentFormat: request.contentFormat === NONE ? undefined : request.contentFormat,
      mayStream: !isSafe(message.code),
      sender: { 'server.User': remote.connection?.['server.User'], 'server.RemoteAddress': remote.address }
    }
    const result = this.#parts.uploads.accept(remote, keyOf(remote, request), block, message.payload, announced, this.#clock.elapsed(), origin)
    this.#arm()
    switch (result.outcome) {
      case 'complete':
        request.assembled = result.body
        request.contentFormat = result.contentFormat ?? request.contentFormat
        return true
      case 'streams':
        return this.#take(exchange, request, result.upload, result.piece)
      case 'continue':
        this.#parts.responses.proceed(exchange, block.num, block.szx)
        return false
      case 'too-large':
        this.#parts.errors.tooLarge(exchange, request)
        return false
      case 'incomplete':
        throw new Refusal(
          CODE.REQUEST_ENTITY_INCOMPLETE,
          'A block before this one is missing, or has another Content-Format; begin again with block 0.'
        )
      case 'malformed':
        throw new Refusal(CODE.BAD_REQUEST, 'The payload is not as long as its block says.')
      default:
        this.#parts.errors.busy(exchange, BUSY_SECONDS)
        return false
    }
  }

  /** Takes a block of a body that is read while it arrives; true for the first, with which its request runs. */
  #take(exchange: Exchange<R>, request: CoapRequest, upload: StreamedUpload, piece: Uint8Array | undefined): boolean {
    const last = !readBlock(request.block1).more
    const known = upload.sink as UploadRun<R> | undefined
    if (known !== undefined) {
      known.take(exchange, request, piece, last)
      return false
    }
    const { uploads, responses, errors } = this.#parts
    const run = new UploadRun<R>(
      {
        proceed: (to, num, szx) => responses.proceed(to, num, szx),
        answer: (to, last, context) => this.#answer(to, last, context),
        busy: to => errors.busy(to, BUSY_SECONDS),
        awaitsPeer: (context, awaits) => this.#host.awaitsPeer(context, awaits),
        taken: () => uploads.taken(upload),
        finish: () => uploads.finish(upload)
      },
      this.#host.limits.body
    )
    upload.sink = run
    request.upload = run
    request.contentFormat = upload.contentFormat ?? request.contentFormat
    run.take(exchange, request, piece, last)
    return true
  }

  /** Serves a later block of an answer that was begun; false when it has to be made again, which only a GET may. */
  #resume(exchange: Exchange<R>, request: CoapRequest): boolean {
    const again = (error: unknown): void => {
      // A body that has changed is sent from the start: the client sees another ETag.
      if (exchange.message.code === CODE.GET) this.handle(exchange)
      else this.#parts.errors.fail(exchange, error)
    }
    if (this.#parts.responses.resume(exchange, request, again)) return true
    if (exchange.message.code === CODE.GET) return false
    throw new Refusal(CODE.REQUEST_ENTITY_INCOMPLETE, 'The answer that this block belongs to is not kept any more; send the request again.')
  }

  #answer(exchange: Exchange<R>, request: CoapRequest, context: Context): void {
    const { formats, errors } = this.#parts
    const { message, remote } = exchange
    try {
      remote.user?.look(context)
      if (request.path === WELL_KNOWN_CORE && message.code === CODE.GET && isUnrouted(context)) this.#discover(exchange, request, context)
      else {
        const representation = represent(context.response, message.code, request.accept, formats)
        if (request.proxied) relayOptions(representation, context['coap.ResponseOptions'])
        // The server behind knows what its client wants, and this one does not see what it is.
        if (isSealed(context['coap.ResponseOptions'])) request.noResponse = 0
        this.#send(exchange, request, context, representation)
      }
    } catch (error) {
      errors.fail(exchange, error)
      void context.end()
    }
  }

  #discover(exchange: Exchange<R>, request: CoapRequest, context: Context): void {
    const send = (links: string): void => this.#send(exchange, request, context, { ...diagnostic(CODE.CONTENT, links), contentFormat: LINK_FORMAT })
    const { bars } = this.#parts
    const links = discover(this.#host, request.query, context, path => bars?.(exchange.remote, path) === true)
    if (typeof links === 'string') send(links)
    else
      links.then(send).catch((error: unknown) => {
        this.#parts.errors.fail(exchange, error)
        void context.end()
      })
  }

  #send(exchange: Exchange<R>, request: CoapRequest, context: Context, given: Representation): void {
    const { responses } = this.#parts
    const representation = fitted(request, given)
    // A body of which parts are read needs its context as long as there are parts to read.
    if (!(representation.payload instanceof Uint8Array)) responses.send(exchange, request, representation, NONE, context)
    else {
      responses.send(exchange, request, representation)
      void context.end()
    }
  }

  #arm(): void {
    if (this.#sweep !== undefined || this.#parts.uploads.size === 0) return
    this.#sweep = this.#clock.setTimeout(() => {
      this.#sweep = undefined
      this.#parts.uploads.expire(this.#clock.elapsed())
      this.#arm()
    }, SWEEP)
  }
}

/** Counts a body that was assembled while its request lasts. @throws IopaError 503 when there is no room. */
const hold = (context: Context, bytes: number): void => {
  try {
    holdBytes(context, bytes)
  } catch (error) {
    void context.end()
    throw error
  }
}
