import type { OpenedRequest, RefusedRequest, User } from '@iopa/transport'
import type { OscoreHeader } from '../messages/oscore-option.ts'
import type { SecurityContext } from './security-context.ts'

/** What opening a request gave. */
export type Opening = OpenedRequest | RefusedRequest

/** A protected request with the fields of its header. */
export interface ProtectedFields {
  readonly kid: Uint8Array
  readonly kidContext: Uint8Array | undefined
  readonly partialIv: Uint8Array
  readonly ciphertext: Uint8Array
}

/** The security contexts of one configured peer: one for good, or those that are derived one after another (RFC 8613 appendix B). */
export interface ContextSource {
  readonly user: User
  readonly recipientId: Uint8Array
  /** The contexts that a request with this kid context may belong to. */
  candidates(kidContext: Uint8Array | undefined): readonly SecurityContext[]
  /** Where no candidate has opened the request: tries to derive a context for it. Undefined if that is not configured, or the request is not part of it. */
  rederive(fields: ProtectedFields, open: (context: SecurityContext) => Opening | Promise<Opening>): Opening | Promise<Opening> | undefined
  /** The context that protects requests to the peer. @throws IopaError 503 after the end */
  sending(): SecurityContext
  /** A response that may ask for new keys. True if it did: the request has to be protected again. */
  rederived(context: SecurityContext, requestPartialIv: Uint8Array, header: OscoreHeader, ciphertext: Uint8Array): boolean
  /** Overwrites all keys: nothing is opened or protected any more. */
  end(): void
}
