import { IopaError, type Reply } from '@iopa/appbuilder'
import type { CollectionContract, ResourceRequest, StorageChange } from '@iopa/appbuilder/extension'
import { encodePath } from '@iopa/transport'
import { CollectionPages } from './collection-page.ts'
import { collectionQuery } from './collection-query.ts'
import type { Params } from './document-keys.ts'
import type { Kept } from './documents.ts'
import type { AnswerKeeper } from './idempotency/idempotent-requests.ts'
import { type KeptAnswer, replayed } from './idempotency/kept-answer.ts'
import type { ItemHost } from './item-handlers.ts'
import { newKey } from './new-id.ts'
import { tagOf } from './representation.ts'
import { isOver, type Served } from './served-resources.ts'

/** Ids that are tried before a new one is given up. */
const MOST_TRIED = 8

/**
 * The handlers of a collection of the documents of a store.
 * @throws IopaError 500 where its documents do not have exactly one parameter more, or its store lets nobody create documents.
 */
export const collectionHandlers = (
  host: ItemHost,
  served: Served,
  { page, filter, create }: CollectionContract
): Record<string, (request: ResourceRequest<Params>) => unknown> => {
  const { keys, documents, changes, represent } = host
  const [name, ...others] = keys.names.filter(own => !served.names.includes(own))
  if (name === undefined || others.length > 0)
    throw new IopaError(
      500,
      'bad-store',
      `The collection ${served.pattern.text} needs documents with exactly one parameter more, not ${keys.pattern}.`
    )
  if (create && !host.create)
    throw new IopaError(
      500,
      'bad-store',
      `The collection ${served.pattern.text} lets peers create documents, and its store does not: remove { create: false } of the one, or declare { create: false } for the other.`
    )
  const item = (document: Kept): unknown => ({ id: keys.paramsOf(document.key)[name], state: represent(document) })
  const pages = new CollectionPages(host, served, item)
  const createItem = async ({ params, input, context }: ResourceRequest<Params>, keeper: AnswerKeeper | null): Promise<Reply> => {
    const answerOf = (document: Kept): KeptAnswer => {
      const location = encodePath(context['iopa.PathBase'] + keys.pathOf(document.key))
      return { status: 201, headers: { location, etag: tagOf(document, context) }, type: '', value: item(document) }
    }
    for (let tried = 0; tried < MOST_TRIED; tried++) {
      const key = await newKey(keys, params, name, host.newId, host.clock.now())
      if (documents.get(key) !== undefined) continue
      let written: readonly StorageChange[] | undefined
      const beside = keeper && ((document: Kept): readonly StorageChange[] => (written = keeper.changesFor(answerOf(document))))
      const work = (current: Kept | undefined): unknown => {
        if (current !== undefined) throw new IopaError(409, 'document-exists', 'A document with this id was created meanwhile; try again.')
        return input
      }
      const change = await changes.change(key, work, false, beside ?? undefined)
      host.kept(change, { served, context, isOver: isOver(context) })
      const answer = answerOf(change.document as Kept)
      if (written !== undefined) keeper?.kept(written)
      else await keeper?.keep(answer)
      return replayed(answer)
    }
    throw new IopaError(409, 'document-exists', 'Every id that was made for this document is in use; try again.')
  }
  return {
    get: ({ params, context }) => pages.page(params, collectionQuery(context.query, page, filter), context),
    post: request => host.requests.run(request.context, keeper => createItem(request, keeper))
  }
}
