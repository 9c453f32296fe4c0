import type { Context } from '@iopa/appbuilder'
import { type Pattern, parsePattern, type ResourceContract, type ServeHost } from '@iopa/appbuilder/extension'
import { type DocumentKeys, pathWithin } from './document-keys.ts'

/** A resource that a store serves on an app. */
export interface Served {
  readonly contract: ResourceContract
  readonly pattern: Pattern
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
    const served: Served = { contract, pattern: parsePattern(contract.pattern), host }
    this.#served.push(served)
    return served
  }

  /** Tells the observers of a document, and of the collections that list it, on every app. The app tells those of the path of a request by itself. */
  notify(key: string, cause: Cause | null): void {
    const params = this.#served.length === 0 ? {} : this.#keys.paramsOf(key)
    for (const { pattern, host } of this.#served) {
      const path = pathWithin(pattern, params)
      if (cause?.served.host !== host) host.notify(path)
      else if (path !== cause.context['iopa.Path']) cause.context.notify(path)
    }
  }
}
