import type { Context } from '@iopa/appbuilder'
import { expandPattern, type Pattern, parsePattern, type ServeHost, type TwinContract } from '@iopa/appbuilder/extension'
import type { DocumentKeys } from '../document-keys.ts'
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
  readonly #patterns: Readonly<Record<TwinPath, Pattern>>
  readonly #hosts: ServeHost[] = []
  readonly #damaged: [string, unknown][] = []

  constructor(contract: TwinContract, keys: DocumentKeys) {
    this.#contract = contract
    this.#keys = keys
    this.#patterns = Object.fromEntries(PATHS.map(path => [path, parsePattern(this.#contractOf(path).pattern)])) as Record<TwinPath, Pattern>
  }

  add(host: ServeHost, handlers: TwinHandlers, keys: () => Iterable<string>): void {
    this.#hosts.push(host)
    for (const path of PATHS) {
      const instances = (): Iterable<string> => Array.from(keys(), key => expandPattern(this.#patterns[path], this.#keys.paramsOf(key)))
      host.serve(this.#contractOf(path), handlers[path] as never, { instances })
    }
    for (const [key, error] of this.#damaged.splice(0)) this.damaged(key, error)
  }

  /** Tells the observers of some paths of a twin, on every app. The app tells those of the path of a request by itself. */
  notify(key: string, paths: readonly TwinPath[], cause: TwinCause | null): void {
    if (this.#hosts.length === 0) return
    const params = this.#keys.paramsOf(key)
    for (const name of paths) {
      const path = expandPattern(this.#patterns[name], params)
      for (const host of this.#hosts) {
        if (cause?.host !== host) host.notify(path)
        else if (path !== cause.context['iopa.Path']) cause.context.notify(path)
      }
    }
  }

  /** Logs that a record was set aside, once an app is there to log. */
  damaged(key: string, error: unknown): void {
    const [host] = this.#hosts
    if (host === undefined) this.#damaged.push([key, error])
    else host.logger.error(`iopa: the twin ${JSON.stringify(key)} cannot be read; it is kept as damaged/ of the same key`, error)
  }

  #contractOf(path: TwinPath): TwinContract | TwinContract['reported'] | TwinContract['desired'] | TwinContract['delta'] | TwinContract['presence'] {
    return path === 'whole' ? this.#contract : this.#contract[path]
  }
}
