import type { Capabilities, CodecTable, Logger } from '@iopa/constants'
import type { Context } from './context.ts'
import type { ContextInit } from './context-init.ts'
import type { HeldBytes } from './held-bytes.ts'

/** How a change takes its turn. */
export interface ChangeTerms {
  /** The precondition of the request is judged: the handler runs where it holds. */
  readonly judged: boolean
  /** A GET route of the path is known; otherwise a precondition counts only where another router has one. */
  readonly readable: boolean
  /** Others wait for it although it has no precondition: it reads a state and writes it. */
  readonly exclusive: boolean
}

/** Runs changes of one path one after another while one of them has a precondition, or is exclusive. */
export interface ChangeOrder {
  /** Such changes under way, on any path. */
  readonly active: number
  /** Calls `handler` when the path is free, and where it is judged, when its precondition holds. */
  run(context: Context, terms: ChangeTerms, handler: () => unknown): unknown
}

/** What an order of changes needs of the app: a router brings the order itself, with the first change that takes a turn. */
export interface ChangeHost {
  readonly clock: EnvironmentClock
  /** Milliseconds that the content may take to arrive that a change is judged by. */
  readonly timeout: number
  /** Most bytes of a content that is hashed. */
  readonly bodyLimit: number
  /** One name for a resource that several paths lead to, since its app is mounted at several places. */
  nameOf(path: string): string
  /** A context within that of a change. */
  create(init: ContextInit, change: Context): Context
  /** Runs the whole app; the answer is sealed when `done` is called. */
  run(context: Context, done: () => void): void
}

/** Time, as `Clock` of `@iopa/transport` gives it. */
export interface EnvironmentClock {
  now(): number
  elapsed(): number
  setTimeout(callback: () => void, ms: number, options?: { readonly keep?: boolean }): unknown
  clearTimeout(handle: unknown): void
}

/** What all scopes of one app share. */
export interface Environment {
  /** Contexts that have not ended. */
  live: number
  /** The last `iopa.Id` given out. */
  lastId: number
  /** What the app can do; contexts copy it on their first write. */
  readonly capabilities: Capabilities
  readonly logger: Logger
  readonly codecs: CodecTable
  /** Most bytes of a body that `bytes()`, `text()` and `json()` read, unless the endpoint says otherwise. */
  readonly bodyLimit: number
  /** Counts the bodies in memory, where they are bounded. */
  bodies?: HeldBytes | undefined
  /** Counts a request that failed with 5xx, where that is bounded; false where it is not logged by itself. */
  readonly failures?: { take(): boolean; flush(): void }
  /** Called at the first observer, where there is something to say. */
  observed?: (() => void) | undefined
  readonly clock: EnvironmentClock
  /** Milliseconds since 1970. */
  now(): number
  /** Settles when `work` has, or when the time that a scope may take to end is over: then it calls `hurry`, and logs that. */
  bounded?(work: Promise<void>, hurry: () => void): Promise<void>
  /** Orders the changes of a path while one of them has a precondition; null before the first of them. */
  changes: ChangeOrder | null
  /** What that order needs; undefined where there is no app. */
  changeHost?: ChangeHost
  /** Tells observers of `path` that it has changed; `origin` is the context that says so. */
  notify(path: string, origin?: object): void
  /** True where the user of a context of this app may GET a path of it. */
  mayGet?(path: string, context: Context): boolean | Promise<boolean>
}
