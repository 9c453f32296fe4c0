import type { Bag, Body, Capabilities, HeaderFields, HeadersInit, Logger, OnSendingHeaders, User } from '@iopa/constants'
import { CodecTable, IOPA_VERSION, withOrigin } from '@iopa/constants'
import type { EndReason } from './abort-reasons.ts'
import { addAliases } from './aliases.ts'
import { Answer } from './answer.ts'
import { applyValue } from './apply-value.ts'
import { checkJsonType, decodeJson, readBody, readText } from './body.ts'
import { CONTEXT } from './brands.ts'
import { ByteBody, byteBody, plainBytes } from './byte-body.ts'
import { copyCapabilities } from './capability-copy.ts'
import { checkCoding } from './charset.ts'
import type { ContextInit, RequestSource } from './context-init.ts'
import type { Context } from './context-types.ts'
import { type Endpoint, localEndpoint } from './endpoint.ts'
import type { Environment } from './environment.ts'
import { HeaderMap } from './header-map.ts'
import { observed } from './observed.ts'
import { Parts } from './parts.ts'
import { checkPath } from './path.ts'
import { hasPreconditionField } from './precondition-fields.ts'
import { READ, readsOf, trackReads } from './reads.ts'
import { type Owned, Scope } from './scope.ts'
import { parseAuthority } from './url.ts'

const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze(Object.create(null) as Record<string, string>)

/**
 * The property bag. Its constructor sets every eager key by literal, in one order for all transports, so that all
 * contexts of a process share one hidden class; what is seldom asked for is an accessor and made on first use.
 */
export class PropertyBag {
  declare 'iopa.Id': number
  declare 'iopa.Method': string
  declare 'iopa.Path': string
  declare 'iopa.PathBase': string
  declare 'iopa.QueryString': string
  declare 'iopa.Params': Readonly<Record<string, string>>
  declare 'iopa.Route': string
  declare 'iopa.Scheme': string
  declare 'iopa.Protocol': string
  declare 'iopa.Observe': boolean | undefined
  declare 'iopa.Seq': number | string | undefined
  declare 'server.RawPath': string
  declare 'server.RemoteAddress': string
  declare 'server.RemotePort': number
  declare 'server.ParentContext': Bag | null
  declare 'server.User': User | undefined
  declare 'server.IsLocalOrigin': boolean
  declare 'server.IsNotification': boolean
  declare 'server.IsReplica': boolean

  readonly #environment: Environment
  readonly #endpoint: Endpoint
  readonly #source: RequestSource | null
  /** Method and path as they came, before middleware. */
  readonly #method: string
  readonly #path: string
  readonly #connection: PropertyBag | null
  /** The span of its life. Not a base class: a derived constructor is not inlined, and costs a quarter of the context. */
  readonly #scope: Scope
  readonly #answer: Answer
  /** The body while nothing else has been made; `Parts` costs more than a small message. */
  #body: Body | undefined = undefined
  #parts: Parts | null = null
  /** On a connection: the extension keys that its requests inherit; null when they must be looked for. */
  #extensionKeys: readonly string[] | null = null

  constructor(environment: Environment, init: ContextInit, parent: PropertyBag | Scope | null) {
    const endpoint = init.endpoint
    const above = parent instanceof PropertyBag ? parent : null
    this.#environment = environment
    this['iopa.Id'] = ++environment.lastId
    this['iopa.Method'] = init.method
    this['iopa.Path'] = init.path
    this['iopa.PathBase'] = ''
    this['iopa.QueryString'] = init.query
    this['iopa.Params'] = NO_PARAMS
    this['iopa.Route'] = ''
    this['iopa.Scheme'] = endpoint.scheme
    this['iopa.Protocol'] = endpoint.protocol
    this['iopa.Observe'] = undefined
    this['iopa.Seq'] = undefined
    this['server.RawPath'] = init.rawPath
    this['server.RemoteAddress'] = endpoint.remoteAddress
    this['server.RemotePort'] = endpoint.remotePort
    this['server.ParentContext'] = above
    this['server.User'] = undefined
    this['server.IsLocalOrigin'] = false
    this['server.IsNotification'] = false
    this['server.IsReplica'] = false
    this.#endpoint = endpoint
    this.#source = init.source
    this.#method = init.method
    this.#path = init.path
    this.#connection = above === null ? null : (above.#connection ?? (above['iopa.Method'] === 'CONNECT' ? above : null))
    this.#scope = new Scope(environment, parent instanceof PropertyBag ? parent.#scope : parent, 1)
    this.#answer = new Answer(this)
    if (above !== null) {
      this['server.User'] = above['server.User']
      if (this.#connection !== null) this.#inherit(this.#connection)
    }
  }

  /** Copies the extension keys that middleware has set on the connection; they come after the core's. */
  #inherit(connection: PropertyBag): void {
    const { inherited } = connection.#endpoint
    let keys = connection.#extensionKeys
    if (keys === null) {
      keys = Object.keys(connection).slice(EAGER_KEYS)
      if (inherited !== undefined) keys = keys.filter(key => !inherited.keys.has(key))
      // Until its own pipeline has finished, more may come.
      if (connection.response.sealed) connection.#extensionKeys = keys
    }
    inherited?.copy(connection as unknown as Context, this as unknown as Context)
    for (const key of keys) (this as unknown as Record<string, unknown>)[key] = (connection as unknown as Record<string, unknown>)[key]
  }

