import type { Logger } from '@iopa/appbuilder'
import type { Storage, TwinContract } from '@iopa/appbuilder/extension'
import { encodeRecord } from '../document-format.ts'
import { asideChanges, BatchedWrites, reasonOf, takeBack } from '../set-aside.ts'
import type { StorageKeys } from '../storage-keys.ts'
import type { TwinDocument } from './document.ts'
import { recordOf, twinOf } from './record.ts'

/** What the reading of twins names them by, and where. */
export interface TwinReading {
  /** The identifier of the program. */
  readonly idOf: (key: string) => unknown
  readonly logger: Logger
  /** Milliseconds since the epoch. */
  readonly time: number
}

/** Where twins are read from. */
export interface TwinRecords {
  readonly storage: Storage
  readonly keys: StorageKeys
  readonly contract: TwinContract
}

/**
 * Reads all twins. One that is migrated is written at once, so that its new version names one state only. What cannot be read is named and set aside,
 * and is tried again with the next start.
 */
export const readTwins = async (
  { storage, keys, contract }: TwinRecords,
  twins: Map<string, TwinDocument>,
  { idOf, logger, time }: TwinReading
): Promise<void> => {
  const writes = new BatchedWrites(storage)
  const renewed = new Map<string, TwinDocument>()
  const read = async (key: string, stored: string, value: Uint8Array): Promise<void> => {
    const { twin, migrated } = await twinOf(contract, stored, value)
    twins.set(key, twin)
    if (migrated) renewed.set(stored, twin)
  }
  for await (const [stored, value] of storage.list({ prefix: keys.documents })) {
    const key = stored.slice(keys.documents.length)
    try {
      await read(key, stored, value)
    } catch (error) {
      const reason = reasonOf(error)
      logger.error(`iopa: the twin ${JSON.stringify(idOf(key))} of ${contract.pattern} cannot be read and is set aside: ${reason}`)
      await writes.add(...asideChanges(keys, key, value, reason, time))
    }
  }
  await writes.flush()
  const { back, left } = await takeBack(storage, keys, key => twins.has(key), read)
  const names = back.slice(0, 10).map(key => JSON.stringify(idOf(key)))
  if (back.length > 0) logger.error(`iopa: ${back.length} twins of ${contract.pattern} can be read again: ${names.join(', ')}`)
  if (left > 0) logger.error(`iopa: ${left} twins of ${contract.pattern} are set aside; setAside() of the twins lists them`)
  for (const [stored, twin] of renewed) await writes.add({ type: 'put', key: stored, value: encodeRecord(stored, recordOf(twin, contract.version)) })
  await writes.flush()
}
