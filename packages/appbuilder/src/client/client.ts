import { type Bag, type HeadersInit, IopaError } from '@iopa/constants'
import { type Answer, type Context, type ContextFactory, decodePath, isContext, type Scope } from '@iopa/context'
import { applyReturned, type Pipeline } from '../pipeline/compose.ts'
import type { Channel } from '../transport/transport.ts'
import { marked, marking } from './upstream.ts'

/** Options of one request. */
export interface RequestOptions {
  readonly headers?: HeadersInit
  /** Content type of the body; without one it follows from the value. */
  readonly type?: string
  /** Aborts the request, or ends the observation. */
  readonly signal?: AbortSignal
}

/** The client that `app.connect` gives, the same for every protocol. Paths may carry a query; any status resolves. */
export interface Client {
  get(path: string, options?: RequestOptions): Promise<Answer>
  put(path: string, body: unknown, options?: RequestOptions): Promise<Answer>
  post(path: string, body: unknown, options?: RequestOptions): Promise<Answer>
  patch(path: string, body: unknown, options?: RequestOptions): Promise<Answer>
  delete(path: string, options?: RequestOptions): Promise<Answer>
  /** Sends a bag. */
  send(request: Bag): Promise<Answer>
  /** The representation now and after each change, until the signal aborts or the loop is left. */
  observe(path: string, options?: RequestOptions): AsyncIterable<Answer>
  /** The same for the request of a bag, whose method is GET or another one that the protocol observes with, such as FETCH over CoAP. */
  observe(request: Bag): AsyncIterable<Answer>
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const isAnswer = (value: unknown): value is Answer => typeof value === 'object' && value !== null && 'headerPairs' in value && 'payload' in value

/** What a dispatch pipeline came to: the peer's answer, also where a layer did not return it, or one that a layer has made. */
const answerOf = (context: Context, value: unknown): Answer => {
  const outcome = value ?? context.response.value
  if (isAnswer(outcome)) return outcome
  const answer = context.response
  applyReturned(answer, value)
  if (!answer.hasStatus && answer.body === undefined) answer.status = 204
  answer.seal(context.environment.codecs)
  return answer
}

/** A client over a channel, whose requests run through the app's `dispatch` layers. */
export const createClient = (channel: Channel, base: URL, dispatch: (send: Pipeline) => Pipeline, factory: ContextFactory, scope: Scope): Client => {
  const prefix = channel.prefix ?? decodePath(base.pathname || '/').replace(/\/$/, '')

  const bag = (method: string, path: string, body: unknown, options: RequestOptions): Bag => {
    const query = path.indexOf('?')
    return {
      'iopa.Method': method,
      'iopa.Path': prefix + (query < 0 ? path : path.slice(0, query)),
      'iopa.QueryString': query < 0 ? '' : path.slice(query + 1),
      ...(options.headers === undefined ? undefined : { 'iopa.Headers': options.headers }),
      ...(options.type === undefined ? undefined : { 'iopa.ContentType': options.type }),
      ...(body === undefined ? undefined : { 'iopa.Body': body }),
      ...(options.signal === undefined ? undefined : { 'iopa.CallCancelled': options.signal })
    }
  }

  const contextOf = (request: Bag): Context => {
    const context = factory.promote({ ...request, 'iopa.Scheme': base.protocol.slice(0, -1) }, scope)
    context['iopa.Host'] = base.hostname.replace(/^\[|\]$/g, '')
    if (base.port !== '') context['iopa.Port'] = Number(base.port)
    return context
  }

  const sendContext = dispatch(async context => (context.response.value = await channel.send(context as unknown as Bag)))
  const send = async (request: Bag): Promise<Answer> => {
    const own = !isContext(request)
    const context = own ? marking('upstream', () => contextOf(request)) : (request as unknown as Context)
    let streams = false
    try {
      const answer = answerOf(context, await sendContext(context))
      // A body that is still to come ends with the context.
      streams = own && answer.isStream
      if (streams) answer.whenRead(() => void context.end())
      return answer
    } catch (error) {
      // The reason of the caller's own signal stays as it is.
      throw error === request['iopa.CallCancelled']?.reason ? error : marked(error, 'upstream')
    } finally {
      if (own && !streams) await context.end()
    }
  }

  async function* observe(request: string | Bag, options: RequestOptions = {}): AsyncGenerator<Answer> {
    const observing = typeof request === 'string' ? bag('GET', request, undefined, options) : request
    const method = observing['iopa.Method'] ?? 'GET'
    if (method !== 'GET' && channel.observable?.includes(method) !== true)
      throw marked(new IopaError(501, 'not-observable', `${base.protocol.slice(0, -1)} cannot observe with ${method}: use GET.`), 'upstream')
    const context = marking('upstream', () => contextOf({ ...observing, 'iopa.Observe': true }))
    try {
      // The layers see the observing request once, before it leaves; what comes back is a sequence.
      const started = await dispatch(inner => (inner.response.value = channel.observe(inner as unknown as Bag)))(context)
      yield* (started ?? context.response.value) as AsyncIterable<Answer>
    } finally {
      await context.end('unsubscribe')
    }
  }

  // The channel belongs to the scope.
  const close = async (): Promise<void> => scope.end()

  return {
    get: (path, options = {}) => send(bag('GET', path, undefined, options)),
    put: (path, body, options = {}) => send(bag('PUT', path, body, options)),
    post: (path, body, options = {}) => send(bag('POST', path, body, options)),
    patch: (path, body, options = {}) => send(bag('PATCH', path, body, options)),
    delete: (path, options = {}) => send(bag('DELETE', path, undefined, options)),
    send,
    observe,
    close,
    [Symbol.asyncDispose]: close
  }
}
