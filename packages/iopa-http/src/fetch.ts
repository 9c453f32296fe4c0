/**
 * An IOPA app as a web fetch handler, for workers, Deno, Bun and browsers; it loads no module of Node.
 *
 * @example
 * const app = new App().use(router())
 * app.get('/hello', () => 'Hello World')
 * export default { fetch: toFetchHandler(app) }
 */

import type { App } from '@iopa/appbuilder'
import { bodyTooLarge, type Context, type Host, IopaError, isControlMethod, isIopaError } from '@iopa/transport'
import { acceptsEventStream } from './events/event-stream.ts'
import { observe } from './fetch/fetch-events.ts'
import { FetchRequest } from './fetch/fetch-request.ts'
import { refusal, responseTo } from './fetch/fetch-response.ts'
import { type HandlerOptions, handlerParts } from './handler-options.ts'
import type { HostRules } from './message/authority.ts'
import { isMethod } from './message/head-syntax.ts'
import { requestPath } from './message/request-path.ts'

export type { HandlerOptions } from './handler-options.ts'

/** Options of `toFetchHandler()`. */
export type FetchOptions = HandlerOptions<Request>

/** Answers web requests with the app. It ends with the app; `app.listen()` is not needed. */
export const toFetchHandler = (app: Pick<App, 'host'>, options: FetchOptions = {}): ((request: Request) => Promise<Response>) => {
  const { host, counters, rules, heartbeats, retry } = handlerParts(app, 'fetch', options, toFetchHandler)
  const { remoteAddress = () => '' } = options

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
