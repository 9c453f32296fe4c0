import { IopaError } from '@iopa/appbuilder'
import type { Storage } from '@iopa/appbuilder/extension'

/*
 * The keys of a store in its storage are `<pattern>\0<letter>\0<rest>`, so that several stores share one storage. No pattern and no key of a
 * document holds U+0000 at an end.
 */
const LETTERS = { document: 'd', meta: 'm', aside: 'x', presence: 'p', history: 'h', answers: 'k' } as const

/** Which keys of a storage are those of one store. */
export interface StorageKeys {
  readonly documents: string
  /** Set aside: what could not be read. */
  readonly aside: string
  readonly meta: string
  /** Answers to requests with an idempotency key. */
  readonly answers: string
  /** Earlier states. */
  readonly history: string
  /** When devices were heard last. */
  readonly presence: string
}

export const storageKeys = (pattern: string): StorageKeys => ({
  documents: `${pattern}\0${LETTERS.document}\0`,
  aside: `${pattern}\0${LETTERS.aside}\0`,
  meta: `${pattern}\0${LETTERS.meta}\0`,
  answers: `${pattern}\0${LETTERS.answers}\0`,
  history: `${pattern}\0${LETTERS.history}\0`,
  presence: `${pattern}\0${LETTERS.presence}\0`
})

/** The patterns of the stores that use a storage now: the last of them closes it. */
const users = new WeakMap<Storage, Set<string>>()

/** @throws IopaError 500 where another store of the pattern uses the storage. */
export const takeStorage = (storage: Storage, pattern: string): void => {
  const patterns = users.get(storage) ?? new Set<string>()
  if (patterns.has(pattern))
    throw new IopaError(
      500,
      'bad-store',
      `Two stores of ${pattern} have one storage: serve one store on both apps, or give each a storage of its own.`
    )
  users.set(storage, patterns.add(pattern))
}

/** Closes the storage where no other store uses it. */
export const leaveStorage = async (storage: Storage, pattern: string): Promise<void> => {
  const patterns = users.get(storage)
  patterns?.delete(pattern)
  if (patterns?.size === 0) await storage.close()
}
