import type { Bag, Body, Capabilities, HeaderFields, Logger, SendingOptions, User } from '@iopa/constants'
import { CodecTable, withOrigin } from '@iopa/constants'
import { addAliases } from './aliases.ts'
import type { Answer } from './answer.ts'
import { OPEN } from './answer-fields.ts'
import { AnswerRecord } from './answer-record.ts'
import { applyValue } from './apply-value.ts'
import { CONTEXT } from './brands.ts'
import { ByteBody, byteBody } from './byte-body.ts'
import type { Context } from './context.ts'
import type { ContextInit, RequestSource } from './context-init.ts'
import { type Endpoint, localEndpoint } from './endpoint.ts'
import type { Environment } from './environment.ts'
import { HeaderMap } from './header-map.ts'
import type { BodyHolder } from './held-bytes.ts'
import { addLazyKeys } from './lazy-keys.ts'
import { checkPath } from './path.ts'
import { hasPreconditionField } from './precondition-fields.ts'
import { addPrinting } from './printing.ts'
import { READ, readsOf, trackReads } from './reads.ts'
import { RequestParts } from './request-parts.ts'
import type { RunContext } from './run-context.ts'
import { Scope } from './scope.ts'
import { addScopeMembers } from './scope-members.ts'
import { BEHIND, PARTS, RECORD, SCOPE } from './slots.ts'

const NO_KEYS: readonly string[] = []
const NO_PARAMS: Readonly<Record<string, string>> = Object.freeze(Object.create(null) as Record<string, string>)

/**
 * The property bag. Its constructor sets every eager key by literal, in one order for all transports, so that all
 * contexts of a process share one hidden class; what is seldom asked for is an accessor and made on first use.
 */
class PropertyBag implements BodyHolder {
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

  declare readonly 'iopa.Headers': HeaderFields
  declare readonly 'iopa.Host': string
  declare readonly 'iopa.Port': number
  declare readonly 'server.Capabilities': Capabilities
  declare readonly defer: Scope['defer']
  declare readonly assertLive: Scope['assertLive']

  readonly #environment: Environment
  readonly #endpoint: Endpoint
  readonly #source: RequestSource | null
  /** Method and path as they came, before middleware. */
  readonly #method: string
  readonly #path: string
  readonly #connection: PropertyBag | null
  /** The span of its life. Not a base class: a derived constructor is not inlined, and costs a quarter of the context. */
  readonly [SCOPE]: Scope
  readonly [RECORD]: AnswerRecord
  /** The body while nothing else has been made; `RequestParts` costs more than a small message. */
  #body: Body | undefined = undefined
  #parts: RequestParts | null = null
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
    if (above !== null) {
      this['server.User'] = above['server.User']
      if (this.#connection !== null) this.#inherit(this.#connection)
    }
    this[SCOPE] = new Scope(environment, parent instanceof PropertyBag ? parent[SCOPE] : parent, 1)
    this[RECORD] = new AnswerRecord(this)
  }

