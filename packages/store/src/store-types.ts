import type { ResourceContract, ResourceHandlers, ResourceServer, ResourceTypes, Storage } from '@iopa/appbuilder/extension'
import type { Clock } from '@iopa/transport'
import type { HistoryOptions } from './history/history-limits.ts'

/** Names a document: the text of the one parameter of its path, an object of them where there are several, `''` where there is none. */
export type DocumentId<Params> = [true] extends [IsUnion<keyof Params>] ? Readonly<Params> : string

type IsUnion<Key, All = Key> = Key extends unknown ? ([All] extends [Key] ? false : true) : never

/** A document as a store has it. */
export interface StoredDocument<Types extends ResourceTypes> {
  readonly id: DocumentId<Types['params']>
  /** Frozen; without the computed members. */
  readonly state: Types['state']
  /** Grows with each change, and never repeats, nor does it after a deletion. */
  readonly version: number
  /** When it was changed, in milliseconds since the epoch. */
  readonly changed: number
}

/** What a change of the program depends on. */
export interface ChangeOptions {
  /** Only where the document has this version; 0 means that it does not exist. */
  readonly ifVersion?: number
}

/** Which documents `list` gives. */
export interface ListOptions {
  /** Only those behind this document, in the order of keys. */
  readonly after?: string
  /** Most documents; all unless given. */
  readonly limit?: number
  /** From the last to the first. */
  readonly reverse?: boolean
}

/** What a computed member may be made of, beside the state. */
export interface About<Types extends ResourceTypes> extends Omit<StoredDocument<Types>, 'state'> {
  /** The wall clock, in milliseconds since the epoch. */
  readonly now: number
}

/** How the members that a contract declares as computed are made. */
export type Computed<Types extends ResourceTypes> = {
  readonly [Name in keyof Types['computed']]: (state: Types['state'], about: About<Types>) => Types['computed'][Name]
}

/** Most that a store keeps. */
export interface StoreLimits {
  /** Documents; 100,000 unless given. */
  readonly documents?: number
  /** Bytes of all documents together, about, as JSON; 256 MiB unless given. */
  readonly bytes?: number
  /** Bytes of one document, about, as JSON; 1 MiB unless given. */
  readonly documentBytes?: number
  /** Deleted documents that are remembered, so that they answer 410; 10,000 unless given. */
  readonly tombstones?: number
}

/** Options of `store()`. */
export interface StoreOptions<Types extends ResourceTypes> {
  /** Where the documents are kept; the memory of the process, as they are, unless given. */
  readonly storage?: Storage
  /** Documents of a new store, by id. */
  readonly initial?: Readonly<Record<string, Types['stateInput']>>
  /** False lets the program alone create documents: PUT of one that does not exist is 404. */
  readonly create?: boolean
  /** One function for each member that the contract declares as computed. */
  readonly computed?: Computed<Types>
  /** Handlers of methods that a store does not serve, such as POST of an action. */
  readonly handlers?: Partial<ResourceHandlers<Types>>
  readonly limits?: StoreLimits
  /** Keeps earlier states too: served at `/history` below the path, and replayed to observers that come back. Nothing unless given. */
  readonly history?: HistoryOptions
  /** Makes the ids of documents that POST to a collection creates; UUIDs of version 7 unless given. */
  readonly newId?: () => string
  /** That of the machine unless given. */
  readonly clock?: Clock
}

/** A change of a document, as a rule hears of it. */
export interface StoreChange<Types extends ResourceTypes> {
  readonly id: DocumentId<Types['params']>
  /** Undefined where the document was deleted. */
  readonly state: Types['state'] | undefined
  /** Undefined where the document was created. */
  readonly previous: Types['state'] | undefined
  readonly version: number
  /** True for a change that another worker on the broker has made. */
  readonly replica: boolean
}

/** Which changes a rule hears of. */
export interface RuleOptions {
  /** True lets it hear of changes of other workers too; of those, the rules of the worker that made them have heard already. */
  readonly replicas?: boolean
}

/** A document that could not be read. */
export interface AsideDocument<Types extends { readonly params: unknown }> {
  readonly id: DocumentId<Types['params']>
  readonly reason: string
  /** When it was set aside, in milliseconds since the epoch. */
  readonly time: number
  /** As the storage had it. */
  readonly bytes: Uint8Array
}

/** The documents of a declared resource: served by apps, read and changed by the program. */
export interface Store<Types extends ResourceTypes> {
  readonly contract: ResourceContract<Types>
  /** Serves its resource, or a collection of it, on an app. */
  serve: ResourceServer['serve']
  /** Resolves when its documents have been read. @throws the error that kept it from that. */
  ready(): Promise<void>
  /** The document; undefined where there is none. */
  get(id: DocumentId<Types['params']>): Promise<StoredDocument<Types> | undefined>
  /** Creates or replaces a document. @throws IopaError 412 where it has another version, 422 for a state that is not valid. */
  put(id: DocumentId<Types['params']>, state: Types['stateInput'], options?: ChangeOptions): Promise<StoredDocument<Types>>
  /** Replaces the state of a document by one that is made of it. @throws IopaError 404 where there is none; as `put`. */
  patch(
    id: DocumentId<Types['params']>,
    change: (state: Types['state']) => Types['stateInput'],
    options?: ChangeOptions
  ): Promise<StoredDocument<Types>>
  /** Deletes a document; false where there was none. @throws IopaError 412 where it has another version. */
  delete(id: DocumentId<Types['params']>, options?: ChangeOptions): Promise<boolean>
  /** Its documents in the order of their keys. */
  list(options?: ListOptions): Promise<readonly StoredDocument<Types>[]>
  /**
   * Runs a rule after each change that has been kept, for each document in the order of its changes; what it throws is logged. Rules that follow from one
   * another end after 32 changes. Disposing of the outcome removes it.
   */
  onChange(rule: (change: StoreChange<Types>) => unknown, options?: RuleOptions): Disposable
  /** The documents that could not be read or migrated. */
  setAside(): Promise<readonly AsideDocument<Types>[]>
  /** Ends it after the changes under way, and its storage where no other store uses that. The app that serves it does so by itself. Idempotent. */
  close(): Promise<void>
}
