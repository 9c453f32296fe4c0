import {
  type ByteChannel,
  bodyTooLarge,
  type Context,
  type Counters,
  type Endpoint,
  type Host,
  IopaError,
  isControlMethod,
  isIopaError,
  type Limits,
  receivedAnswer,
  type Scope,
  type SealedAnswer
} from '@iopa/transport'
import { absoluteTarget, checkOneHost, type HostRules } from '../message/authority.ts'
import { answerTo, malformed } from '../message/refusal.ts'
import type { HeadFields } from '../message/request-head.ts'
import { requestPath } from '../message/request-path.ts'
import { type ProxiedClients, type TrustedProxies, unmapped } from './proxies.ts'
import type { HttpRequest } from './request.ts'

/** What every request of a listener is checked against. */
export interface AdmissionRules {
  readonly host: Host
  readonly scheme: string
  readonly limits: Limits
  readonly hosts: HostRules
  readonly proxies: TrustedProxies | null
  readonly clients: ProxiedClients
  readonly counters: Counters
}

/** Checks the requests of one connection, and makes their contexts. */
export class Admission {
  /** The context of the connection. */
  readonly connection: Context
  readonly #rules: AdmissionRules
  readonly #channel: ByteChannel
  /** Parent of the requests: they inherit the keys that middleware sets on the connection, but not from one that a proxy shares out. */
  readonly #parent: Context | Scope
  readonly #endpoint: Endpoint
  readonly #proxies: TrustedProxies | null
  #oldEndpoint: Endpoint | null = null
  /** The last host that was accepted: most connections ask for one. */
  #host: string | null = null
  /** The host of a request that names none, as HTTP/1.0 may: the address that the client has connected to. */
  readonly #ownHost: string

  /** `protocol` is that of the requests, but for HTTP/1.0; `raw` is what code that knows its type may use. */
  constructor(channel: ByteChannel, rules: AdmissionRules, protocol = 'HTTP/1.1', raw: unknown = channel.raw) {
    this.#rules = rules
    this.#channel = channel
    this.#proxies = rules.proxies?.has(channel.remoteAddress) === true ? rules.proxies : null
    const local = unmapped(channel.localAddress)
    this.#ownHost = local.includes(':') ? `[${local}]` : local
    this.#endpoint = {
      scheme: rules.scheme,
      protocol,
      remoteAddress: channel.remoteAddress,
      remotePort: channel.remotePort,
      localAddress: channel.localAddress,
      localPort: channel.localPort,
      tls: channel.tls,
      sessionId: `${channel.localAddress}:${channel.localPort}-${channel.remoteAddress}:${channel.remotePort}`,
      rawTransport: raw,
      bodyLimit: rules.limits.body,
      clientCertificate: () => certificateOf(channel)
    }
    this.connection = rules.host.create({ method: 'CONNECT', path: '/', query: '', rawPath: '/', endpoint: this.#endpoint, source: null })
    // The requests on the connection of a proxy come from many clients (RFC 9110 section 3.3).
    this.#parent = this.#proxies === null ? this.connection : rules.host.scope
  }

  /** The context of a request, or the answer to one that needs none or is refused: 204, 400, 413, 414, 417, 421, 431, 501, 503. */
  admit(request: HttpRequest): Context | SealedAnswer {
    try {
      return this.#admit(request)
    } catch (error) {
      request.doubtful = isUnusual(request)
      return this.refuse(isIopaError(error) ? error : new IopaError(500, 'internal-error'))
    }
  }

  /** The answer to a request for which there is no context; a log hears of it. */
  refuse(error: IopaError): SealedAnswer {
    const { status, code } = error
    // One over a limit of connections is reported where that is counted.
    if (code !== 'too-many-connections') this.#rules.counters.refusal(status, code, this.#channel)
    return answerTo(error)
  }

  /** Call it once for each request that was handed to `admit`, when it is over. */
  leave(request: HttpRequest): void {
    if (request.client === '') return
    this.#rules.clients.leave(request.client)
    request.client = ''
  }

  #admit(request: HttpRequest): Context | SealedAnswer {
    const { limits } = this.#rules
    const { method, fields } = request
    if (fields.pairs.length > limits.headerCount * 2) {
      throw new IopaError(431, 'too-many-headers', `The request has more than ${limits.headerCount} header fields; send fewer.`)
    }
    if (fields.length !== 0) checkBody(fields, limits)
    let endpoint = request.minor === 0 ? this.#old(request) : this.#endpoint
    if (fields.expectation !== '' && request.minor > 0) checkExpectation(fields.expectation)
    switch (method) {
      case 'GET':
      case 'POST':
      case 'PUT':
      case 'DELETE':
      case 'PATCH':
      case 'HEAD':
        break
      default:
        if (isControlMethod(method)) throw new IopaError(400, 'control-method', `A peer cannot use the method ${method}.`)
    }
    let { target } = request
    if (target.charCodeAt(0) !== SLASH && target !== '*') target = fromAbsolute(request, target)
    if (fields.hosts > 1) throw new IopaError(400, 'many-hosts', 'A request has one Host header (RFC 9112 section 3.2).')
    if (fields.host === null && request.minor > 0) {
      throw new IopaError(400, 'no-host', 'A request needs a Host header (RFC 9112 section 3.2).')
    }
    if (this.#proxies !== null) endpoint = this.#forwarded(request, endpoint, this.#proxies)
    // All that may become the host of the context is checked: this is what the context makes it of.
    const host = request.addressed !== '' ? request.addressed : (fields.host ?? this.#ownHost)
    if (host !== this.#host) {
      this.#rules.hosts.check(host)
      this.#host = host
    }
    if (target.includes('#')) throw new IopaError(400, 'fragment-in-target', "The request target has a fragment ('#'), which stays with the client.")
    const mark = target.indexOf('?')
    const rawPath = mark < 0 ? target : target.slice(0, mark)
    // OPTIONS * asks about the server as a whole (RFC 9110 section 9.3.7).
    const path = rawPath === '*' && method === 'OPTIONS' ? null : requestPath(rawPath, this.#rules.host)
    if (this.#proxies !== null) this.#enter(request, endpoint.remoteAddress)
    if (path === null) return SERVER_OPTIONS
    const init = { method, path, query: mark < 0 ? '' : target.slice(mark + 1), rawPath, endpoint, source: request }
    return this.#rules.host.create(init, this.#parent)
  }

  #enter(request: HttpRequest, client: string): void {
    this.#rules.clients.enter(client)
    request.client = client
  }

  /** HTTP/1.0 has no chunked coding (RFC 9112 section 6.1); its expectations are ignored (RFC 9110 section 10.1.1). */
  #old(request: HttpRequest): Endpoint {
    if (request.fields.coding !== '') throw new IopaError(400, 'coding-in-http-1.0', 'HTTP/1.0 has no Transfer-Encoding.')
    this.#oldEndpoint ??= { ...this.#endpoint, protocol: 'HTTP/1.0' }
    return this.#oldEndpoint
  }

  #forwarded(request: HttpRequest, endpoint: Endpoint, proxies: TrustedProxies): Endpoint {
    const { pairs } = request.fields
    const { remoteAddress: address, remotePort: port, scheme } = endpoint
    const client = proxies.read(name => valuesOf(pairs, name), { address, port, scheme })
    if (client.host !== '') request.addressed = client.host
    return {
      ...endpoint,
      scheme: client.scheme,
      tls: client.scheme === 'https',
      remoteAddress: client.address,
      remotePort: client.port,
      // That of the connection is the proxy's, and says nothing of the client.
      clientCertificate: () => undefined
    }
  }
}

const SERVER_OPTIONS = receivedAnswer(204)

const USUAL: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])

