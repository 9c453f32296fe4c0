import { IopaError, type Logger } from '@iopa/appbuilder'
import { type ResourceContract, type Storage, validate } from '@iopa/appbuilder/extension'
import { type DocumentRecord, decodeRecord } from './document-format.ts'
import type { DocumentKeys } from './document-keys.ts'
import type { Documents } from './documents.ts'
import { firstVersion } from './first-version.ts'
import { HeldState } from './held-state.ts'
import type { MetaRecord } from './journal.ts'
import { asideChanges, BatchedWrites, reasonOf, takeBack } from './set-aside.ts'
import type { StorageKeys } from './storage-keys.ts'
import type { MaybePromise } from './turns.ts'

/** What the documents of a storage are read for. */
export interface OpeningStore {
  readonly contract: ResourceContract
  readonly keys: DocumentKeys
  readonly documents: Documents
  readonly storage: Storage
  readonly storageKeys: StorageKeys
  readonly logger: Logger
}

/** What was found in a storage. */
export interface Opened {
  /** The first version that has not been given. */
  readonly reserved: number
  /** Documents that are stored in another form than they have now. */
  readonly migrated: readonly string[]
  /** True for a storage that no store of this pattern has used. */
  readonly isNew: boolean
}

/** Reads the documents of a store. What cannot be read is named and set aside, and is tried again with the next start. */
export const readDocuments = async (store: OpeningStore, time: number): Promise<Opened> => {
  const { storage, storageKeys, documents, logger } = store
  const migrated: string[] = []
  let reserved = 1
  let isNew = true
  const meta = await storage.get(storageKeys.meta)
  if (meta !== undefined) {
    isNew = false
    try {
      reserved = (decodeRecord(storageKeys.meta, meta) as MetaRecord).reserved
    } catch (error) {
      logger.error(`iopa: the reserved versions of the store of ${store.contract.pattern} cannot be read`, error)
    }
  }
  const moves = new BatchedWrites(storage)
  const tombstones: (readonly [string, DocumentRecord])[] = []
  const read = async (key: string, stored: string, value: Uint8Array): Promise<void> => {
    const record = decodeRecord(stored, value) as DocumentRecord
    if (record.gone === true) tombstones.push([key, record])
    else {
      const { state, size } = new HeldState(await currentState(store.contract, record))
      documents.put({ key, state, size, version: record.version, changed: record.changed, tag: '' })
      if (record.shape !== store.contract.version) migrated.push(key)
    }
    reserved = Math.max(reserved, record.version + 1)
  }
  for await (const [stored, value] of storage.list({ prefix: storageKeys.documents })) {
    isNew = false
    const key = stored.slice(storageKeys.documents.length)
    try {
      await read(key, stored, value)
    } catch (error) {
      const reason = reasonOf(error)
      logger.error(`iopa: ${nameOf(store, key)} cannot be read and is set aside: ${reason}`)
      await moves.add(...asideChanges(storageKeys, key, value, reason, time))
    }
  }
  await moves.flush()
  const gone = new Set(tombstones.map(([key]) => key))
  const { back, left } = await takeBack(storage, storageKeys, key => documents.get(key) !== undefined || gone.has(key), read)
  const names = back.slice(0, 10).map(key => JSON.stringify(store.keys.idOf(key)))
  if (back.length > 0) logger.error(`iopa: ${back.length} documents of ${store.contract.pattern} can be read again: ${names.join(', ')}`)
  if (left > 0) logger.error(`iopa: ${left} documents of ${store.contract.pattern} are set aside; setAside() of the store lists them`)
  tombstones.sort(([, one], [, other]) => one.version - other.version)
  for (const [key, { version, changed }] of tombstones) documents.delete(key, { version, changed })
  if (isNew) reserved = firstVersion()
  return { reserved, migrated, isNew }
}

/** The state of a record in the shape that the contract has now, validated. @throws for one that cannot be migrated. */
export const currentState = async (contract: ResourceContract, { shape, state }: DocumentRecord): Promise<unknown> => {
  let current = state
  if (shape < contract.version) {
    if (contract.migrate === undefined)
      throw new Error(`it has the version ${shape} of its resource, and the resource has no migrate() to its version ${contract.version}`)
    current = contract.migrate(state, shape)
  }
  return contract.state === undefined ? current : validate(contract.state, current)
}

/** Makes sure that a state can be read again from its JSON. @throws IopaError 500 for one that cannot, such as a date that its schema takes as a date alone. */
export const assertReadable = (contract: ResourceContract, state: unknown): MaybePromise<void> => {
  const refuse = (cause: unknown): never => {
    throw new IopaError(
      500,
      'bad-store',
      `The state of ${contract.pattern} holds what its JSON does not give back: let its schema take the JSON too, as z.coerce.date() does. ${reasonOf(cause)}`,
      { cause }
    )
  }
  try {
    const read = JSON.parse(JSON.stringify(state))
    const outcome = contract.state === undefined ? undefined : validate(contract.state, read)
    return outcome instanceof Promise ? outcome.then(() => undefined, refuse) : undefined
  } catch (error) {
    return refuse(error)
  }
}

const nameOf = ({ contract, keys }: OpeningStore, key: string): string => `${JSON.stringify(keys.idOf(key))} of ${contract.pattern}`
