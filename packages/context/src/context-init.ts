import type { Body, HeaderFields, Trailers } from '@iopa/constants'
import type { Endpoint } from './endpoint.ts'

/** Parts of a request that a transport makes on first use. */
export interface RequestSource {
  /** True for a request that has neither headers nor a content type: nothing below is asked for them. */
  readonly headerless?: boolean
  /** A flat list of names and values, or a map. */
  headers?(): string[] | HeaderFields
  /** The body; called once. */
  body?(): Body
  /** Host and port as the peer addressedAs them (`example.com:8080`); empty for those of the endpoint. */
  authority?(): string
  /** The content type, where it is not a header. */
  contentType?(): string
  /** Whether a header states a precondition, where that can be told without making the headers. */
  hasPrecondition?(): boolean
  /** Sends an informational answer with these names and values; false where that cannot be done now. */
  inform?(status: number, pairs: readonly string[]): boolean
  /** What comes, or leaves, after the bodies; asked for as often as the key. */
  trailers?(): Trailers
  /** Instead of `authority`: what has the host and port. They are read when they are asked for. */
  readonly addressedAs?: { readonly 'iopa.Host': string; readonly 'iopa.Port': number }
}

/**
 * What a transport knows of a request when it arrives. Write it as one object literal with the members in this order:
 * all transports then share one shape, and creating a context stays fast.
 */
export interface ContextInit {
  readonly method: string
  /** Canonical: from `decodePath`, `checkPath` or `joinPath`. */
  readonly path: string
  /** Without the `?`. */
  readonly query: string
  /** As it came over the wire. */
  readonly rawPath: string
  readonly endpoint: Endpoint
  readonly source: RequestSource | null
}
