/** One change of a storage. */
export type StorageChange =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'delete'; readonly key: string }

/** Which keys `list` gives. */
export interface StorageRange {
  /** Only keys that begin with it. */
  readonly prefix?: string
  /** Only keys behind it. */
  readonly after?: string
  /** Most entries; all unless given. */
  readonly limit?: number
  /** From the last key to the first. */
  readonly reverse?: boolean
}

/**
 * Keeps values by key, in the order of the UTF-8 bytes of keys. What has resolved is kept: it survives the end of the process at any moment, and
 * where the medium can, a power cut. Changes take effect in the order of the calls, also where one does not wait for another. Bytes that are given
 * must not change before the promise settles. After `close` everything rejects with 503 `closed`. `storageContract` of `@iopa/testing` is the suite
 * that every storage must pass.
 */
export interface Storage {
  /** The value; undefined where there is none. */
  get(key: string): Promise<Uint8Array | undefined>
  put(key: string, value: Uint8Array): Promise<void>
  delete(key: string): Promise<void>
  /** The entries of a range, as they were at one moment. */
  list(range?: StorageRange): AsyncIterable<readonly [key: string, value: Uint8Array]>
  /** All of the changes or none. @throws IopaError 507 `storage-full` where there is no room, and nothing has changed. */
  batch(changes: readonly StorageChange[]): Promise<void>
  /** Ends it, after the writes under way. Idempotent. */
  close(): Promise<void>
}
