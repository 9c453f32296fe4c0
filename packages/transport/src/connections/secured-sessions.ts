import type { Peer } from '@iopa/context'
import type { Endpoint, OwnedContext } from '@iopa/context/host'
import { type SecuredChannel, type SecuredPeer, type SecuredReceiver, sameIdentity } from '../channels/secured-datagrams.ts'
import type { Host, Subscription } from '../contract/host.ts'
import { isUnrouted } from '../contract/routes.ts'
import { ConnectionUser } from '../users/connection-user.ts'
import { usersOf } from '../users/user-watches.ts'
import type { Counters } from './counters.ts'

/** What may wait for the answer to CONNECT: further datagrams are lost, as they may be on any network. */
const MOST_WAITING = 8
const MOST_WAITING_BYTES = 16 * 1024

/** What a protocol does with the sessions of a listener. None may throw. */
export interface SessionHandlers<State> {
  /** A datagram of a session that was admitted; `unproven` is true for one from the latest address of its peer. */
  message(session: SecuredSession<State>, bytes: Uint8Array, unproven: boolean): void
  /** The session has ended; its connection ends right after this. */
  ended(session: SecuredSession<State>): void
}

/** What the sessions of a listener have in common. */
export interface SecuredSessionsInit<State> {
  readonly host: Host
  readonly channel: SecuredChannel
  readonly counters: Counters
  /** `server.Scheme` and `server.Protocol`. */
  readonly scheme: string
  readonly protocol: string
  /** What `context.peer` is for the requests of a session; undefined where the protocol asks its clients nothing. */
  readonly peer?: (this: SessionEndpoint<State>) => Peer | undefined
  readonly handlers: SessionHandlers<State>
}

/** The two ends of an association. Each session keeps one: what middleware may copy is a field of it. */
class SessionEndpoint<State> implements Endpoint {
  readonly scheme: string
  readonly protocol: string
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly tls: boolean = true
  readonly sessionId: string
  readonly rawTransport: unknown
  readonly bodyLimit: number
  /** Undefined until it has begun. */
  session: SecuredSession<State> | undefined = undefined
  declare readonly clientCertificate?: () => unknown
  declare readonly peer?: (this: SessionEndpoint<State>) => Peer | undefined

  constructor({ channel, scheme, protocol, host, peer: ask }: SecuredSessionsInit<State>, { id, proven, clientCertificate }: SecuredPeer) {
    this.scheme = scheme
    this.protocol = protocol
    this.remoteAddress = proven.address
    this.remotePort = proven.port
    this.localAddress = channel.localAddress
    this.localPort = channel.localPort
    this.sessionId = id
    this.rawTransport = channel.raw
    this.bodyLimit = host.limits.body
    if (clientCertificate !== undefined) this.clientCertificate = clientCertificate
    if (ask !== undefined) this.peer = ask
  }
}

/** What a session needs of those that it is one of. */
interface SessionOwner<State> {
  readonly host: Host
  readonly counters: Counters
  revoke(session: SecuredSession<State>): void
}

interface Waiting {
  readonly bytes: Uint8Array
  readonly unproven: boolean
}

/** One security association that a server has: its connection runs CONNECT through the app, and its requests have the user of that. */
export class SecuredSession<State> {
  readonly peer: SecuredPeer
  readonly connection: OwnedContext
  /** The two ends as they were when it began. */
  readonly endpoint: SessionEndpoint<State>
  /** What the protocol keeps for it. */
  state: State | undefined = undefined
  /** Datagrams that wait until CONNECT has its answer; null from then on. */
  waiting: Waiting[] | null = NOTHING_WAITS
  waitingBytes = 0
  readonly #owner: SessionOwner<State>
  /** When it was counted in. */
  readonly #began: number
  #watched: ConnectionUser | undefined

  constructor(owner: SessionOwner<State>, peer: SecuredPeer, connection: OwnedContext, endpoint: SessionEndpoint<State>) {
    this.#owner = owner
    this.peer = peer
    this.connection = connection
    this.endpoint = endpoint
    this.#began = owner.counters.opened(endpoint)
    endpoint.session = this
  }

