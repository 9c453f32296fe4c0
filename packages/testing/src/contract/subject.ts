import type { AppOptions } from '@iopa/appbuilder'
import type { Clock, Listener, Transport } from '@iopa/transport'

/** What a protocol can carry; a case that needs more is left out. Everything is true unless said. */
export interface TransportFeatures {
  /** Header fields both ways. */
  readonly headers?: boolean
  /** A query string. */
  readonly query?: boolean
  /** Any method name, not only those of a fixed table. */
  readonly anyMethod?: boolean
  /** Segments that hold any character but a slash. */
  readonly anySegment?: boolean
  readonly observe?: boolean
  /** `connect` fails if nothing listens; false if only `send` can fail. */
  readonly connection?: boolean
  /** The server learns at once that the client has aborted a request. */
  readonly cancel?: boolean
  /** Refuses to listen unprotected off loopback; false for HTTP. */
  readonly guarded?: boolean
  /** A second listener on the same port fails. */
  readonly exclusive?: boolean
  /** Statuses that arrive as they were sent; the contract's own list unless said. */
  readonly statuses?: readonly number[]
  /** A request whose connection was lost is sent again on the next one: it ends with its time. False unless said. */
  readonly resends?: boolean
  /** Statuses of refused observations that arrive as they were sent; those of `statuses` unless said. */
  readonly refusals?: readonly number[]
  /** A redirect arrives as such. */
  readonly redirects?: boolean
  /** Where user name and password of a URL go: into the field Authorization, or into what opens the connection. False unless said: such a URL is refused. */
  readonly credentials?: 'authorization' | 'connect' | false
  /** Reason, code and detail of an error arrive as problem members. */
  readonly problems?: boolean
}

/** A transport under test. */
export interface TransportSubject {
  /** A fresh transport on a free port of loopback. `options` are merged into its own. */
  transport(options: {
    readonly host?: string
    readonly port?: number
    readonly limits?: AppOptions['limits']
    readonly allowUnauthenticated?: boolean
    readonly clock?: Clock
  }): Transport
  /** The URL that a client connects to. */
  url(listener: Listener): string
  readonly features?: TransportFeatures
}
