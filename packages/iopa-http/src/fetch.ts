/**
 * An IOPA app as a web fetch handler, for workers, Deno, Bun and browsers; it loads no module of Node.
 *
 * @example
 * const app = new App().use(router())
 * app.get('/hello', () => 'Hello World')
 * export default { fetch: toFetchHandler(app) }
 */

import type { App } from '@iopa/appbuilder'
import {
  bodyBudget,
  bodyTooLarge,
  CAPABILITIES,
  type Context,
  checkOptions,
  countersOf,
  type Host,
  IopaError,
  isControlMethod,
  isIopaError,
  type Limits,
  usersOf
} from '@iopa/transport'
import { acceptsEventStream, Heartbeats } from './events/event-stream.ts'
import { observe } from './fetch/fetch-events.ts'
import { FetchRequest } from './fetch/fetch-request.ts'
import { refusal, responseTo } from './fetch/fetch-response.ts'
import { HostRules } from './message/authority.ts'
import { isMethod } from './message/head-syntax.ts'
import { requestPath } from './message/request-path.ts'
import type { EventOptions } from './options.ts'

/** Options of `toFetchHandler()`. */
export interface FetchOptions extends EventOptions {
  /** Hosts that are served, as for `http()`; every host unless given. */
  readonly hosts?: readonly string[]
  readonly limits?: Partial<Limits>
  /** The address of the client, which a Request does not tell. */
  readonly remoteAddress?: (request: Request) => string
}

const OPTIONS: Record<keyof FetchOptions, true> = { retry: true, heartbeat: true, hosts: true, limits: true, remoteAddress: true }

/** Answers web requests with the app. It ends with the app; `app.listen()` is not needed. */
export const toFetchHandler = (app: Pick<App, 'host'>, options: FetchOptions = {}): ((request: Request) => Promise<Response>) => {
  checkOptions('toFetchHandler()', options, OPTIONS, toFetchHandler)
  const host = app.host('fetch').withLimits(options.limits)
  usersOf(host)
  const counters = countersOf(host, 'fetch')
  host.scope.environment.capabilities[CAPABILITIES.Http] ??= { version: '5.0.0', schemes: ['http', 'https'], observe: true, redirects: true }
  host.scope.environment.bodies ??= bodyBudget(host.limits.bodyMemory)
  const rules = new HostRules(options.hosts ?? ['*'], '')
  const heartbeats = new Heartbeats(host.clock, options.heartbeat ?? 15_000)
  const { retry = 3_000, remoteAddress = () => '' } = options

  return request =>
    new Promise((resolve, reject) => {
      const context = admit(host, rules, request, remoteAddress(request))
      if (context instanceof Response) {
        resolve(context)
        return
      }
      const { signal } = request
      const abort = (): void => {
        void context.end('disconnect')
        reject(signal.reason)
      }
      if (signal.aborted) {
        abort()
        return
      }
      signal.addEventListener('abort', abort)
      context.defer(() => signal.removeEventListener('abort', abort))
      if (request.method === 'GET' && acceptsEventStream(request.headers.get('accept') ?? '')) {
        context['iopa.Observe'] = true
        observe(host, counters, context, signal, heartbeats, retry, resolve)
      } else host.run(context, () => resolve(responseTo(context, context.response, host)))
    })
}

/** The context of a request, or the response that refuses it. */
const admit = (host: Host, rules: HostRules, request: Request, remoteAddress: string): Context | Response => {
  try {
    const { limits } = host
    const { method } = request
    const { protocol, host: authority, port, pathname, search } = new URL(request.url)
    rules.check(authority)
    if (!isMethod(method)) throw new IopaError(400, 'bad-method', 'A method is capital letters and hyphens.')
    if (isControlMethod(method)) throw new IopaError(400, 'control-method', `A peer cannot use the method ${method}.`)
    if (Number(request.headers.get('content-length') ?? 0) > limits.body) throw bodyTooLarge(limits.body)
    const scheme = protocol.slice(0, -1)
    const endpoint = {
      scheme,
      protocol: 'HTTP/1.1',
      remoteAddress,
      remotePort: 0,
      localAddress: '',
      localPort: Number(port) || (scheme === 'https' ? 443 : 80),
      tls: scheme === 'https',
      sessionId: '',
      rawTransport: request,
      bodyLimit: limits.body
    }
    const source = new FetchRequest(request, authority, limits.body)
    return host.create({ method, path: requestPath(pathname, host), query: search.slice(1), rawPath: pathname, endpoint, source })
  } catch (error) {
    return refusal(isIopaError(error) ? error : new IopaError(500, 'internal-error'))
  }
}
