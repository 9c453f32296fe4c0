import type { Context, Logger } from '@iopa/appbuilder'
import { type Pattern, type PatternValues, parsePattern, type ResourceContract, type ServeHost } from '@iopa/appbuilder/extension'
import { type DocumentKeys, namesOf, pathMaker } from './document-keys.ts'

/** A resource that a store serves on an app. */
export interface Served {
  readonly contract: ResourceContract
  readonly pattern: Pattern
  /** Of its parameters. */
  readonly names: readonly string[]
  readonly path: (params: PatternValues) => string
  readonly host: ServeHost
}

/** The request that makes a change, and the resource that serves it; null for the program. */
export interface Cause {
  readonly served: Served
  readonly context: Context
}

/** What a store serves, on which apps, and whom it tells of changes. */
export class ServedResources {
  readonly #keys: DocumentKeys
  readonly #served: Served[] = []

  constructor(keys: DocumentKeys) {
    this.#keys = keys
  }

  add(contract: ResourceContract, host: ServeHost): Served {
    const pattern = parsePattern(contract.pattern)
    const served: Served = { contract, pattern, names: namesOf(pattern), path: pathMaker(pattern), host }
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
    if (this.#served.length === 0) return
    const params = this.#keys.paramsOf(key)
    for (const { path: pathOf, host } of this.#served) {
      const path = pathOf(params)
      if (cause?.served.host !== host) host.notify(path)
      else if (path !== cause.context['iopa.Path']) cause.context.notify(path)
    }
  }
}
