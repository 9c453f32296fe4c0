import { type ByteChannel, Connections, ConnectionUser, type Context, type Endpoint, isUnrouted, type User } from '@iopa/transport'
import { PeerClients } from '../client/peer-clients.ts'
import type { ServedStream } from '../client/stream-client.ts'
import { openStreamPeer } from '../client/stream-peers.ts'
import { CODE } from '../codec/codes.ts'
import type { ReceivedMessage } from '../codec/message.ts'
import { OPTION } from '../codec/option-registry.ts'
import { Options } from '../codec/options.ts'
import { StreamConnection, StreamExchange } from '../exchanges/stream-exchanges.ts'
import type { StreamRequester } from '../exchanges/stream-requester.ts'
import { type Server, type ServerInit, serverOver } from '../listeners/server.ts'
import { endpointOf } from '../listeners/stream-listener.ts'
import { StreamNotifier } from '../observers/stream-notifier.ts'
import type { StreamSession } from '../streams/session.ts'

const NOTHING = new Uint8Array(0)
/** Max-Age for a server that asks too much at once, in seconds. */
const BUSY = 2

/** Both roles on the connection of a client: its responses, and the requests of its server, which an app of this process answers (RFC 8323 section 3.3). */
export class ServedByStream implements ServedStream {
  readonly #init: ServerInit
  readonly #requester: StreamRequester
  readonly #remote: StreamConnection
  readonly #context: Context
  readonly #server: Server<StreamConnection>
  readonly #clients: PeerClients<StreamConnection>
  #admitted = false

  constructor(init: ServerInit, requester: StreamRequester, channel: ByteChannel, scheme: string, user: User | undefined) {
    const { host, clock, settings } = init
    const clients = new PeerClients<StreamConnection>({
      host,
      silence: Number.POSITIVE_INFINITY,
      open: (remote, options, url, protection) => openStreamPeer(remote, options, url, settings.extensions, protection)
    })
    const endpoint: Endpoint = {
      ...endpointOf(channel, scheme, host.limits.body),
      peer: () => (this.#admitted ? clients.of(this.#remote, endpoint) : undefined)
    }
    const context = host.create({ method: 'CONNECT', path: '/', query: '', rawPath: '/', endpoint, source: null })
    if (user !== undefined) context['server.User'] = user
    // The client decides how long the connection may be idle.
    const connections = new Connections(clock, { ...host.limits, idleTimeout: Number.POSITIVE_INFINITY }, () => undefined)
    this.#init = init
    this.#requester = requester
    this.#clients = clients
    this.#context = context
    this.#remote = new StreamConnection(endpoint, context, connections.admit(channel)!)
    this.#server = serverOver<StreamConnection>(init, {
      introduce: remote => remote.endpoint,
      peer: (...association) => clients.over(...association),
      notifier: ({ remote, message }, source) => new StreamNotifier(remote, message, source)
    })
  }

  set session(session: StreamSession) {
    this.#requester.session = session
    this.#remote.session = session
  }

  /** Runs CONNECT in the app; false where that refuses the server. */
  async admit(): Promise<boolean> {
    const { host } = this.#init
    const context = this.#context
    const remote = this.#remote
    await host.invoke(context)
    if (!isUnrouted(context) && !context.response.ok) return false
    this.#admitted = true
    remote.user = new ConnectionUser(host, context, ({ detail }) => remote.whenAnswered(() => remote.session?.abort(detail)))
    remote.user.look(context)
    remote.session?.resume()
    return true
  }

  opened(): void {
    this.#requester.opened()
  }

  message(message: ReceivedMessage): void {
    if (message.code < 32) this.#receive(new StreamExchange(this.#remote, message))
    else {
      this.#requester.message(message)
      this.#remote.requests?.response(message)
    }
  }

  oversized(code: number, token: Uint8Array): void {
    const { limits } = this.#init.host
    if (code < 32) this.#remote.session?.send(CODE.REQUEST_ENTITY_TOO_LARGE, token, new Options().add(OPTION.SIZE1, limits.body), NOTHING)
    else {
      this.#requester.oversized(code, token)
      this.#remote.requests?.oversized(code, token)
    }
  }

  closing(finished: boolean): void {
    if (finished) this.#requester.closing(true)
    else this.#remote.whenAnswered(() => this.#requester.closing(false))
  }

  ready(): boolean {
    return this.#admitted && (this.#remote.inFlight < this.#init.host.limits.inFlightPerConnection || this.asks())
  }

  asks(): boolean {
    return this.#requester.asks() || this.#remote.asks
  }

  whenAnswered(work: () => void): void {
    this.#remote.whenAnswered(work)
  }

  ponged(): void {
    this.#requester.ponged()
  }

  closed(reason: string): void {
    const remote = this.#remote
    remote.counted.remove()
    remote.user?.close()
    remote.requests?.ended()
    this.#requester.closed(reason)
    this.#server.resources.forget(remote)
    this.#clients.close()
    this.#server.resources.close()
    void this.#context.end(remote.reason)
  }

  /** The client closes. */
  close(): void {
    this.#server.observers.dismiss(this.#remote)
  }

  #receive(exchange: StreamExchange): void {
    if (this.#remote.inFlight <= this.#init.host.limits.inFlightPerConnection) this.#server.resources.handle(exchange)
    else exchange.respond(CODE.SERVICE_UNAVAILABLE, new Options().add(OPTION.MAX_AGE, BUSY), NOTHING)
  }
}