  /** The connection, for somebody who may set keys on it: they are looked for anew. */
  get #openConnection(): PropertyBag | null {
    if (this.#connection !== null) this.#connection.#extensionKeys = null
    return this.#connection
  }

  get #made(): Parts {
    return (this.#parts ??= new Parts())
  }

  get 'iopa.Version'(): string {
    return IOPA_VERSION
  }

  get 'server.Logger'(): Logger {
    return this.#parts?.logger ?? this.environment.logger
  }
  set 'server.Logger'(logger: Logger) {
    this.#made.logger = logger
  }

  get 'server.LocalAddress'(): string {
    return this.#endpoint.localAddress
  }

  get 'server.LocalPort'(): number {
    return this.#endpoint.localPort
  }

  get 'server.TLS'(): boolean {
    return this.#endpoint.tls
  }

  get 'server.SessionId'(): string {
    return this.#endpoint.sessionId
  }

  get 'server.RawTransport'(): unknown {
    return this.#endpoint.rawTransport
  }

  get 'iopa.PathSegments'(): readonly string[] {
    if (this.#made.segments === null || this.#made.segmentsOf !== this['iopa.Path']) {
      this.#made.segmentsOf = this['iopa.Path']
      this.#made.segments = this.#made.segmentsOf === '/' || this.#made.segmentsOf === '' ? [] : this.#made.segmentsOf.slice(1).split('/')
    }
    return this.#made.segments
  }

  get 'iopa.Headers'(): HeaderFields {
    if (this.#made.headers === null) {
      const given = this.#source?.headers?.()
      this.#made.headers = given === undefined ? new HeaderMap() : Array.isArray(given) ? new HeaderMap(given) : given
    }
    return this.#made.headers
  }
  set 'iopa.Headers'(headers: HeadersInit) {
    // A copy: a middleware that edits the request must not edit what its caller keeps.
    this.#made.headers = HeaderMap.from(headers)
    this.#made.contentType = undefined
  }

