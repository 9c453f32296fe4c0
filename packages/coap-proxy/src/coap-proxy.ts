import { createHash } from 'node:crypto'
import { type Bag, type Context, IopaError, isIopaError, type Next } from '@iopa/appbuilder'
import { type AppHandle, type Extension, markFactory } from '@iopa/appbuilder/extension'
import { CAPABILITIES } from '@iopa/constants'
import { AnswerCache, type AskServer } from './answer-cache.ts'
import { LargeBody } from './bodies.ts'
import { accountOf, cachedRequest, madeOf, resourceOf } from './cache-key.ts'
import { withCredentials } from './credentials.ts'
import {
  answerFrom,
  answerTo,
  type ForwardedAnswer,
  hopsLeft,
  isCoap,
  isProtected,
  type Relay,
  relayOf,
  requestBodyOf,
  requestTo,
  untilStable,
  withTag
} from './forwarding.ts'
import { type CoapProxyOptions, type CoapProxySettings, settingsOf } from './options.ts'
import { Registrations } from './registrations.ts'
import { type Observe, type Observer, SharedObservations } from './shared-observations.ts'
import { type Target, targetOf } from './targets.ts'
import { Upstreams } from './upstreams.ts'

/** Adds a proxy to an app. It adds no methods. */
export type CoapProxyExtension = Extension<Record<never, never>> & { invoke(context: Context, next: Next): unknown }

/**
 * Forwards requests to servers of CoAP: those of CoAP with Proxy-Uri or Proxy-Scheme, and requests of any protocol for `/hc/coap/host:port/path`. Use it
 * behind authentication and before the router.
 *
 * @example
 * app.use(coapProxy({ client: app, targets: ['coap://192.0.2.7'] }))
 * @throws IopaError 500 `bad-option`
 */
export const coapProxy = (options: CoapProxyOptions): CoapProxyExtension => new CoapProxy(settingsOf(options, coapProxy))

markFactory('coapProxy', coapProxy)

const NOTHING = new Uint8Array(0)
const NOT_ALLOWED = 'This proxy does not ask that server: its targets name those that it asks.'

class CoapProxy implements CoapProxyExtension {
  readonly name = 'coap-proxy'
  readonly needsApp = true
  readonly #settings: CoapProxySettings
  readonly #prefix: string
  readonly #observations: SharedObservations
  #app: AppHandle | null = null
  readonly #registrations = new Registrations()
  #relays = 0
  #upstreams: Upstreams | null = null
  #cache: AnswerCache | undefined

  constructor(settings: CoapProxySettings) {
    this.#settings = settings
    this.#prefix = `${settings.path}/`
    this.#observations = new SharedObservations(settings.observations)
  }

