import type { LinkAnswer } from '@iopa/context'
import type { OutgoingRequest } from '../client/outgoing.ts'
import type { Clock } from './clock.ts'
import type { Host } from './host.ts'
import type { Limits } from './limits.ts'
import type { TlsOptions } from './tls.ts'

/**
 * One connection of a client, without any policy: it has no deadline for an answer, does not reconnect, retries nothing, and queues only what its
 * protocol queues. The core pools links, bounds what waits, and observes again after a loss. Timers that are part of the protocol stay in the link:
 * retransmission, keep-alive, heartbeats.
 */
export interface Link {
  /**
   * Requests and subscriptions that the link carries at once: 1 for HTTP/1.1, Infinity where messages carry identifiers and the protocol paces
   * itself. Below Infinity the core opens further links; a link of 1 is taken by a request or a subscription for itself.
   */
  readonly concurrency: number
  /** Resolves when the link has ended, for any reason; never rejects. */
  readonly closed: Promise<LinkEnd>
  /** Path that goes before the path of every request, where it is not the path of the URL. */
  readonly prefix?: string
  /** Milliseconds until a message of a request is acknowledged or answered, unless the caller says; for a protocol whose own retransmission has the last word. 30,000 unless given. */
  readonly requestTimeout?: number
  /** While nothing at all has come from the peer: a sentence about what to check, which the error of a late answer says. */
  readonly silence?: string | undefined
  /** Milliseconds for which the peer keeps the link while it is idle, as far as it said; 0 where the link carries nothing more after what it carries now. */
  readonly idleTimeout?: number
  /**
   * Sends one request; resolves with any answer, whatever its status. Rejects with `linkLost` where the link ends first, and with an IopaError for what
   * the protocol cannot carry. After `signal` has aborted, also while a streamed body is read, the outcome does not matter: release what the request holds.
   */
  request(message: OutgoingRequest, options: LinkRequestOptions): Promise<LinkAnswer>
  /**
   * Gives the sink the current answer and one after each change. Resolves when the peer has ended the subscription for good, or after `signal` has
   * aborted, without waiting for the peer; rejects as `request` does.
   */
  subscribe(message: OutgoingRequest, sink: Sink, options: SubscribeOptions): Promise<void>
  /** Ends the link. What waits on it rejects. */
  close(): Promise<void>
}

/** Takes the answers of a subscription. */
export interface Sink {
  /** One answer, whatever its status; one that is not 2xx is the last. The next may be given when the promise has settled. */
  next(answer: LinkAnswer): void | Promise<void>
  /** The peer has accepted the subscription: from now on its answers may take any time. `next` says so too. */
  accepted(): void
}

/** Options of one request on a link. */
export interface LinkRequestOptions {
  /** Aborts when the caller aborts, when the deadline has passed, and when the client closes. */
  readonly signal: AbortSignal
  /**
   * For a request of several messages, and a protocol that acknowledges them: what the link waits for from now on. The deadline starts again: that of
   * the link for a receipt, that of every request for an answer. None passes while the body of the request is awaited, which is the caller's.
   */
  awaits?(what: 'receipt' | 'answer' | 'body'): void
}

/** Options of a subscription. */
export interface SubscribeOptions extends LinkRequestOptions {
  /** The `resume` of the loss that ended the subscription before; undefined the first time. */
  readonly resume?: unknown
}

/** How a link has ended. */
export interface LinkEnd {
  /** `finish`: one side closed it in order; `lost`: it broke; `refused`: the peer said that it does not serve this client. */
  readonly reason: 'finish' | 'lost' | 'refused'
  readonly error?: unknown
}

/** Details of the error of a lost request or subscription. */
export interface LinkLoss {
  /** False where the peer cannot have acted on the request: the core may send an idempotent one again. */
  readonly sent: boolean
  /** True where the core may send any request again, such as one that was under way when the peer closed the connection because of another one. */
  readonly repeat?: boolean
  /** Milliseconds after which the peer wants to be asked again. */
  readonly retryAfter?: number | undefined
  /** Handed to the next `subscribe` of the same observation, such as the id of the last event. */
  readonly resume?: unknown
}

/** User name and password, decoded. */
export interface Credentials {
  readonly username: string
  readonly password: string
}

/** The app that answers what the server of a client asks on the client's connection. */
export interface Serving {
  readonly host: Host
  /** The id of `server.User` of these requests, where the connection has proven who the server is; undefined for requests without a user. */
  readonly user: string | undefined
}

/** What the core gives to `open`. */
export interface OpenOptions {
  /** Aborts when the connection takes too long, or when nothing waits for it any more; a link that is open ignores it. */
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly limits: Limits
  readonly tls?: TlsOptions | undefined
  /** From the URL (removed there) or from the caller's options. */
  readonly credentials?: Credentials | undefined
  /** Undefined where requests of the server are to be refused. */
  readonly serve?: Serving | undefined
  /** Says what the connection waits for from now on, as the second half of a sentence: the error says it where the time runs out. */
  readonly waitsFor?: ((step: string) => void) | undefined
}
