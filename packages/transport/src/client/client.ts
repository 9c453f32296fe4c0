import { type Bag, type HeadersInit, IopaError, type KeysDeclaration } from '@iopa/constants'
import type { LinkAnswer, ReceivedAnswer } from '@iopa/context'
import {
  type AnswerRecord,
  abandonValue,
  abortable,
  type ContextFactory,
  checkBag,
  decodePath,
  encodeBody,
  HeaderMap,
  handOver,
  isContext,
  type RunContext,
  type Scope,
  sealAnswer,
  useCodecs,
  whenRead
} from '@iopa/context/host'
import { checkOptions, checkSurplus } from '../arguments/arguments.ts'
import { checkDeclared } from './declared-keys.ts'
import { channelClosed } from './failures.ts'
import { observedRemotely } from './observed-remotely.ts'
import { marked, marking } from './upstream.ts'

/** Options of one request. */
export interface RequestOptions {
  readonly headers?: HeadersInit
  /** Content type of the body; without one it follows from the value. */
  readonly type?: string
  /** Aborts the request, or ends the observation. */
  readonly signal?: AbortSignal
}

const REQUEST_OPTIONS: Record<keyof RequestOptions, true> = { headers: true, type: true, signal: true }
const NO_OPTIONS: RequestOptions = {}

/** @throws IopaError 500 for options that do not exist and further arguments, with the line of the call of `caller`. */
const checkRequest = (name: string, options: RequestOptions, surplus: readonly unknown[], caller: unknown): void => {
  if (options !== NO_OPTIONS) checkOptions(name, options, REQUEST_OPTIONS, caller)
  checkSurplus(name, surplus, caller)
}

