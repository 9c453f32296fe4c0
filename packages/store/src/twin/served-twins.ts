import type { Context, Logger } from '@iopa/appbuilder'
import { type PatternValues, parsePattern, type ServeHost, type ServeOptions, type TwinContract } from '@iopa/appbuilder/extension'
import { type DocumentKeys, pathMaker } from '../document-keys.ts'
import type { TwinHandlers } from './twin-handlers.ts'

/** A twin or one of its parts. */
export type TwinPath = 'whole' | 'reported' | 'desired' | 'delta' | 'presence'

const PATHS: readonly TwinPath[] = ['whole', 'reported', 'desired', 'delta', 'presence']

/** The request that makes a change, and the app that serves it; null for the program. */
export interface TwinCause {
  readonly host: ServeHost
  readonly context: Context
}

/** On which apps twins are served, and which observers hear of their changes. */
export class ServedTwins {
  readonly #contract: TwinContract
  readonly #keys: DocumentKeys
  readonly #paths: Readonly<Record<TwinPath, (params: PatternValues) => string>>
  readonly #hosts: ServeHost[] = []

  constructor(contract: TwinContract, keys: DocumentKeys) {
    this.#contract = contract
    this.#keys = keys
    this.#paths = Object.fromEntries(PATHS.map(path => [path, pathMaker(parsePattern(this.#contractOf(path).pattern))])) as Record<
      TwinPath,
      (params: PatternValues) => string
    >
  }

  add(host: ServeHost, handlers: TwinHandlers, keys: () => Iterable<string>, options: ServeOptions): void {
    this.#hosts.push(host)
    for (const path of PATHS) {
      const instances = (): Iterable<string> => Array.from(keys(), key => this.#paths[path](this.#keys.paramsOf(key)))
      host.serve(this.#contractOf(path), handlers[path] as never, { instances, ...options, preconditions: 'own' })
    }
  }

  /** Tells the observers of some paths of a twin, on every app. The app tells those of the path of a request by itself. */
  notify(key: string, paths: readonly TwinPath[], cause: TwinCause | null): void {
    if (this.#hosts.length === 0) return
    const params = this.#keys.paramsOf(key)
    for (const name of paths) {
      const path = this.#paths[name](params)
      for (const host of this.#hosts) {
        if (cause?.host !== host) host.notify(path)
        else if (path !== cause.context['iopa.Path']) cause.context.notify(path)
      }
    }
  }

  /** That of the first app; the console before. */
  get logger(): Logger {
    return this.#hosts[0]?.logger ?? console
  }

  /** An app has closed. True where it was the last one. */
  leave(host: ServeHost): boolean {
    const at = this.#hosts.indexOf(host)
    if (at >= 0) this.#hosts.splice(at, 1)
    return at >= 0 && this.#hosts.length === 0
  }

  #contractOf(path: TwinPath): TwinContract | TwinContract['reported'] | TwinContract['desired'] | TwinContract['delta'] | TwinContract['presence'] {
    return path === 'whole' ? this.#contract : this.#contract[path]
  }
}
