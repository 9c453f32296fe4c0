import { type Context, IopaError, reply } from '@iopa/appbuilder'
import { evaluate, type Patch, type ResourceRequest } from '@iopa/appbuilder/extension'
import type { Clock, Context as OwnedContext } from '@iopa/transport'
import { DELETED, type DocumentChanges, type KeptChange } from './document-changes.ts'
import type { DocumentRecord } from './document-format.ts'
import type { DocumentKeys, Params } from './document-keys.ts'
import type { Documents, Kept } from './documents.ts'
import type { History } from './history/history.ts'
import { replayMissed } from './history/history-handlers.ts'
import type { IdempotentRequests } from './idempotency/idempotent-requests.ts'
import { isVersionTag, type Represent, tagOf } from './representation.ts'
import { type Cause, isOver, type Served } from './served-resources.ts'
import type { MaybePromise } from './turns.ts'

/** What the handlers of the resources of a store need of it. */
export interface ItemHost {
  readonly keys: DocumentKeys
  readonly documents: Documents
  readonly changes: DocumentChanges
  readonly represent: Represent
  readonly clock: Clock
  /** Makes the ids of new documents; undefined for UUIDs. */
  readonly newId: (() => string) | undefined
  /** Whether peers may create documents. */
  readonly create: boolean
  /** Tells of a change that has been kept. */
  readonly history: History | null
  /** Runs POSTs with an idempotency key once. */
  readonly requests: IdempotentRequests
  /** The state of a record in the shape of now; undefined where it cannot be migrated. */
  readonly current: (record: DocumentRecord) => Promise<unknown>
  kept(change: KeptChange, cause: Cause): void
}

type Request = ResourceRequest<Params>
type Handler = (request: Request) => unknown
/** What a request makes of a document: its new state, or `DELETED`. */
type Work = (request: Request, key: string, current: Kept | undefined) => MaybePromise<unknown>

/** The handlers of the documents of a store, by the names of the methods. */
export const itemHandlers = (host: ItemHost, served: Served): Record<string, Handler> => {
  const { keys, documents, changes, represent } = host

  const answer = (context: Context, document: Kept): unknown => {
    context.response.headers.set('etag', tagOf(document, context))
    return represent(document)
  }

  const existing = (key: string, document: Kept | undefined): Kept => {
    if (document !== undefined) return document
    throw documents.gone(key) === undefined
      ? new IopaError(404, 'not-found', 'There is no such document.')
      : new IopaError(410, 'document-deleted', 'The document was deleted.')
  }

  const settled = (kept: KeptChange, context: Context): unknown => {
    // Its peer may have left, or its time may be over; the change has been made all the same.
    const over = isOver(context)
    host.kept(kept, { served, context, isOver: over })
    if (over || kept.document === null) return undefined
    if (kept.previous === undefined) context.response.status = 201
    return answer(context, kept.document)
  }

  const change = (request: Request, work: Work): MaybePromise<unknown> => {
    const { context } = request
    const key = keys.of(request.params)
    const replica = context['server.IsReplica']
    const conditional = !replica && hasPreconditions(context)
    const outcome = changes.change(
      key,
      current => {
        // It has waited for its turn, and its peer may have left meanwhile.
        if (isOver(context)) throw new IopaError(408, 'answer-gone', 'The request was over before its turn came.')
        if (conditional) assertHolds(context, current)
        return work(request, key, current)
      },
      replica
    )
    return outcome instanceof Promise ? outcome.then(kept => settled(kept, context)) : settled(outcome, context)
  }

  const replaced: Work = (request, key, current) => {
    if (!host.create && !request.context['server.IsReplica']) existing(key, current)
    return request.input
  }
  const patched: Work = (request, key, current) => (request.input as Patch<unknown>).apply(existing(key, current).state)
  const deleted: Work = (_, key, current) => {
    existing(key, current)
    return DELETED
  }
  const patch: Handler = request => change(request, patched)

  return {
    get: ({ params, context }) => {
      const key = keys.of(params)
      const document = existing(key, documents.get(key))
      if (host.history !== null) replayMissed(host, host.history, context, document)
      if (!hasPreconditions(context) || context['iopa.Observe'] === true) return answer(context, document)
      const etag = tagOf(document, context)
      const verdict = evaluate(context.headers, currentOf(document, etag), true)
      if (verdict === 'failed') throw preconditionFailed()
      return verdict === 'not-modified' ? reply(304, undefined, { etag }) : answer(context, document)
    },
    put: request => change(request, replaced),
    patch,
    ipatch: patch,
    delete: request => change(request, deleted)
  }
}

/** True when a header of the request states a precondition (RFC 9110 section 13.1). */
const hasPreconditions = (context: Context): boolean => (context as OwnedContext).hasPrecondition

const currentOf = (document: Kept | undefined, etag?: string) => ({
  exists: document !== undefined,
  etag,
  lastModified: undefined,
  isVersion: (tag: string): boolean => document !== undefined && isVersionTag(tag, document.version)
})

/** @throws IopaError 412 where the precondition of a change does not hold. */
const assertHolds = (context: Context, current: Kept | undefined): void => {
  if (evaluate(context.headers, currentOf(current), false) === 'failed') throw preconditionFailed()
}

const preconditionFailed = (): IopaError =>
  new IopaError(412, 'precondition-failed', 'The document is not in the state that the precondition names; get it, then try again.')
