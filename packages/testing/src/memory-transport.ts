import {
  answerTimeout,
  type Bag,
  type Channel,
  type ConnectOptions,
  type Context,
  channelClosed,
  checkOptions,
  checkTargetUrl,
  connectionLost,
  countersOf,
  type Endpoint,
  HeaderMap,
  type Host,
  IopaError,
  isControlMethod,
  type Limits,
  type LinkAnswer,
  type Listener,
  markFactory,
  type OutgoingRequest,
  observationRefused,
  outgoing,
  receivedAnswer,
  type SealedAnswer,
  systemClock,
  type Transport,
  upstream,
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
 * A transport without a network: `connect` of the same transport reaches what `listen` has opened. Its requests pass
 * the pipeline, limits and observation like those of any other.
 */
export const memory = (options: MemoryOptions = {}): Transport => {
  checkOptions('memory()', options, OPTIONS, memory)
  const name = options.name ?? 'app'
  const open = new Map<string, Host>()
  let sessions = 0
  const connect = async (url: URL, connecting: ConnectOptions): Promise<Channel> => {
    checkTargetUrl(url)
    connecting.signal?.throwIfAborted()
    const host = open.get(url.hostname)
    if (host === undefined) throw new IopaError(502, 'connect-failed', `Cannot connect to memory://${url.hostname}: nothing listens there.`)
    return channelOf(host, connecting, `memory-${++sessions}`)
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
    connect: (url, connecting = {}) => upstream(connect(url, connecting))
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

const channelOf = (host: Host, connecting: ConnectOptions, session: string): Channel => {
  const endpoint = endpointOf(host, session)
  const connection = host.create({ method: 'CONNECT', path: '/', query: '', rawPath: '/', endpoint, source: null })
  const clock = connecting.clock ?? systemClock
  const timeout = connecting.timeout ?? 30_000

  const waiting = new Set<() => void>()
  let closed = false

  const contextOf = (request: OutgoingRequest): Context => {
    request.signal?.throwIfAborted()
    if (closed) throw channelClosed()
    if (connection.ended) throw connectionLost()
    if (isControlMethod(request.method)) throw new IopaError(400, 'control-method', `A peer cannot ask for ${request.method}.`)
    const source = {
      headers: () => [...request.headers].flat(),
      contentType: () => request.type,
      body: () => request.body
    }
    return host.create({ method: request.method, path: request.path, query: request.query, rawPath: request.path, endpoint, source }, connection)
  }

  /** Settles with `work`, or rejects when the request is aborted, times out, or the channel closes. */
  const bounded = async <T>(context: Context, signal: AbortSignal | undefined, work: Promise<T>): Promise<T> => {
    let timer: unknown
    let stop: () => void = () => undefined
    let lost: () => void = () => undefined
    const ended = new Promise<never>((_, reject) => {
      timer = clock.setTimeout(
        () => {
          reject(answerTimeout(timeout))
          void context.end('disconnect')
        },
        timeout,
        { keep: true }
      )
      stop = () => {
        reject(signal?.reason)
        void context.end('disconnect')
      }
      if (signal?.aborted) stop()
      signal?.addEventListener('abort', stop, { once: true })
      lost = () => reject(closed ? channelClosed() : connectionLost())
      waiting.add(lost)
      context.defer(reason => {
        if (reason === 'shutdown' || reason === 'disconnect') lost()
      })
    })
    try {
      return await Promise.race([work, ended])
    } finally {
      clock.clearTimeout(timer)
      waiting.delete(lost)
      signal?.removeEventListener('abort', stop)
    }
  }

  const received = async (answer: SealedAnswer, method: string): Promise<LinkAnswer> => {
    const payload = method === 'HEAD' || answer.payload === null || answer.isStream ? null : answer.payloadBytes.slice()
    return receivedAnswer(answer.status, { headers: new HeaderMap([...answer.headerPairs]), type: answer.type, payload, reason: answer.reason })
  }

  return {
    async send(request: Bag) {
      const sent = outgoing(request)
      const { body } = sent
      const upload = body === null || body instanceof Uint8Array ? null : new MemoryUpload(body)
      const context = contextOf(upload === null ? sent : { ...sent, body: upload })
      try {
        await bounded(context, sent.signal, host.invoke(context, 'all'))
        return await received(context.response, sent.method)
      } catch (error) {
        upload?.cut()
        throw error
      } finally {
        await context.end()
      }
    },
    async *observe(request: Bag) {
      const sent = outgoing(request)
      const context = contextOf({ ...sent, method: 'GET' })
      context['iopa.Observe'] = true
      const arrived: SealedAnswer[] = []
      let wake: () => void = () => undefined
      const stop = (): void => void context.end('unsubscribe')
      context.defer(() => wake())
      if (sent.signal?.aborted) stop()
      sent.signal?.addEventListener('abort', stop, { once: true })
      try {
        await bounded(
          context,
          sent.signal,
          host.observe(context, answer => {
            // A reader that lags gets the newest state.
            arrived.splice(0, arrived.length, answer)
            wake()
          })
        ).catch((error: unknown) => {
          if (!sent.signal?.aborted) throw error
        })
        for (;;) {
          const answer = arrived.shift()
          if (answer !== undefined) {
            const own = await received(answer, 'GET')
            if (!own.ok) throw observationRefused(own)
            yield own
          } else if (context.ended) {
            return
          } else {
            await new Promise<void>(resolve => {
              wake = resolve
            })
          }
        }
      } finally {
        sent.signal?.removeEventListener('abort', stop)
        await context.end('unsubscribe')
      }
    },
    async close() {
      closed = true
      // A context whose handler is still changing something does not end with its channel.
      for (const lost of [...waiting]) lost()
      await connection.end('disconnect')
    }
  }
}

markFactory('memory', memory)
