import type { Logger, User } from '@iopa/constants'
import type { DatagramEndpoint } from '../channels/secured-datagrams.ts'
import type { Clock } from './clock.ts'
import type { Limits } from './limits.ts'

/** An option of a message: its number and its value. */
export type MessageOption = readonly [number: number, value: Uint8Array]

/** A message in the terms of CoAP, without what its transport adds: type, message id, token. */
export interface PlainMessage {
  /** The code byte: class and detail (RFC 7252 section 3). */
  readonly code: number
  /** In ascending order of their numbers. */
  readonly options: readonly MessageOption[]
  readonly payload: Uint8Array
}

/** A request that was protected, opened. */
export interface OpenedRequest {
  /** What the sender has protected, with the options of the outer message that concern an endpoint. */
  readonly message: PlainMessage
  /** Who has proven to have sent it. */
  readonly user: User
  /** The security association that it belongs to: equal objects, one peer. Not to be guessed as a string in `id`. */
  readonly association: { readonly id: string }
  /**
   * Protects the response, or a notification where the request observes. Bytes that are sent again are those of the first time: this is called once for each
   * message that differs. A promise where the sequence number has to be stored first.
   */
  protect(response: PlainMessage, kind: 'response' | 'notification'): PlainMessage | Promise<PlainMessage>
  /** How requests to its sender are protected: the same object for the same association. Without it that sender is asked nothing. */
  readonly requests?: RequestProtection
  /** The exchange has ended: what is kept to protect further responses is released. */
  end(): void
}

/** A protected request that cannot be opened, or is refused: the response to it, as it is to be sent. */
export interface RefusedRequest {
  readonly refusal: PlainMessage
  /** For logs. */
  readonly code: string
}

/** A request of a client, protected. */
export interface ProtectedRequest {
  readonly message: PlainMessage
  /**
   * Opens a response to it, or a notification. Undefined for one that is to be dropped: a replay, or a notification that is older than one before.
   * @throws IopaError 502 for a response that is not protected, or was changed on its way
   */
  open(response: PlainMessage): PlainMessage | undefined | Promise<PlainMessage | undefined>
  end(): void
}

/** Protects the requests to one server. */
export interface RequestProtection {
  /** @throws IopaError where no request may be sent, as when the sequence numbers are used up */
  protect(request: PlainMessage): ProtectedRequest | Promise<ProtectedRequest>
}

/** Where a protected request came from. */
export interface ProtectedSource extends DatagramEndpoint {
  /** True where the address is proven. */
  readonly verified: boolean
}

/** A protection in use. */
export interface ActiveProtection {
  /** Opens a request that is protected; undefined for one that is not. */
  open(request: PlainMessage, source: ProtectedSource): OpenedRequest | RefusedRequest | undefined | Promise<OpenedRequest | RefusedRequest>
  /** True where an unprotected request for this path must be refused. */
  requires(path: string): boolean
  /** How requests to the server of this URL are protected; undefined where they are not. The same object for the same association. */
  requests(target: URL): RequestProtection | undefined
  /** Ends all associations of the users for whom this is true. */
  revoke(matches: (user: User) => boolean): void
  close(): Promise<void>
}

/** What a protection works with. */
export interface ProtectionEnvironment {
  readonly clock: Clock
  readonly limits: Limits
  readonly logger: Logger
}

/** Protection of messages from end to end, such as `oscore()` of `@iopa/oscore`: CoAP takes one as an option. Every listener and client that uses one value shares its state. */
export interface MessageProtection {
  /** Its name in messages, such as 'oscore'. */
  readonly name: string
  /** The number of the option that every protected message has, such as 9 for OSCORE: it tells a protected message from a plain one before all its blocks have come. */
  readonly option: number
  /** True where every request has to be protected, so that a listener admits proven peers alone. */
  readonly exclusive: boolean
  /** Reads what is stored and begins. @throws IopaError 500 where its state is in use by another process or cannot be read */
  start(environment: ProtectionEnvironment): Promise<ActiveProtection>
}
