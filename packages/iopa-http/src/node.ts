/**
 * An IOPA app as a request handler of `node:http`: for Express, Fastify, Nest and other servers that this process has already.
 *
 * @example
 * const app = new App().use(router())
 * app.get('/hello', () => 'Hello World')
 * express().use('/iopa', toNodeHandler(app)).listen(8080)
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { App } from '@iopa/appbuilder'
import { bodyTooLarge, type Context, type Host, IopaError, isControlMethod, isIopaError, isUnrouted, type SealedAnswer } from '@iopa/transport'
import { acceptsEventStream } from './events/event-stream.ts'
import { type HandlerOptions, handlerParts } from './handler-options.ts'
import type { HostRules } from './message/authority.ts'
import { isMethod } from './message/head-syntax.ts'
import { answerTo } from './message/refusal.ts'
import { requestPath } from './message/request-path.ts'
import { NodeAnswer } from './node/node-answer.ts'
import { observe } from './node/node-events.ts'
import { NodeRequest } from './node/node-request.ts'
import { unmapped } from './server/proxies.ts'

export type { HandlerOptions } from './handler-options.ts'

/** Options of `toNodeHandler()`. */
export type NodeHandlerOptions = HandlerOptions<IncomingMessage>

/** A listener of the event `request`, and middleware of Express. */
export type NodeHandler = (request: IncomingMessage, response: ServerResponse, next?: (error?: unknown) => void) => void

/**
 * Answers requests of a Node server with the app. It ends with the app; `app.listen()` is not needed. With `next`, a request that no route and no
 * middleware answers is passed on.
 */
export const toNodeHandler = (app: Pick<App, 'host'>, options: NodeHandlerOptions = {}): NodeHandler => {
  const { host, counters, rules, heartbeats, retry } = handlerParts(app, 'node', options, toNodeHandler)
  const { remoteAddress = ({ socket }: IncomingMessage) => unmapped(socket.remoteAddress ?? '') } = options

  return (request, response, next) => {
    const answer = new NodeAnswer(response, host)
    const context = admit(host, rules, request, remoteAddress)
    if ('sealed' in context) {
      answer.send(context, request.method === 'HEAD')
      return
    }
    // The peer has gone, or has the whole answer.
    const closed = (): void => void context.end(response.writableFinished ? 'finish' : 'disconnect')
    response.once('close', closed)
    if (response.destroyed || response.closed) closed()
    const done = (sealed: SealedAnswer): void => {
      if (next !== undefined && isUnrouted(context) && !response.headersSent) {
        response.off('close', closed)
        void context.end()
        next()
      } else answer.sendFor(context, sealed)
    }
    if (context.method === 'GET' && acceptsEventStream(request.headers.accept ?? '')) {
      context['iopa.Observe'] = true
      counters.observed(context)
      observe(host, context, answer, heartbeats, retry, done)
    } else host.run(context, () => done(context.response))
  }
}

/** The context of a request, or the answer that refuses it. */
const admit = (host: Host, rules: HostRules, request: IncomingMessage, address: (request: IncomingMessage) => string): Context | SealedAnswer => {
  try {
    const { limits } = host
    const { method = '', url = '/', headers, socket } = request
    const authority = headers.host ?? String(headers[':authority'] ?? '')
    if (authority === '' && request.httpVersionMajor === 1 && request.httpVersionMinor > 0) {
      throw new IopaError(400, 'no-host', 'A request needs a Host header (RFC 9112 section 3.2).')
    }
    if (authority !== '') rules.check(authority)
    if (!isMethod(method)) throw new IopaError(400, 'bad-method', 'A method is capital letters and hyphens.')
    if (isControlMethod(method)) throw new IopaError(400, 'control-method', `A peer cannot use the method ${method}.`)
    if (Number(headers['content-length'] ?? 0) > limits.body) throw bodyTooLarge(limits.body)
    if (request.rawHeaders.length > limits.headerCount * 2) {
      throw new IopaError(431, 'too-many-headers', `The request has more than ${limits.headerCount} header fields; send fewer.`)
    }
    if (!url.startsWith('/')) throw new IopaError(400, 'bad-target', "The request target must be a path that begins with '/'.")
    if (url.includes('#')) throw new IopaError(400, 'fragment-in-target', "The request target has a fragment ('#'), which stays with the client.")
    const mark = url.indexOf('?')
    const rawPath = mark < 0 ? url : url.slice(0, mark)
    const tls = (socket as { readonly encrypted?: boolean }).encrypted === true
    const endpoint = {
      scheme: tls ? 'https' : 'http',
      protocol: `HTTP/${request.httpVersion}`,
      remoteAddress: address(request),
      remotePort: socket.remotePort ?? 0,
      localAddress: unmapped(socket.localAddress ?? ''),
      localPort: socket.localPort ?? 0,
      tls,
      sessionId: '',
      rawTransport: socket,
      bodyLimit: limits.body,
      clientCertificate: () => certificateOf(socket)
    }
    const source = new NodeRequest(request, authority, limits.body)
    return host.create({ method, path: requestPath(rawPath, host), query: mark < 0 ? '' : url.slice(mark + 1), rawPath, endpoint, source })
  } catch (error) {
    return answerTo(isIopaError(error) ? error : new IopaError(500, 'internal-error'))
  }
}

/** The peer's certificate, where TLS asked for one and checked it. */
const certificateOf = (socket: object): unknown => {
  const { authorized, getPeerCertificate } = socket as { readonly authorized?: boolean; getPeerCertificate?(): object }
  if (authorized !== true || getPeerCertificate === undefined) return undefined
  const certificate = getPeerCertificate.call(socket)
  return Object.keys(certificate ?? {}).length > 0 ? certificate : undefined
}