  /** Looks whether middleware has set another user of the connection, or one that expires; to be called after each request, with that request. */
  look(by: OwnedContext): void {
    const user = this.connection['server.User']
    // What the handshake has proven is watched for all sessions together, unless it expires.
    if (this.#watched === undefined && (user === undefined || (user === this.peer.user && user.valid === undefined))) return
    this.#watched ??= new ConnectionUser(this.#owner.host, this.connection, () => this.#owner.revoke(this))
    this.#watched.look(by)
  }

  /** Called once, by the sessions that it is one of. */
  end(): void {
    this.#watched?.close()
    this.#owner.counters.closed(this.endpoint, this.#began)
  }
}

const NOTHING_WAITS: Waiting[] = []

/** The sessions of a listener over a secured channel: each begins with CONNECT, and ends with its association, or when its user expires or is revoked. */
export class SecuredSessions<State> implements SecuredReceiver, SessionOwner<State> {
  readonly #init: SecuredSessionsInit<State>
  readonly #sessions = new Map<SecuredPeer, SecuredSession<State>>()
  readonly #revocations: Subscription
  readonly host: Host
  readonly counters: Counters

  /** Opens the channel. */
  constructor(init: SecuredSessionsInit<State>) {
    const { host, channel, counters } = init
    this.#init = init
    this.host = host
    this.counters = counters
    // Its observers have their 401 first.
    this.#revocations = usersOf(host).revocations(id => queueMicrotask(() => channel.revoke(({ user }) => user?.id === id)))
    channel.open(this)
  }

  get size(): number {
    return this.#sessions.size
  }

  opened(peer: SecuredPeer): void {
    const { host } = this
    const { user } = peer
    const endpoint = this.endpointOf(peer)
    const context = host.create({ method: 'CONNECT', path: '/', query: '', rawPath: '/', endpoint, source: null })
    if (user !== undefined) context['server.User'] = user
    const session = new SecuredSession<State>(this, peer, context, endpoint)
    this.#sessions.set(peer, session)
    host.run(context, () => this.#admit(session))
  }

  message(bytes: Uint8Array, peer: SecuredPeer, unproven: boolean): void {
    const session = this.#sessions.get(peer)
    if (session === undefined) return
    if (session.waiting === null) this.#init.handlers.message(session, bytes, unproven)
    else if (session.waiting.length < MOST_WAITING && session.waitingBytes + bytes.length <= MOST_WAITING_BYTES) {
      if (session.waiting === NOTHING_WAITS) session.waiting = []
      session.waiting.push({ bytes, unproven })
      session.waitingBytes += bytes.length
    }
  }

  closed(peer: SecuredPeer): void {
    const session = this.#sessions.get(peer)
    if (session !== undefined) this.#end(session, 'disconnect')
  }

  error(error: Error): void {
    // Not louder: an unreachable peer is not our failure.
    this.#init.host.logger.debug(`iopa: ${this.#init.scheme}`, error)
  }

  /** Ends every session, and tells the peers. */
  close(): void {
    this.#revocations[Symbol.dispose]()
    for (const session of [...this.#sessions.values()]) {
      this.#end(session, 'shutdown')
      session.peer.close()
    }
  }

  /** The two ends of an association, where it is now. */
  endpointOf(peer: SecuredPeer): SessionEndpoint<State> {
    return new SessionEndpoint(this.#init, peer)
  }

  #admit(session: SecuredSession<State>): void {
    const { connection, peer, waiting } = session
    if (this.#sessions.get(peer) !== session) return
    if (!isUnrouted(connection) && !connection.response.ok) {
      this.#end(session, 'finish')
      peer.close()
      return
    }
    session.waiting = null
    session.look(connection)
    for (const { bytes, unproven } of waiting ?? []) if (this.#sessions.get(peer) === session) this.#init.handlers.message(session, bytes, unproven)
  }

  /** The user of a session is not valid any more: it ends, and so does everything that could resume it. */
  revoke({ peer }: SecuredSession<State>): void {
    this.#init.channel.revoke(other => sameIdentity(other, peer))
    peer.close()
    this.closed(peer)
  }

  #end(session: SecuredSession<State>, reason: 'finish' | 'disconnect' | 'shutdown'): void {
    this.#sessions.delete(session.peer)
    session.waiting = null
    session.end()
    this.#init.handlers.ended(session)
    void session.connection.end(reason)
  }
}
