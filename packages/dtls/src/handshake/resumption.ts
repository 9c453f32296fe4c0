import type { SecuredTarget } from '@iopa/transport'
import type { ProvenIdentity } from '../key-exchange/key-exchange.ts'
import type { CipherSuite } from '../suites/cipher-suites.ts'
import type { ClientHello } from './hello.ts'

/** What a session can be resumed from. */
export interface ResumableSession {
  /** 1 to 32 bytes. */
  readonly id: Uint8Array
  readonly suite: CipherSuite
  /** A copy that belongs to its holder. */
  readonly masterSecret: Uint8Array
  /** Agreed on in the handshake that made it; a session is resumed with the same alone (RFC 7627 section 5.3). */
  readonly extendedMasterSecret: boolean
  readonly identity: ProvenIdentity
}

/** Sessions that a server has kept. The machine checks that suite and extended master secret are those of the ClientHello. */
export interface ServerSessions {
  /** By the session id or ticket of the hello; undefined leads to a full handshake. `signal` ends the search with the handshake. */
  find(hello: ClientHello, signal: AbortSignal): ResumableSession | undefined | Promise<ResumableSession | undefined>
  /** The id to announce in the ServerHello of a full handshake; empty where the session cannot be resumed by one. */
  newId(hello: ClientHello): Uint8Array
  /** True where the ServerHello announces a ticket (RFC 5077). */
  givesTicket(hello: ClientHello): boolean
  /** The body of NewSessionTicket, where one was announced. */
  ticket?(session: ResumableSession): Uint8Array
  /** Keeps a session after its full handshake. */
  store(session: ResumableSession): void
}

/** Sessions that a client has kept. */
export interface ClientSessions {
  /** The session to offer, with its ticket where it has one; an empty ticket asks for one. */
  offer(target: SecuredTarget): { readonly session?: ResumableSession; readonly ticket?: Uint8Array }
  /** Keeps a session after a handshake, with the ticket that the server gave. */
  store(target: SecuredTarget, session: ResumableSession, ticket: Uint8Array | undefined): void
  /** The server has not resumed it, or its handshake has failed. */
  forget(target: SecuredTarget): void
}
