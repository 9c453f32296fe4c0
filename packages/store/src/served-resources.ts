import type { Context, Logger } from '@iopa/appbuilder'
import { type Pattern, parsePattern, type ResourceContract, type ServeHost } from '@iopa/appbuilder/extension'
import { type DocumentKeys, namesOf, pathMaker } from './document-keys.ts'

/** A resource that a store serves on an app. */
export interface Served {
  readonly contract: ResourceContract
  readonly pattern: Pattern
  /** Of its parameters. */
  readonly names: readonly string[]
  /** Its path for a document of the store. */
  readonly pathOf: (key: string) => string
  readonly host: ServeHost
}

/** The request that makes a change, and the resource that serves it; null for the program. */
export interface Cause {
  readonly served: Served
  readonly context: Context
  /** True where its answer has been sent, or will not be. */
  readonly isOver: boolean
}

/** True where the answer of a request has been sent, or will not be. */
export const isOver = (context: Context): boolean => context.ended || context.response.sealed

/** What a store serves, on which apps, and whom it tells of changes. */
export class ServedResources {
  readonly #keys: DocumentKeys
  readonly #served: Served[] = []

  constructor(keys: DocumentKeys) {
    this.#keys = keys
  }

  add(contract: ResourceContract, host: ServeHost): Served {
    const pattern = parsePattern(contract.pattern)
    const names = namesOf(pattern)
    const served: Served = { contract, pattern, names, pathOf: this.#paths(pattern, names), host }
    this.#served.push(served)
    return served
  }

  /** That of the first app; the console before. */
  get logger(): Logger {
    return this.#served[0]?.host.logger ?? console
  }

  /** An app has closed: nothing is served there any more. With the last one `left` is called. */
  leave(host: ServeHost, left: () => unknown): unknown {
    const others = this.#served.filter(served => served.host !== host)
    if (others.length === this.#served.length) return undefined
    this.#served.splice(0, this.#served.length, ...others)
    return others.length === 0 ? left() : undefined
  }

  /** Tells the observers of a document, and of the collections that list it, on every app. The app tells those of the path of a request by itself. */
  notify(key: string, cause: Cause | null): void {
    for (const { pathOf, host } of this.#served) {
      const path = pathOf(key)
      if (cause === null || cause.isOver || cause.served.host !== host) host.notify(path)
      else if (path !== cause.context['iopa.Path']) cause.context.notify(path)
    }
  }

  /** The path of a resource for a document of the store, made as seldom as possible: it is asked for with each change. */
  #paths(pattern: Pattern, names: readonly string[]): (key: string) => string {
    if (pattern.text === this.#keys.pattern) return key => this.#keys.pathOf(key)
    const make = pathMaker(pattern)
    const constant = names.length === 0 ? make({}) : undefined
    return constant === undefined ? key => make(this.#keys.paramsOf(key)) : () => constant
  }
}
