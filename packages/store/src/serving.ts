import { IopaError } from '@iopa/appbuilder'
import type { ResourceContract, ResourceRequest, ServeHost, ServeOptions } from '@iopa/appbuilder/extension'
import { collectionHandlers } from './collection-handlers.ts'
import type { Params } from './document-keys.ts'
import { historyHandler } from './history/history-handlers.ts'
import { type ItemHost, itemHandlers } from './item-handlers.ts'
import type { Served } from './served-resources.ts'

/** A store, as what serves it sees it. */
export interface ServedStore extends ItemHost {
  /** Handlers of the program, by the names of methods. */
  readonly handlers: Readonly<Record<string, unknown>>
  /** Names the history of the resource as one that is served. */
  serveHistory(host: ServeHost): Served
  /** Undefined where the documents have been read; otherwise a promise of that. */
  open(): Promise<void> | undefined
}

type Handler = (request: ResourceRequest<Params>) => unknown

/**
 * Serves the documents of a store, or a collection of them.
 * @throws IopaError 500 for another resource, and for a method without a handler.
 */
export const serveStore = (store: ServedStore, own: ResourceContract, served: Served, options: ServeOptions = {}): void => {
  const { contract, host } = served
  if (contract === own) {
    const handlers = { ...itemHandlers(store, served), ...(store.handlers as Record<string, Handler>) }
    host.serve(contract, handlersOf(store, contract, handlers), { instances: () => pathsOf(store), ...options, preconditions: 'own' })
    if (store.history !== null) {
      const { contract: past } = store.serveHistory(host)
      host.serve(past, handlersOf(store, past, { get: historyHandler(store, store.history) }), options)
    }
  } else if (contract.collection?.item === own) {
    host.serve(contract, handlersOf(store, contract, collectionHandlers(store, served, contract.collection)), options)
  } else {
    throw new IopaError(
      500,
      'bad-store',
      `This store keeps ${own.pattern}, and does not serve ${contract.pattern}: serve that resource itself, or a collection() of it.`
    )
  }
}

/** The handlers of the methods that a contract declares; each waits until the documents have been read. */
const handlersOf = (store: ServedStore, { pattern, methods }: ResourceContract, handlers: Readonly<Record<string, Handler>>): never =>
  Object.fromEntries(
    Object.keys(methods).map(method => {
      const name = method.toLowerCase()
      const handler = Object.hasOwn(handlers, name) ? handlers[name] : undefined
      if (handler === undefined)
        throw new IopaError(
          500,
          'bad-store',
          `A store does not serve ${method} of ${pattern}: write store(contract, { handlers: { ${name}: request => ... } }), or remove ${name} from its methods.`
        )
      const opened: Handler = request => {
        const opening = store.open()
        return opening === undefined ? handler(request) : opening.then(() => handler(request))
      }
      return [name, opened]
    })
  ) as never

function* pathsOf({ documents, keys }: ServedStore): Generator<string> {
  for (const { key } of documents.list()) yield keys.pathOf(key)
}
