import { type Context, IopaError } from '@iopa/appbuilder'
import {
  type EarlierState,
  type HistoryItem,
  type HistoryPage,
  type HistoryQuery,
  type ResourceRequest,
  replayFirst
} from '@iopa/appbuilder/extension'
import type { DocumentRecord } from '../document-format.ts'
import type { DocumentKeys, Params } from '../document-keys.ts'
import type { Documents, Kept } from '../documents.ts'
import { type Represent, tagOf, versionOf } from '../representation.ts'
import type { History } from './history.ts'

/** What the handlers of a history need of its store. */
export interface HistoryHandlerHost {
  readonly keys: DocumentKeys
  readonly documents: Documents
  readonly represent: Represent
  /** The state of a record in the shape of now; undefined where it cannot be migrated. */
  readonly current: (record: DocumentRecord) => Promise<unknown>
}

/** GET of a history: its pages, the oldest state first. */
export const historyHandler =
  (host: HistoryHandlerHost, history: History) =>
  async ({ params, query }: ResourceRequest<Params>): Promise<HistoryPage> => {
    const { since, limit } = query as HistoryQuery
    const key = host.keys.of(params)
    const from = since !== undefined && 'time' in since ? since.time : Number.NEGATIVE_INFINITY
    const items: HistoryItem[] = []
    for await (const record of history.entries(key, since !== undefined && 'version' in since ? since.version : 0)) {
      if (record.changed < from) continue
      if (items.length === limit) return { items, next: (items.at(-1) as HistoryItem).version }
      const item = await itemOf(host, key, record)
      if (item !== undefined) items.push(item)
    }
    if (items.length === 0 && host.documents.get(key) === undefined && host.documents.gone(key) === undefined)
      throw new IopaError(404, 'not-found', 'There is no such document.')
    return { items }
  }

/**
 * Has an observer that comes back with the entity tag of the last state it got (Last-Event-ID) get those that came after it first; where the
 * history does not have that state any more, it gets the state of now alone.
 */
export const replayMissed = (host: HistoryHandlerHost, history: History, context: Context, document: Kept): void => {
  if (context['iopa.Observe'] !== true || context['server.IsNotification']) return
  const last = context.headers.get('last-event-id')
  const version = last === undefined ? undefined : versionOf(last)
  if (version !== undefined && version < document.version) replayFirst(context, missed(host, history, context, document, version))
}

async function* missed(
  host: HistoryHandlerHost,
  history: History,
  context: Context,
  { key, version: newest }: Kept,
  seen: number
): AsyncGenerator<EarlierState> {
  if (!(await history.has(key, seen))) return
  // Slices: no list is held open while the observer takes what it has got.
  for await (const record of history.entries(key, seen)) {
    const { version, changed } = record
    if (version >= newest) return
    const state = record.gone === true ? undefined : await host.current(record)
    if (state === undefined) continue
    const kept: Kept = { key, state, version, changed, size: 0, tag: '' }
    yield { body: host.represent(kept), headers: { etag: tagOf(kept, context) } }
  }
}

const itemOf = async (host: HistoryHandlerHost, key: string, record: DocumentRecord): Promise<HistoryItem | undefined> => {
  const { version, changed } = record
  const time = new Date(changed).toISOString()
  if (record.gone === true) return { version, time, deleted: true }
  const state = await host.current(record)
  return state === undefined ? undefined : { version, time, state: host.represent({ key, state, version, changed, size: 0, tag: '' }) }
}