/** True for a request of a kind that, once refused, may be the middle of something that another server reads otherwise. */
const isUnusual = ({ method, target }: HttpRequest): boolean => !USUAL.has(method) || !target.startsWith('/')

const SLASH = 47

/** The framing must be beyond doubt, and the body within its limit, before a context is made (RFC 9112 section 6). */
const checkBody = ({ length, coding }: HeadFields, limits: Limits): void => {
  if (length > limits.body) throw bodyTooLarge(limits.body)
  if (coding === '' || coding.toLowerCase() === 'chunked') return
  const codings = coding.toLowerCase().split(',')
  const chunked = codings.map(name => name.trim() === 'chunked')
  // Where chunked is not the last coding, or comes twice, the end of the body is not known (RFC 9112 section 6.3).
  throw chunked.indexOf(true) === codings.length - 1
    ? new IopaError(501, 'unknown-coding', `The transfer coding '${coding}' is not understood; use only chunked.`)
    : malformed('its Transfer-Encoding does not end with chunked; send only chunked')
}

const checkExpectation = (expectation: string): void => {
  if (expectation.toLowerCase() === '100-continue') return
  throw new IopaError(417, 'unknown-expectation', "The only expectation that can be met is '100-continue'.")
}

const fromAbsolute = (request: HttpRequest, target: string): string => {
  const { scheme, authority, rest } = absoluteTarget(target)
  checkOneHost(request.fields.host, authority, scheme)
  request.addressed = authority
  return rest
}

const valuesOf = (pairs: readonly string[], name: string): string[] =>
  pairs.filter((_, at) => at % 2 === 1 && (pairs[at - 1] as string).toLowerCase() === name)

/** The peer's certificate; undefined when it has none. */
const certificateOf = (channel: ByteChannel): unknown => {
  const certificate = channel.clientCertificate?.()
  return typeof certificate === 'object' && certificate !== null && Object.keys(certificate).length > 0 ? certificate : undefined
}
