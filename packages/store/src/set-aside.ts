import type { Storage, StorageChange } from '@iopa/appbuilder/extension'
import { decodeRecord, encodeRecord } from './document-format.ts'
import type { StorageKeys } from './storage-keys.ts'

/** A document that could not be read, as it is kept. */
interface AsideRecord {
  readonly reason: string
  /** When it was set aside, in milliseconds since the epoch. */
  readonly time: number
  /** Its bytes, as Base64. */
  readonly value: string
}

/** A document that was set aside. */
export interface AsideEntry {
  readonly key: string
  readonly reason: string
  /** When it was set aside, in milliseconds since the epoch. */
  readonly time: number
  /** As the storage had it. */
  readonly bytes: Uint8Array
}

/** What `takeBack` has done. */
export interface TakenBack {
  /** The keys of documents that can be read again. */
  readonly back: readonly string[]
  /** How many remain set aside. */
  readonly left: number
}

/** Changes of one write. */
const MOST_CHANGES = 512

/** Writes changes of a storage in batches of a bounded number. */
export class BatchedWrites {
  readonly #storage: Storage
  #changes: StorageChange[] = []

  constructor(storage: Storage) {
    this.#storage = storage
  }

  /** Adds changes that belong together. Resolves when there is room for more. */
  async add(...changes: readonly StorageChange[]): Promise<void> {
    this.#changes.push(...changes)
    if (this.#changes.length >= MOST_CHANGES) await this.flush()
  }

  async flush(): Promise<void> {
    const changes = this.#changes
    this.#changes = []
    if (changes.length > 0) await this.#storage.batch(changes)
  }
}

/** What an error says. */
export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** The changes that set a record aside. */
export const asideChanges = (keys: StorageKeys, key: string, value: Uint8Array, reason: string, time: number): readonly StorageChange[] => {
  const aside = keys.aside + key
  const record: AsideRecord = { reason, time, value: toBase64(value) }
  return [
    { type: 'delete', key: keys.documents + key },
    { type: 'put', key: aside, value: encodeRecord(aside, record) }
  ]
}

/** Takes back documents that were set aside and that `read` can read now; a document that has been made since stays. */
export const takeBack = async (
  storage: Storage,
  keys: StorageKeys,
  isTaken: (key: string) => boolean,
  read: (key: string, stored: string, value: Uint8Array) => Promise<void>
): Promise<TakenBack> => {
  const back: string[] = []
  const writes = new BatchedWrites(storage)
  let left = 0
  for await (const [aside, value] of storage.list({ prefix: keys.aside })) {
    const key = aside.slice(keys.aside.length)
    const stored = keys.documents + key
    let bytes: Uint8Array
    try {
      if (isTaken(key)) throw new Error('there is another document now')
      bytes = fromBase64((decodeRecord(aside, value) as AsideRecord).value)
      await read(key, stored, bytes)
    } catch {
      left++
      continue
    }
    back.push(key)
    await writes.add({ type: 'put', key: stored, value: bytes }, { type: 'delete', key: aside })
  }
  await writes.flush()
  return { back, left }
}

/** All documents that are set aside. */
export const listAside = async (storage: Storage, keys: StorageKeys): Promise<readonly AsideEntry[]> => {
  const found: AsideEntry[] = []
  for await (const [stored, value] of storage.list({ prefix: keys.aside })) {
    const { reason, time, value: bytes } = decodeRecord(stored, value) as AsideRecord
    found.push({ key: stored.slice(keys.aside.length), reason, time, bytes: fromBase64(bytes) })
  }
  return found
}

const toBase64 = (bytes: Uint8Array): string => {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}

const fromBase64 = (text: string): Uint8Array => Uint8Array.from(atob(text), character => character.charCodeAt(0))
