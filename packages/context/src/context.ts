import type { Body, CoreKeys, ExtensionKey, HeaderFields, IopaKeys, Logger, SendingOptions, User } from '@iopa/constants'
import type { EndReason } from './abort-reasons.ts'
import type { Answer } from './answer.ts'
import type { Peer } from './peer.ts'

type DefaultParams = Readonly<Record<string, string>>

/** What a scope can own: something with a dispose or close method. */
export type Owned = { [Symbol.asyncDispose](): PromiseLike<void> } | { [Symbol.dispose](): void } | { close(): unknown }

/** The keys of every context; those that packages have added are optional here. */
type ContextKeys = Omit<CoreKeys, 'iopa.Params' | 'iopa.Body' | 'server.ParentContext' | 'server.Connection' | 'server.Peer'> & {
  [K in ExtensionKey]?: IopaKeys[K] | undefined
}

/** The members of every context, whatever its pipeline provides. */
export interface BaseContext<Params = DefaultParams> extends ContextKeys {
  'iopa.Params': Params
  get 'iopa.Body'(): AsyncIterable<Uint8Array> | null
  set 'iopa.Body'(body: Body)
  'server.ParentContext': Context | null
  readonly 'server.Connection': Context | null
  readonly 'server.Peer': Peer | undefined

  readonly id: number
  method: string
  path: string
  pathBase: string
  readonly segments: readonly string[]
  params: Params
  readonly route: string
  /** The query string parsed; a fresh object on each read. */
  readonly query: URLSearchParams
  readonly headers: HeaderFields
  readonly type: string
  /** Chunks of bytes, whatever the protocol; a body that is in memory is one chunk, and a Uint8Array too. */
  readonly body: AsyncIterable<Uint8Array> | null
  /** The body as the schema of the route gave it; undefined where nothing validated it. */
  input: unknown
  readonly scheme: string
  readonly protocol: string
  readonly host: string
  readonly port: number
  readonly url: string
  readonly observe: boolean | undefined
  user: User | undefined
  readonly logger: Logger
  readonly remoteAddress: string
  readonly remotePort: number
  readonly connection: Context | null
  /** Sends requests to the sender of this one; undefined where its protocol has no way for that. */
  readonly peer: Peer | undefined
  /** The path that the request named before any middleware rewrote it. */
  readonly requestedPath: string
  /** The method that the request named before any middleware rewrote it: what its sender expects an answer to. */
  readonly requestedMethod: string

  /** The answer to this request; only it is sent. */
  readonly response: Answer

  /** The whole body, read once and remembered. @throws IopaError 413 beyond the limit, 415 for a body that is compressed. */
  bytes(): Promise<Uint8Array<ArrayBuffer>>
  /** The body as text, in the charset of its content type. @throws IopaError 400, 413, 415. */
  text(): Promise<string>
  /** The body's value, by its content type. @throws IopaError 400, 413, 415. */
  json<T = unknown>(): Promise<T>

  /** Aborts when the context ends; its reason is an IopaError whose code is the end reason. */
  readonly signal: AbortSignal
  /** True once the context has begun to end. */
  readonly ended: boolean
  /** Why it ended; `finish` while it lives. */
  readonly endReason: EndReason
  /** Runs `dispose` when the context ends. */
  defer(dispose: (reason: EndReason) => unknown): void
  /** Disposes or closes `resource` when the context ends, and returns it. */
  own<T extends Owned>(resource: T): T
  /** A context within this one, whose path is this path followed by `path`. */
  child(path: string, method?: string): Context
  /** Tells the observers of `path` that it has changed; within a mount the path is the mounted app's own. */
  notify(path: string): void
  /** Says that the answer depends on what the core cannot see, such as an AsyncLocalStorage: observers do not share it. */
  private(): void
  /** Runs `callback` once before the first byte of the answer, last registered first, with `last` after all others. */
  onSendingHeaders(callback: () => unknown, options?: SendingOptions): void
  toString(): string
  /** Ends the context, for `await using`: a child that its handler has made. */
  [Symbol.asyncDispose](): Promise<void>
}

/** What a context has in addition where its pipeline provides `server.User`. */
interface Authenticated {
  user: User
}

/** A context whose pipeline provides the keys `Provided`, and whose path gave the params `Params`. */
export type Context<Provided extends keyof IopaKeys = never, Params = DefaultParams> = BaseContext<Params> & {
  [K in Provided]: Exclude<IopaKeys[K], undefined>
} & ('server.User' extends Provided ? Authenticated : unknown)