  get 'iopa.ContentType'(): string {
    return (this.#made.contentType ??= this.#source?.contentType?.() ?? this['iopa.Headers'].get('content-type') ?? '')
  }
  set 'iopa.ContentType'(type: string) {
    this.#made.contentType = type
  }

  get 'iopa.Body'(): AsyncIterable<Uint8Array> | null {
    const body = this.#unread
    if (!(body instanceof Uint8Array) || body instanceof ByteBody) return body
    // Bytes that have been read stay plain.
    return (this.#body = byteBody(body))
  }
  set 'iopa.Body'(body: Body) {
    this.#body = body
    if (this.#parts === null) return
    this.#parts.bytes = null
    this.#parts.json = null
  }

  /** The body as it came, or the bytes that were read of it. */
  get #unread(): Body {
    if (this.#parts !== null && this.#parts.bytes instanceof Uint8Array && !(this.#body instanceof ByteBody)) return this.#parts.bytes
    if (this.#body === undefined) this.#body = this.#source?.body?.() ?? null
    return this.#body
  }

  get 'iopa.Host'(): string {
    if (this.#made.host === undefined) this.#readAuthority()
    return this.#made.host as string
  }
  set 'iopa.Host'(host: string) {
    this.#made.host = host
  }

  get 'iopa.Port'(): number {
    if (this.#made.port === undefined) this.#readAuthority()
    return this.#made.port as number
  }
  set 'iopa.Port'(port: number) {
    this.#made.port = port
  }

  get 'iopa.CallCancelled'(): AbortSignal {
    return this.signal
  }

  get 'iopa.Events'(): EventTarget {
    if (this.#made.events === null) {
      const events = (this.#made.events = new EventTarget())
      this.defer(reason => void events.dispatchEvent(new Event(reason === 'finish' ? 'finish' : 'disconnect')))
    }
    return this.#made.events
  }

  get 'server.Capabilities'(): Capabilities {
    if (this.#made.capabilities === null) {
      const above = this['server.ParentContext'] as PropertyBag | null
      this.#made.capabilities = copyCapabilities(
        above === null ? this.environment.capabilities : (above.#made.capabilities ?? this.environment.capabilities)
      )
    }
    return this.#made.capabilities
  }
  set 'server.Capabilities'(capabilities: Capabilities) {
    this.#made.capabilities = capabilities
  }

  get 'server.IsPrecondition'(): boolean {
    return this.#parts?.isPrecondition === true
  }
  set 'server.IsPrecondition'(isPrecondition: boolean) {
    this.#made.isPrecondition = isPrecondition
  }

  /** The time at which it was first asked for, for a clock costs as much as the rest of the context. */
  get 'server.Timestamp'(): number {
    const parts = this.#made
    if (parts.timestamp === 0) parts.timestamp = this.environment.now()
    return parts.timestamp
  }
  set 'server.Timestamp'(time: number) {
    this.#made.timestamp = time
  }

  get 'server.Connection'(): Context | null {
    return this.#openConnection as Context | null
  }

  get 'server.OnSendingHeaders'(): OnSendingHeaders {
    return callback => this.response.onSendingHeaders(callback)
  }

  get 'ssl.ClientCertificate'(): unknown {
    return this.#endpoint.clientCertificate?.()
  }

  /** The answer to this request; only it is sent. What is assigned to it is written to it, as if a handler had returned it. */
  get response(): Answer {
    return this.#answer
  }
  set response(value: unknown) {
    applyValue(this.#answer, value)
  }

  /** The path that the request named before any middleware rewrote it. */
  get requestedPath(): string {
    return (this.#parts?.requestedBase ?? '') + this.#path
  }

  /** The method that the request named before any middleware rewrote it: what its sender expects an answer to. */
  get requestedMethod(): string {
    return this.#method
  }

  /** True when a header states a precondition (RFC 9110 section 13.1). */
  get hasPrecondition(): boolean {
    const made = this.#parts?.headers
    const source = this.#source
    if (made === undefined || made === null) {
      if (source === null) return false
      if (source.hasPrecondition !== undefined) return source.hasPrecondition()
      if (source.headers === undefined) return false
    }
    const headers = this['iopa.Headers']
    return hasPreconditionField(headers instanceof HeaderMap ? headers.pairs() : [...headers].flat())
  }

  get environment(): Environment {
    return this.#environment
  }
  get endpoint(): Endpoint {
    return this.#endpoint
  }
  /** The whole body, read once. @throws IopaError 413 beyond the limit, 415 for a body that is compressed. */
  bytes(): Promise<Uint8Array> {
    if (this.#made.bytes === null) {
      try {
        this.assertLive()
        const body = this.#unread
        if (body !== null) checkCoding(this['iopa.Headers'].get('content-encoding'))
        const read = readBody(body, this.#endpoint.bodyLimit, this)
        if (read instanceof Uint8Array) this.#made.bytes = plainBytes(read)
        else {
          this.#made.bytes = read
          // A later reader gets the same outcome; the first one hears of the failure.
          read.then(
            // Somebody may have put another body in its place meanwhile.
            bytes => void (this.#made.bytes === read && (this.#made.bytes = bytes)),
            () => undefined
          )
        }
      } catch (error) {
        return observed(Promise.reject(error))
      }
    }
    return Promise.resolve(this.#made.bytes)
  }

  /** The body as text, in the charset of its content type. @throws IopaError 400, 413, 415. */
  text(): Promise<string> {
    return observed(this.bytes().then(bytes => readText(bytes, this['iopa.ContentType'], this)))
  }

  /** The body's value: JSON, or what another codec of the app reads. @throws IopaError 400, 413, 415. */
  json<T = unknown>(): Promise<T> {
    if (this.#made.json === null) {
      const type = this['iopa.ContentType']
      const codecs = this.environment.codecs
      try {
        checkJsonType(type, codecs)
      } catch (error) {
        return observed(Promise.reject(error))
      }
      this.#made.json = observed(this.bytes().then(bytes => decodeJson(bytes, type, codecs, this)))
    }
    return this.#made.json as Promise<T>
  }

  /**
   * A context within this one: it inherits scheme, host, port, session, transport, user and capabilities; its path is
   * this path followed by `path`, which need not begin with a slash. @throws IopaError 400 for an illegal path.
   */
  child(path: string, method = 'GET'): Context {
    this.assertLive()
    const base = this['iopa.Path'].endsWith('/') ? this['iopa.Path'].slice(0, -1) : this['iopa.Path']
    const full = checkPath(path === '' ? base || '/' : path.startsWith('/') ? base + path : `${base}/${path}`)
    const init: ContextInit = { method, path: full, query: '', rawPath: full, endpoint: this.#endpoint, source: null }
    const reads = readsOf(this)
    const child =
      reads === undefined ? new PropertyBag(this.environment, init, this) : reads.ignoring(() => new PropertyBag(this.environment, init, this))
    child['iopa.PathBase'] = this['iopa.PathBase']
    child.#made.requestedBase = this['iopa.PathBase']
    child['server.IsLocalOrigin'] = true
    child.response.guards = this.response.guards
    child.#made.host = this.#made.host
    child.#made.port = this.#made.port
    if (reads !== undefined) trackReads(child, reads)
    return child as unknown as Context
  }

  get signal(): AbortSignal {
    return this.#scope.signal
  }
  get ended(): boolean {
    return this.#scope.ended
  }
  get endReason(): EndReason {
    return this.#scope.endReason
  }
  defer(dispose: (reason: EndReason) => unknown): void {
    this.#scope.defer(dispose)
  }
  own<T extends Owned>(resource: T): T {
    return this.#scope.own(resource)
  }
  end(reason: EndReason = 'finish'): void | Promise<void> {
    return this.#scope.end(reason)
  }
  planEnd(reason: EndReason): void {
    this.#scope.planEnd(reason)
  }
  hold(): void {
    this.#scope.hold()
  }
  onEndAsked(listener: () => void): void {
    this.#scope.onEndAsked(listener)
  }
  release(): void {
    this.#scope.release()
  }
  assertLive(): void {
    this.#scope.assertLive()
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope[Symbol.asyncDispose]()
  }

  /** Tells the observers of `path`, below the mounts that the run is in, that it has changed. @throws IopaError 400 for an illegal path. */
  notify(path: string): void {
    try {
      this.assertLive()
      this.environment.notify(this['iopa.PathBase'] + checkPath(path), this)
    } catch (error) {
      // The peer has not asked for this path.
      throw withOrigin(error, 'internal')
    }
  }

  /** Says that the answer depends on what the core cannot see, such as an AsyncLocalStorage: observers do not share it. */
  private(): void {
    readsOf(this)?.add(READ.Private)
  }

  /** Runs `callback` once before the first byte of the answer, last registered first. */
  onSendingHeaders(callback: () => unknown): void {
    this.response.onSendingHeaders(callback)
  }

  /** Method and path, for logs. */
  toString(): string {
    return printable(`${this['iopa.Method']} ${this['iopa.PathBase']}${this['iopa.Path']}`)
  }

  [Symbol.toPrimitive](): string {
    return this.toString()
  }

  /** The eager keys, for logs; without bodies, headers or extension keys, which may hold secrets. */
  toJSON(): Record<string, unknown> {
    return {
      'iopa.Id': this['iopa.Id'],
      'iopa.Method': this['iopa.Method'],
      'iopa.PathBase': this['iopa.PathBase'],
      'iopa.Path': this['iopa.Path'],
      'iopa.Protocol': this['iopa.Protocol'],
      'iopa.Route': this['iopa.Route'],
      'iopa.StatusCode': this.response.status,
      'server.RemoteAddress': this['server.RemoteAddress']
    }
  }

  #readAuthority(): void {
    const authority = this.#source?.authority?.() ?? ''
    const parsed = authority === '' ? null : parseAuthority(authority, this['iopa.Scheme'])
    this.#made.host ??= parsed?.host ?? this.#endpoint.localAddress
    this.#made.port ??= parsed?.port ?? this.#endpoint.localPort
  }
}

addAliases(PropertyBag.prototype)
Object.defineProperty(PropertyBag.prototype, CONTEXT, { value: true })

// With no Object.prototype above it, a context has no inherited names for a hostile key to hit.
Object.setPrototypeOf(PropertyBag.prototype, null)

// Node's console and test runners print with this method; without it they would list accessors of a null prototype.
Object.defineProperty(PropertyBag.prototype, Symbol.for('nodejs.util.inspect.custom'), {
  value(this: PropertyBag): string {
    return `Context ${this.toString()} ${this['iopa.Protocol']} ${this.response.status || ''}`.trimEnd()
  }
})

/** A line break that a peer has put into its path must not begin a line of a log. */
const printable = (text: string): string => text.replace(/[\0-\x1f\x7f-\x9f\u2028\u2029]/g, encodeURIComponent)

/** The own keys that the constructor sets. */
export const CORE_KEYS: readonly string[] = ((): readonly string[] => {
  const environment: Environment = {
    live: 0,
    lastId: 0,
    capabilities: {},
    logger: console,
    codecs: new CodecTable(),
    bodyLimit: 0,
    changes: null,
    now: () => 0,
    notify: () => undefined
  }
  const init: ContextInit = { method: 'GET', path: '/', query: '', rawPath: '/', endpoint: localEndpoint(0), source: null }
  return Object.keys(new PropertyBag(environment, init, null))
})()

/** How many there are; extension keys come after them. */
const EAGER_KEYS = CORE_KEYS.length
