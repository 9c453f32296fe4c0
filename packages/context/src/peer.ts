import type { Client } from './client.ts'

/** Options of a client to a peer. */
export interface PeerClientOptions {
  /** Aborts the opening; a client that is open ignores it. */
  readonly signal?: AbortSignal
  /** Milliseconds for the opening, and for each request to be answered; those of the protocol unless given. */
  readonly timeout?: number
  /**
   * Milliseconds of silence after which the peer counts as gone, where datagrams have no session that ends: its address may belong to another by then.
   * As long as the protocol remembers a peer unless given (247,000 for CoAP over UDP); Infinity for a network whose addresses do not change.
   */
  readonly silence?: number
}

/**
 * The sender of a request, where its protocol lets both sides ask. It is one session: a connection, a security association, or an address that keeps
 * speaking. The object is the same for all requests of the session, and never stands for the next one.
 */
export interface Peer {
  /**
   * A client that sends requests to the peer over the session that the peer has opened, from the port that it has spoken to. It ends with the session:
   * then requests and observations fail with `peer-gone`. Close it when it is not needed any more. Rejects with an IopaError where the peer is gone or
   * does not answer, and where there are too many clients.
   */
  client(options?: PeerClientOptions): Promise<Client>
}