  /** Copies the extension keys that middleware has set on the connection; they come after the core's. */
  #inherit(connection: PropertyBag): void {
    const { inherited } = connection.#endpoint
    let keys = connection.#extensionKeys
    if (keys === null) {
      keys = Object.keys(connection).slice(EAGER_KEYS)
      if (inherited !== undefined) keys = keys.filter(key => !inherited.keys.has(key))
      // Until its own pipeline has finished, more may come.
      if (connection[RECORD].state !== OPEN) connection.#extensionKeys = keys.length === 0 ? NO_KEYS : keys
    }
    inherited?.copy(connection as unknown as Context, this as unknown as Context)
    for (const key of keys) (this as unknown as Record<string, unknown>)[key] = (connection as unknown as Record<string, unknown>)[key]
  }

  /** The connection, for a caller who may set keys on it: the next request looks for them again. */
  get #openConnection(): PropertyBag | null {
    if (this.#connection !== null) this.#connection.#extensionKeys = null
    return this.#connection
  }

  get [PARTS](): RequestParts {
    return (this.#parts ??= new RequestParts(this.#source, this.#endpoint, this.#body))
  }

  get 'server.Logger'(): Logger {
    return this.#parts?.logger ?? this.#environment.logger
  }
  set 'server.Logger'(logger: Logger) {
    this[PARTS].logger = logger
  }

  get 'iopa.Body'(): AsyncIterable<Uint8Array> | null {
    if (this.#parts !== null) return this.#parts.body
    if (this.#body === undefined) this.#body = this.#source?.body?.() ?? null
    const body = this.#body
    return !(body instanceof Uint8Array) || body instanceof ByteBody ? body : (this.#body = byteBody(body))
  }
  set 'iopa.Body'(body: Body) {
    if (this.#parts === null) this.#body = body
    else this.#parts.body = body
  }

  get 'server.IsPrecondition'(): boolean {
    return this.#parts?.isPrecondition === true
  }
  set 'server.IsPrecondition'(isPrecondition: boolean) {
    this[PARTS].isPrecondition = isPrecondition
  }

  get 'server.Connection'(): Context | null {
    return this.#openConnection as Context | null
  }

  /** The answer to this request; only it is sent. What is assigned to it is written to it, as if a handler had returned it. */
  get response(): Answer {
    return this[RECORD]
  }
  set response(value: unknown) {
    applyValue(this[RECORD], value)
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
    const source = this.#source
    if (this.#parts?.hasHeaders !== true) {
      if (source === null || source.headerless === true) return false
      if (source.hasPrecondition !== undefined) return source.hasPrecondition()
      if (source.headers === undefined) return false
    }
    const { headers } = this[PARTS]
    return hasPreconditionField(headers instanceof HeaderMap ? headers.pairs() : [...headers].flat())
  }

  get environment(): Environment {
    return this.#environment
  }
  get endpoint(): Endpoint {
    return this.#endpoint
  }

  bytes(): Promise<Uint8Array> {
    return this[PARTS].bytes(this)
  }
  text(): Promise<string> {
    return this[PARTS].text(this)
  }
  json<T = unknown>(): Promise<T> {
    return this[PARTS].json(this, this.#environment.codecs) as Promise<T>
  }

  /**
   * A context within this one: it inherits scheme, host, port, session, transport, user and capabilities; its path is
   * this path followed by `path`, which need not begin with a slash. @throws IopaError 400 for an illegal path.
   */
  child(path: string, method = 'GET'): Context {
    this[SCOPE].assertLive()
    const base = this['iopa.Path'].endsWith('/') ? this['iopa.Path'].slice(0, -1) : this['iopa.Path']
    const full = checkPath(path === '' ? base || '/' : path.startsWith('/') ? base + path : `${base}/${path}`)
    const init: ContextInit = { method, path: full, query: '', rawPath: full, endpoint: this.#endpoint, source: { addressedAs: this } }
    const reads = readsOf(this)
    const child =
      reads === undefined ? new PropertyBag(this.#environment, init, this) : reads.ignoring(() => new PropertyBag(this.#environment, init, this))
    child['iopa.PathBase'] = this['iopa.PathBase']
    child[PARTS].requestedBase = this['iopa.PathBase']
    child['server.IsLocalOrigin'] = true
    child[RECORD].guards = this[RECORD].guards
    if (reads !== undefined) trackReads(child, reads)
    return child as unknown as Context
  }

  /** Tells the observers of `path`, below the mounts that the run is in, that it has changed. @throws IopaError 400 for an illegal path. */
  notify(path: string): void {
    try {
      this[SCOPE].assertLive()
      this.#environment.notify(this['iopa.PathBase'] + checkPath(path), this)
    } catch (error) {
      // The peer has not asked for this path.
      throw withOrigin(error, 'internal')
    }
  }

  /** Says that the answer depends on what the core cannot see, such as an AsyncLocalStorage: observers do not share it. */
  private(): void {
    readsOf(this)?.add(READ.Private)
  }

  /** Runs `callback` once before the first byte of the answer, last registered first, with `last` after all others. */
  onSendingHeaders(callback: () => unknown, options?: SendingOptions): void {
    this[RECORD].onSendingHeaders(callback, options)
  }
}

addAliases(PropertyBag.prototype)
addLazyKeys(PropertyBag.prototype)
addScopeMembers(PropertyBag.prototype)
addPrinting(PropertyBag.prototype)
Object.defineProperty(PropertyBag.prototype, CONTEXT, { value: true })

// With no Object.prototype above it, a context has no inherited names for a hostile key to hit.
Object.setPrototypeOf(PropertyBag.prototype, null)

/** A context for a request that a transport has received, within a scope or another context. */
export const createContext = (environment: Environment, init: ContextInit, parent: Scope | Context | null): RunContext =>
  new PropertyBag(
    environment,
    init,
    parent === null || parent instanceof Scope ? parent : (((parent as Behind)[BEHIND] ?? parent) as PropertyBag)
  ) as unknown as RunContext

/** A context that may be the view of a mount. */
interface Behind {
  readonly [BEHIND]?: object
}

/** What views of a context forward. */
export const MEMBERS: object = PropertyBag.prototype

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
    clock: { now: () => 0, elapsed: () => 0, setTimeout: () => 0, clearTimeout: () => undefined },
    notify: () => undefined
  }
  const init: ContextInit = { method: 'GET', path: '/', query: '', rawPath: '/', endpoint: localEndpoint(0), source: null }
  return Object.keys(new PropertyBag(environment, init, null))
})()

/** How many there are; extension keys come after them. */
const EAGER_KEYS = CORE_KEYS.length
