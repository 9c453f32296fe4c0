import type { ResourceContract, ResourceHandlers, ResourceServer, ResourceTypes } from '@iopa/appbuilder/extension'
import type { Clock } from '@iopa/transport'

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
  /** Documents of a new store, by id. */
  readonly initial?: Readonly<Record<string, Types['stateInput']>>
  /** One function for each member that the contract declares as computed. */
  readonly computed?: Computed<Types>
  /** Handlers of methods that a store does not serve, such as POST of an action. */
  readonly handlers?: Partial<ResourceHandlers<Types>>
  readonly limits?: StoreLimits
  /** That of the machine unless given. */
  readonly clock?: Clock
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
}