/** The client that `app.connect` gives, the same for every protocol. Paths may carry a query; any status resolves. */
export interface Client {
  /** The path that stands before those of `get`, `put`, `post`, `patch`, `delete` and `observe`: that of the URL. Bags name whole paths. */
  readonly pathBase: string
  get(path: string, options?: RequestOptions): Promise<ReceivedAnswer>
  /** A body of null is JSON null; undefined means no body. */
  put(path: string, body: unknown, options?: RequestOptions): Promise<ReceivedAnswer>
  post(path: string, body: unknown, options?: RequestOptions): Promise<ReceivedAnswer>
  patch(path: string, body: unknown, options?: RequestOptions): Promise<ReceivedAnswer>
  delete(path: string, options?: RequestOptions): Promise<ReceivedAnswer>
  /** Sends a bag. */
  send(request: Bag): Promise<ReceivedAnswer>
  /** The representation now and after each change, until the signal aborts or the loop is left. */
  observe(path: string, options?: RequestOptions): AsyncIterable<ReceivedAnswer>
  /** The same for the request of a bag, whose method is GET or another one that the protocol observes with, such as FETCH over CoAP. */
  observe(request: Bag): AsyncIterable<ReceivedAnswer>
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const isAnswer = (value: unknown): value is LinkAnswer => typeof value === 'object' && value !== null && 'headerPairs' in value && 'payload' in value

/** What a dispatch pipeline came to: the peer's answer, also where a layer did not return it, or one that a layer has made. */
const answerOf = (context: RunContext, value: unknown): LinkAnswer => {
  const outcome = value ?? context.response.value
  if (isAnswer(outcome)) {
    useCodecs(outcome, context.environment.codecs)
    return outcome
  }
  const answer = context.response
  answer.take(value)
  if (answer.code === 0 && answer.content === undefined) answer.status = 204
  void sealAnswer(answer, context.environment.codecs)
  return handOver(answer)
}

/** Sends a context: an answer, or a promise of it. */
export type Send = (context: RunContext) => unknown

/** What a client sends with. A request is a bag, or a context. */
export interface Requester {
  readonly prefix?: string
  readonly observable?: readonly string[]
  /** The namespaces of the protocol, in which a bag has no other keys. */
  readonly keys: readonly KeysDeclaration[]
  send(request: Bag): Promise<LinkAnswer>
  observe(request: Bag): AsyncIterable<LinkAnswer>
}

/** A client whose requests run through the app's `dispatch` layers. */
export const createClient = (requester: Requester, base: URL, dispatch: (send: Send) => Send, factory: ContextFactory, scope: Scope): Client => {
  const prefix = requester.prefix ?? decodePath(base.pathname || '/').replace(/\/$/, '')

  const bag = (method: string, path: string, body: unknown, options: RequestOptions): Bag => {
    const query = path.indexOf('?')
    const own = query < 0 ? path : path.slice(0, query)
    return {
      'iopa.Method': method,
      // A path is below that of the URL, with or without a slash before it.
      'iopa.Path': own === '' ? prefix || '/' : own.startsWith('/') ? prefix + own : `${prefix}/${own}`,
      'iopa.QueryString': query < 0 ? '' : path.slice(query + 1),
      ...(options.headers === undefined ? undefined : { 'iopa.Headers': options.headers }),
      ...(options.type === undefined ? undefined : { 'iopa.ContentType': options.type }),
      ...(body === undefined ? undefined : body === null ? nullBody(options) : { 'iopa.Body': body }),
      ...(options.signal === undefined ? undefined : { 'iopa.CallCancelled': options.signal })
    }
  }

  // In a bag, null means no body; for the methods of a client it is a JSON value.
  const nullBody = ({ type, headers }: RequestOptions): Bag => {
    const stated = type ?? (headers === undefined ? undefined : HeaderMap.from(headers).get('content-type')) ?? ''
    const { payload, type: encoded } = encodeBody(null, stated, scope.environment.codecs)
    return { 'iopa.Body': payload, 'iopa.ContentType': encoded }
  }

  const contextOf = (request: Bag): RunContext => {
    checkBag(request)
    checkDeclared(request, requester.keys)
    const context = factory.promote({ ...request, 'iopa.Scheme': base.protocol.slice(0, -1) }, scope)
    context['iopa.Host'] = base.hostname.replace(/^\[|\]$/g, '')
    if (base.port !== '') context['iopa.Port'] = Number(base.port)
    return context
  }

  const sendContext = dispatch(async context => (context.response.value = await requester.send(context as unknown as Bag)))
  const send = async (request: Bag): Promise<LinkAnswer> => {
    const own = !isContext(request)
    const context = own ? marking('upstream', () => contextOf(request)) : (request as unknown as RunContext)
    // The reason of the caller's own signal stays as it is, and goes before what its abort has led to.
    const failed = (error: unknown): unknown => {
      const signal = request['iopa.CallCancelled']
      return signal?.aborted && (own || error === signal.reason) ? signal.reason : marked(scope.ended ? channelClosed() : error, 'upstream')
    }
    let streams = false
    try {
      // What was cancelled before is not sent; no layer and no link makes the caller wait after that.
      const { signal } = context
      const answer = answerOf(context, await abortable(signal, async () => sendContext(context), abandonValue))
      // A body that is still to come ends with the context.
      streams = own && answer.isStream
      if (streams) whenRead(answer as unknown as AnswerRecord, () => void context.end(), signal, failed)
      return answer
    } catch (error) {
      throw failed(error)
    } finally {
      if (own && !streams) await context.end()
    }
  }

  async function* answers(observing: Bag, signal: AbortSignal, stop: () => void): AsyncGenerator<LinkAnswer> {
    const method = observing['iopa.Method'] ?? 'GET'
    if (method !== 'GET' && requester.observable?.includes(method) !== true)
      throw marked(new IopaError(501, 'not-observable', `${base.protocol.slice(0, -1)} cannot observe with ${method}: use GET.`), 'upstream')
    if (scope.ended) throw marked(channelClosed(), 'upstream')
    const context = marking('upstream', () => contextOf({ ...observing, 'iopa.Observe': true, 'iopa.CallCancelled': signal }))
    let left = false
    // Its end from outside, as by close(), does not wait for the peer.
    context.defer(() => {
      if (!left) stop()
    })
    try {
      // The layers see the observing request once, before it is sent; the result is a sequence.
      const started = await dispatch(inner => (inner.response.value = requester.observe(inner as unknown as Bag)))(context)
      for await (const answer of (started ?? context.response.value) as AsyncIterable<LinkAnswer>) {
        useCodecs(answer, context.environment.codecs)
        yield answer
      }
    } catch (error) {
      throw marked(error, 'upstream')
    } finally {
      left = true
      await context.end('unsubscribe')
    }
  }

  const observe = (request: string | Bag, options: RequestOptions = NO_OPTIONS, ...surplus: never[]): AsyncIterable<LinkAnswer> => {
    checkRequest('observe()', options, surplus, observe)
    const observing = typeof request === 'string' ? bag('GET', request, undefined, options) : request
    return observedRemotely(observing['iopa.CallCancelled'], (signal, stop) => answers(observing, signal, stop))
  }

  /** A method without a body: `get`, `delete`. */
  const asking = (name: string) => {
    const method = name.toUpperCase()
    const ask = (path: string, options: RequestOptions = NO_OPTIONS, ...surplus: never[]): Promise<LinkAnswer> => {
      try {
        checkRequest(`${name}()`, options, surplus, ask)
        return send(bag(method, path, undefined, options))
      } catch (error) {
        return Promise.reject(error)
      }
    }
    return ask
  }

  /** A method with a body: `put`, `post`, `patch`. */
  const sending = (name: string) => {
    const method = name.toUpperCase()
    const ask = (path: string, body: unknown, options: RequestOptions = NO_OPTIONS, ...surplus: never[]): Promise<LinkAnswer> => {
      try {
        checkRequest(`${name}()`, options, surplus, ask)
        return send(bag(method, path, body, options))
      } catch (error) {
        return Promise.reject(error)
      }
    }
    return ask
  }

  // The engine belongs to the scope.
  const close = async (): Promise<void> => scope.end()

  return {
    pathBase: prefix,
    get: asking('get'),
    put: sending('put'),
    post: sending('post'),
    patch: sending('patch'),
    delete: asking('delete'),
    send,
    observe,
    close,
    [Symbol.asyncDispose]: close
  }
}
