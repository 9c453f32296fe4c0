import { type Context, IopaError } from '@iopa/appbuilder'
import type { Patch, ResourceRequest } from '@iopa/appbuilder/extension'
import { DELETED, type DocumentChanges, type KeptChange } from './document-changes.ts'
import type { DocumentKeys, Params } from './document-keys.ts'
import type { Documents, Kept } from './documents.ts'
import { type Represent, tagOf } from './representation.ts'
import type { Cause, Served } from './served-resources.ts'
import type { MaybePromise } from './turns.ts'

/** What the handlers of one document need of its store. */
export interface ItemHost {
  readonly keys: DocumentKeys
  readonly documents: Documents
  readonly changes: DocumentChanges
  readonly represent: Represent
  /** Undefined where the documents have been read. */
  readonly opening: Promise<void> | undefined
  kept(change: KeptChange, cause: Cause): void
}

type Request = ResourceRequest<Params>

/** The handlers of the resource of a store, by the methods that its contract declares. */
export const itemHandlers = (host: ItemHost, served: Served): Record<string, (request: Request) => unknown> => {
  const { keys, documents, changes, represent } = host

  const answer = (context: Context, document: Kept): unknown => {
    context.response.headers.set('etag', tagOf(document))
    return represent(document)
  }

  const change = (request: Request, work: (current: Kept | undefined) => MaybePromise<unknown>): MaybePromise<unknown> => {
    const { context } = request
    const settled = (kept: KeptChange): unknown => {
      host.kept(kept, { served, context })
      if (kept.document === null) return undefined
      if (kept.previous === undefined) context.response.status = 201
      return answer(context, kept.document)
    }
    const outcome = changes.change(keys.of(request.params), work)
    return outcome instanceof Promise ? outcome.then(settled) : settled(outcome)
  }

  const existing = (key: string, document: Kept | undefined): Kept => {
    if (document !== undefined) return document
    throw documents.gone(key) === undefined
      ? new IopaError(404, 'not-found', 'There is no such document.')
      : new IopaError(410, 'document-deleted', 'The document was deleted.')
  }

  const handlers: Record<string, (request: Request) => unknown> = {
    get: ({ params, context }) => {
      const key = keys.of(params)
      return answer(context, existing(key, documents.get(key)))
    },
    put: request => change(request, () => request.input),
    patch: request => change(request, current => (request.input as Patch<unknown>).apply(existing(keys.of(request.params), current).state)),
    delete: request =>
      change(request, current => {
        existing(keys.of(request.params), current)
        return DELETED
      })
  }
  handlers['ipatch'] = handlers['patch'] as (request: Request) => unknown
  return Object.fromEntries(
    Object.entries(handlers).map(([name, handler]) => [
      name,
      (request: Request) => (host.opening === undefined ? handler(request) : host.opening.then(() => handler(request)))
    ])
  )
}
