import {
  type Context,
  channelClosed,
  checkOptions,
  checkTarget,
  countersOf,
  type Endpoint,
  HeaderMap,
  type Host,
  IopaError,
  isControlMethod,
  type Limits,
  type Link,
  type LinkAnswer,
  type LinkEnd,
  type LinkRequestOptions,
  type Listener,
  linkLost,
  markFactory,
  type OpenOptions,
  type OutgoingRequest,
  receivedAnswer,
  type SealedAnswer,
  type Sink,
  type Transport,
  usersOf
} from '@iopa/transport'
import { MemoryUpload } from './memory-upload.ts'

/** Options of the memory transport. */
export interface MemoryOptions {
  /** The name in `memory://name`; `app` unless given. */
  readonly name?: string
  readonly limits?: Partial<Limits>
}

const OPTIONS: Record<keyof MemoryOptions, true> = { name: true, limits: true }

const PROTOCOL = 'MEMORY/1.0'

/**
 * A transport without a network: a client of the same transport reaches what `listen` has opened. Its requests pass
 * the pipeline, limits and observation like those of any other.
 */
export const memory = (options: MemoryOptions = {}): Transport => {
  checkOptions('memory()', options, OPTIONS, memory)
  const name = options.name ?? 'app'
  const open = new Map<string, Host>()
  let sessions = 0
  const openLink = async (url: URL, options: OpenOptions): Promise<Link> => {
    checkTarget(url, options)
    const host = open.get(url.hostname)
    if (host === undefined) throw new IopaError(502, 'connect-failed', `Cannot connect to memory://${url.hostname}: nothing listens there.`)
    return new MemoryLink(host, `memory-${++sessions}`)
  }
  return {
    name: 'memory',
    schemes: ['memory'],
    capabilities: { 'urn:io.iopa:memory': { version: '5.0.0', observe: true } },
    async listen(host) {
      if (open.has(name)) throw new IopaError(500, 'bind-failed', `memory://${name} is taken.`)
      const own = host.withLimits(options.limits)
      usersOf(own)
      countersOf(own, 'memory')
      open.set(name, own)
      return listenerOf(name, own, open)
    },
    open: openLink
  }
}

const listenerOf = (name: string, host: Host, open: Map<string, Host>): Listener => {
  let closing: Promise<void> | null = null
  const close = async (timeout: number): Promise<void> => {
    open.delete(name)
    let timer: unknown
    const late = new Promise<void>(resolve => {
      timer = host.clock.setTimeout(resolve, timeout, { keep: true })
    })
    await Promise.race([host.idle(), late])
    host.clock.clearTimeout(timer)
    await host.scope.end('shutdown')
  }
  return {
    url: new URL(`memory://${name}`),
    close: ({ timeout = host.limits.drainTimeout } = {}) => (closing ??= close(timeout))
  }
}

const endpointOf = (host: Host, session: string): Endpoint => ({
  scheme: 'memory',
  protocol: PROTOCOL,
  remoteAddress: '127.0.0.1',
  remotePort: 0,
  localAddress: '127.0.0.1',
  localPort: 0,
  tls: false,
  sessionId: session,
  rawTransport: null,
  bodyLimit: host.limits.body
})

/** The other end of a link: requests run as those of a peer. */
class MemoryLink implements Link {
  readonly concurrency: number = Number.POSITIVE_INFINITY
  readonly closed: Promise<LinkEnd>
  readonly #host: Host
  readonly #endpoint: Endpoint
  readonly #connection: Context
  /** Fail what waits. */
  readonly #waiting = new Set<() => void>()
  #leaving = false

  constructor(host: Host, session: string) {
    this.#host = host
    this.#endpoint = endpointOf(host, session)
    this.#connection = host.create({ method: 'CONNECT', path: '/', query: '', rawPath: '/', endpoint: this.#endpoint, source: null })
    this.closed = new Promise(resolve => {
      this.#connection.defer(() => resolve({ reason: this.#leaving ? 'finish' : 'lost' }))
    })
  }

  async request(message: OutgoingRequest, { signal }: LinkRequestOptions): Promise<LinkAnswer> {
    const { body, method } = message
    const upload = body === null || body instanceof Uint8Array ? null : new MemoryUpload(body)
    const context = this.#create(method, upload === null ? message : { ...message, body: upload })
    try {
      await this.#until(context, signal, this.#host.invoke(context, 'all'))
      return receivedCopy(context.response, method)
    } catch (error) {
      upload?.cut()
      throw error
    } finally {
      await context.end()
    }
  }

  async subscribe(message: OutgoingRequest, sink: Sink, { signal }: LinkRequestOptions): Promise<void> {
    const context = this.#create('GET', message)
    context['iopa.Observe'] = true
    try {
      const over = new Promise<void>(resolve => context.defer(() => resolve()))
      await this.#until(context, signal, Promise.all([over, this.#host.observe(context, answer => sink.next(receivedCopy(answer, 'GET')))]))
    } finally {
      await context.end('unsubscribe')
    }
  }

  async close(): Promise<void> {
    this.#leaving = true
    // A context whose handler is still changing something does not end with its link.
    for (const lost of [...this.#waiting]) lost()
    await this.#connection.end('disconnect')
  }

  #create(method: string, { path, query, headers, type, body }: OutgoingRequest): Context {
    if (this.#connection.ended) throw linkLost({ sent: false })
    if (isControlMethod(method)) throw new IopaError(400, 'control-method', `A peer cannot use the method ${method}.`)
    const source = { headers: () => [...headers].flat(), contentType: () => type, body: () => body }
    return this.#host.create({ method, path, query, rawPath: path, endpoint: this.#endpoint, source }, this.#connection)
  }

  /** Settles with `work`, or rejects when the signal aborts, or the link ends. */
  async #until<T>(context: Context, signal: AbortSignal, work: Promise<T>): Promise<T> {
    let fail: (error: unknown) => void = () => undefined
    const ended = new Promise<never>((_, reject) => {
      fail = reject
    })
    const abort = (): void => {
      fail(signal.reason)
      void context.end('disconnect')
    }
    const lost = (): void => fail(this.#leaving ? channelClosed() : linkLost({ sent: true }))
    signal.addEventListener('abort', abort, { once: true })
    this.#waiting.add(lost)
    context.defer(reason => {
      if (reason === 'shutdown' || reason === 'disconnect') lost()
    })
    try {
      return await Promise.race([work, ended])
    } finally {
      this.#waiting.delete(lost)
      signal.removeEventListener('abort', abort)
    }
  }
}

/** What a peer would have got of an answer. */
const receivedCopy = (answer: SealedAnswer, method: string): LinkAnswer => {
  const payload = method === 'HEAD' || answer.payload === null || answer.isStream ? null : answer.payloadBytes.slice()
  return receivedAnswer(answer.status, { headers: new HeaderMap([...answer.headerPairs]), type: answer.type, payload, reason: answer.reason })
}

markFactory('memory', memory)