  extend(app: AppHandle): Record<never, never> {
    if (this.#app !== null) throw new IopaError(500, 'proxy-in-use', 'This proxy belongs to another app: call coapProxy() once for each app.')
    this.#app = app
    app.capabilities[CAPABILITIES.CoapProxy] = { path: this.#settings.path }
    const listeners = (): string[] => app.transports().flatMap(({ urls }) => urls)
    const upstreams = new Upstreams({ ...this.#settings, clock: app.clock, listeners })
    this.#upstreams = upstreams
    if (this.#settings.cache !== undefined) this.#cache = new AnswerCache(this.#settings.cache, app.clock)
    app.defer(() => {
      this.#observations.close()
      return upstreams.close()
    })
    return {}
  }

  invoke(context: Context, next: Next): unknown {
    return context['iopa.Path'].startsWith(this.#prefix) && this.#upstreams !== null ? this.#forward(context, this.#upstreams) : next()
  }

  async #forward(context: Context, upstreams: Upstreams): Promise<unknown> {
    const [scheme = '', authority = '', ...segments] = context['iopa.Path'].slice(this.#prefix.length).split('/')
    const target = targetOf(scheme, authority)
    if (target === undefined)
      throw new IopaError(400, 'bad-proxy-uri', 'The path names scheme, host and port of a server of CoAP: coap/192.0.2.7:5683.')
    // One server has one path: what rules say of it must hold for every request that goes there.
    if (target.authority !== authority)
      throw new IopaError(400, 'bad-proxy-uri', `The path of that server here is ${this.#prefix}${scheme}/${target.authority}.`)
    // RFC 7252 section 5.7.2: a proxy that is unwilling says so by 5.05, which HTTP has for something else.
    if (!this.#settings.targets.allows(target))
      throw isCoap(context) ? new IopaError(505, 'proxying-refused', NOT_ALLOWED) : new IopaError(403, 'target-not-allowed', NOT_ALLOWED)
    const hops = hopsLeft(context, this.#settings.hopLimit)
    const path = `/${segments.join('/')}`
    const base = `${context['iopa.PathBase']}${this.#prefix}${scheme}/${authority}`
    const { credentials, largestAnswer: most } = this.#settings
    const request = await withCredentials(requestTo(target, path, context, hops), target, context, credentials)
    if (isProtected(context)) Object.assign(request, this.#registrations.keysOf(context, target))
    let body: Uint8Array | LargeBody | null = null
    try {
      body = await requestBodyOf(context)
      if (body !== null) request['iopa.Body'] = body
      const ask: AskServer = etag =>
        upstreams.use(target, accountOf(context), (client, hold) =>
          untilStable(request['iopa.Method'], async () => {
            const answer = await client.send(etag === undefined ? request : withTag(request, etag))
            return answerFrom(answer, base, { most, done: hold() })
          })
        )
      const notify = relayOf(context)
      if (notify !== undefined) return answerTo(context, await this.#relayed({ context, upstreams, target, request, base, notify }))
      const observes = (context['server.IsNotification'] || context['iopa.Observe'] === true) && !isProtected(context)
      if (observes && !(body instanceof LargeBody))
        return answerTo(context, await this.#observed({ context, upstreams, target, request, body, base, ask }))
      return answerTo(context, await this.#answered({ context, target, request, body, base, ask }))
    } catch (error) {
      throw failureOf(body instanceof LargeBody && body.failure === error ? asOfRequest(error) : error)
    }
  }

  /** The answer to a request that does not observe, which is kept where it may be. */
  async #answered({ context, target, request, body, base, ask }: Asking): Promise<ForwardedAnswer> {
    const cache = this.#cache
    if (cache === undefined || isProtected(context)) return ask()
    const method = request['iopa.Method'] ?? 'GET'
    const isSafe = method === 'GET' || method === 'FETCH'
    if (isSafe && !(body instanceof LargeBody)) {
      const cached = cachedRequest(context, target, request, body)
      return cached === undefined ? ask() : cache.answer(cached, ask)
    }
    // Where no answer comes the change may have been made.
    let refused = false
    try {
      const answer = await ask()
      refused = answer.status >= 400 && answer.status < 500
      const made = madeOf(answer, base)
      if (made !== undefined) cache.changed(resourceOf(target, made))
      return answer
    } finally {
      if (!refused) cache.changed(resourceOf(target, request['iopa.Path'] ?? '/'))
    }
  }

  /** The first answer of an observation that nobody shares, for its notifications are protected for one client; they are handed on as they come. */
  #relayed({ context, upstreams, target, request, base, notify }: Relaying): Promise<ForwardedAnswer> {
    const key = `sealed ${++this.#relays}`
    const handOn = (): void => {
      const newest = this.#observations.newest(key)
      notify(
        newest === undefined
          ? null
          : { code: newest.code, options: newest.options, payload: newest.body instanceof Uint8Array ? newest.body : NOTHING }
      )
    }
    return this.#observations.join(key, observing(upstreams, target, accountOf(context), request, base), handOn, observerOf(context))
  }

  /** The answer of a shared observation, for a request that observes and for the runs of its notifications. */
  async #observed({ context, upstreams, target, request, body, base, ask }: Observing): Promise<ForwardedAnswer> {
    const key = keyOf(target, request, body)
    let failure: unknown = new IopaError(502, 'upstream-failed', 'The server has ended the observation.')
    if (context['server.IsNotification']) {
      const newest = this.#observations.newest(key)
      if (newest !== undefined) return newest
    } else {
      const path = context['iopa.Path']
      const changed = (): void => {
        this.#cache?.changed(resourceOf(target, request['iopa.Path'] ?? '/'))
        this.#app?.notify(path)
      }
      try {
        return await this.#observations.join(key, observing(upstreams, target, accountOf(context), request, base), changed, observerOf(context))
      } catch (error) {
        if (isIopaError(error) && error.code === 'proxy-busy') throw error
        failure = error
      }
    }
    // The answer to the request without Observe says why it cannot be observed; one that does not ends the observation here.
    const answer = await ask()
    if (answer.status >= 400) return answer
    throw failure
  }
}

const observerOf = (context: Context): Observer => ({ account: accountOf(context), leaving: leave => context.defer(leave) })

/** Observes a server with a request. */
const observing =
  (upstreams: Upstreams, target: Target, account: string, request: Bag, base: string): Observe =>
  (signal, take) =>
    upstreams.use(target, account, async client => {
      for await (const answer of client.observe({ ...request, 'iopa.CallCancelled': signal })) take(await answerFrom(answer, base))
    })

/** A request that observes, is protected, and gets each response of its own. */
interface Relaying {
  readonly context: Context
  readonly upstreams: Upstreams
  readonly target: Target
  readonly request: Bag
  readonly base: string
  readonly notify: Relay
}

/** A request, and how its server is asked. */
interface Asking {
  readonly context: Context
  readonly target: Target
  readonly request: Bag
  readonly body: Uint8Array | LargeBody | null
  /** The path of the target here. */
  readonly base: string
  /** Sends the request, without Observe. */
  readonly ask: AskServer
}

/** A request that observes, or a run of its notifications. */
interface Observing extends Asking {
  readonly upstreams: Upstreams
  readonly body: Uint8Array | null
}

/** What observers must have in common to share an observation: what goes to the server, also as credentials. */
const keyOf = (target: Target, request: Bag, body: Uint8Array | null): string => {
  const headers = (request['iopa.Headers'] as unknown as string[][]).filter(([name]) => name === 'accept' || name === 'content-encoding')
  const parts = [
    target.key,
    request['iopa.Method'],
    request['iopa.Path'],
    request['iopa.QueryString'],
    request['iopa.ContentType'],
    headers,
    optionsOf(request)
  ]
  const key = JSON.stringify(parts)
  return body === null ? key : `${key}${createHash('sha256').update(body).digest('base64')}`
}

/** The options of a request that the server may answer by: not Hop-Limit, which differs with the way. */
const optionsOf = (request: Bag): unknown[] =>
  (request['coap.Options'] ?? [])
    .filter(([number]) => number !== 16)
    .map(([number, value]) => [number, value instanceof Uint8Array ? [...value] : value])

/** What reading the body of the request has failed with: it is not the server's. */
const asOfRequest = (error: unknown): unknown => (isIopaError(error) ? new IopaError(error.status, error.code, error.detail) : error)

/** Errors of a request that CoAP cannot carry: they are for the peer, who can change it. */
const OF_THE_REQUEST: ReadonlySet<string> = new Set([
  'no-such-method',
  'no-content-format',
  'accept-without-format',
  'option-too-long',
  'no-such-condition',
  'undecodable-query',
  'group-request',
  'not-observable',
  'bad-coap-option'
])

/** The error as the peer gets it: one of its request as it is; any other is one of the server, which the app answers with 502 or 504. */
const failureOf = (error: unknown): unknown =>
  isIopaError(error) && OF_THE_REQUEST.has(error.code) ? new IopaError(error.status, error.code, error.detail) : error
