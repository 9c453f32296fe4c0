import type { Codec, KeysDeclaration } from '@iopa/constants'
import type { Context } from '@iopa/context'
import type { HeldBytes } from '@iopa/context/host'
import type { Clock } from './clock.ts'
import type { Host } from './host.ts'
import type { Limits } from './limits.ts'
import type { Credentials, Link, OpenOptions } from './link.ts'
import type { RouteAttributes } from './routes.ts'
import type { TlsOptions } from './tls.ts'

/** Middleware or handler of a route. Written as a method, so that a function for any context of the transport fits. */
type RouteLayer = { layer(context: Context, next: () => Promise<unknown>): unknown }['layer']

/** The app as a transport sees it when it is added: for routes of its own, such as those of an administration. The handle of an extension is one. */
export interface TransportApp {
  /** @throws IopaError 500 where no router has been used. */
  readonly registry: {
    /** Adds a route behind the middleware before the router. `chain` is middleware and, last, the handler. @throws IopaError 500 where the path is taken. */
    add(
      method: string,
      pattern: string,
      attributes: RouteAttributes,
      chain: readonly RouteLayer[]
    ): {
      /** Removes the route again. */
      remove(): void
    }
  }
  /** Notifies observers of the `known` paths, and of every path that is observed and `matches`. */
  notifyWhere(matches: (path: string) => boolean, known?: Iterable<string>): void
}

/** A protocol: it listens for an app and opens links for clients. A factory function makes one; its classes stay private. */
export interface Transport {
  /** Such as `coap`. */
  readonly name: string
  /** Without colons, such as `coap`, `coap+tcp`. */
  readonly schemes: readonly string[]
  /** What the transport can do, under its URN in `server.Capabilities`. */
  readonly capabilities?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  /** Codecs that its protocol brings to the app, for every protocol; one that the app was given goes before. */
  readonly codecs?: readonly Codec[]
  /** Namespaces whose keys it sets; `build` checks their owners. */
  readonly keys?: KeysDeclaration | readonly KeysDeclaration[]
  /** True in a worker of a cluster: its observers do not get changes that other workers make. */
  readonly clustered?: boolean
  /** What bounds the bodies in memory, made with `bodyBudget` for `limits.bodyMemory`. An app has one, of the first of its transports that has any. */
  bodies?(limit: number): HeldBytes
  /** Called by `use`, before the app is built: the transport may add routes of its own. */
  attach?(app: TransportApp): void
  /** Binds and serves. Rejects when it cannot. */
  listen(host: Host): Promise<Listener>
  /** True where its links can serve their server: they take the option `serve` of `open`. */
  readonly serves?: boolean
  /** Methods other than GET that can be observed; none by default. */
  readonly observable?: readonly string[]
  /** Opens a connection to another machine. Rejects with an IopaError, or with any error where the machine cannot be reached. */
  open(url: URL, options: OpenOptions): Promise<Link>
}

/** A transport that serves. */
export interface Listener {
  /** Where it listens, with the port that the system chose. */
  readonly url: URL
  /** Every address, `url` first; that one alone unless given. */
  readonly urls?: readonly URL[]
  /** Stops accepting, finishes what is in work within `timeout` ms, then forces. A second call waits for the first. */
  close(options?: { readonly timeout?: number }): Promise<void>
  /** Takes new certificates for the connections to come. */
  reload?(tls: TlsOptions): void
}

/** An app, as far as a client needs it to serve its server. */
export interface ServedApp {
  build(): unknown
  host(name?: string): Host
}

/** Options of every connect. */
export interface ConnectOptions {
  /** Aborts the connecting; a client that is open ignores it. */
  readonly signal?: AbortSignal
  /** Milliseconds to connect, for each request to be answered, and between two parts of a body; 30,000 unless given. */
  readonly timeout?: number
  readonly tls?: TlsOptions
  /** User name and password, where the protocol has a place for them; those of the URL unless given. */
  readonly credentials?: Credentials
  /** Most connections for requests where one connection carries one request at a time; 64 unless given. */
  readonly maxLinks?: number
  readonly clock?: Clock
  readonly limits?: Partial<Limits>
  /**
   * The app that answers what the server asks on this client's connection, where the protocol lets both sides ask (CoAP); without it such requests are
   * refused. With `user` the requests have the user of that id; that needs a connection that proves who the server is.
   */
  readonly serve?: ServedApp | { readonly app: ServedApp; readonly user?: string }
}

/** The URL of a listener, with the brackets that an IPv6 address needs (RFC 3986 section 3.2.2). */
export const listenerUrl = (scheme: string, address: string, port: number): URL =>
  new URL(`${scheme}://${address.includes(':') ? `[${address}]` : address}:${port}`)
