import { LRUCache } from 'lru-cache'
import { Shares } from './shares.ts'

/** An answer that is kept. */
export interface KeptAnswer {
  readonly status: number
  /** Flat list of names and values, without those that middleware around the cache has set. */
  readonly pairs: readonly string[]
  /** Further ones, which are added to those of the same name. */
  readonly added: readonly string[]
  /** Names of the request's header fields that it varies with, in lower case. */
  readonly names: readonly string[]
  readonly type: string
  readonly payload: string | Uint8Array | null
  /** On the clock's `elapsed`. */
  readonly at: number
  readonly fresh: number
  readonly stale: number
}

/** The answers to one key, by what they vary with. */
export interface Variants {
  /** Whose request put the last of them here. */
  readonly account: string
  /** Paths whose change empties it. */
  readonly paths: readonly string[]
  /** Names of the request's header fields, in lower case. */
  readonly names: readonly string[]
  readonly answers: Map<string, KeptAnswer>
  /** Until when answers to this key are not kept, so that requests do not wait for one another; 0 for one that has answers. */
  readonly passes: number
}

/** An answer that is to be kept. */
interface Keeping extends Pick<Variants, 'names' | 'paths' | 'account'> {
  readonly answer: KeptAnswer
}

const MOST_VARIANTS = 32
/** Bytes of an entry beside its content, about. */
const OVERHEAD = 256

/** The answers that are kept, by key and by path; the one that was not asked for longest goes first. */
export class Answers {
  readonly #byKey: LRUCache<string, Variants>
  readonly #byPath = new Map<string, Set<string>>()
  readonly #shares: Shares
  readonly #most: number

  constructor(size: number, entries: number) {
    this.#most = Math.max(1, Math.floor(size / 8))
    this.#shares = new Shares(size, entries)
    this.#byKey = new LRUCache<string, Variants>({
      max: entries,
      maxSize: size,
      dispose: (variants, key) => this.#unlink(key, variants)
    })
  }

  get(key: string): Variants | undefined {
    return this.#byKey.get(key)
  }

  /** Keeps an answer, unless it is too large; it counts for the account. */
  set(key: string, variant: string, { names, paths, account, answer }: Keeping): void {
    if (bytesOf(answer) > this.#most) return
    const known = this.#byKey.peek(key)
    const same = known !== undefined && known.passes === 0 && known.names.join() === names.join()
    const answers = new Map(same ? known.answers : undefined)
    answers.delete(variant)
    answers.set(variant, answer)
    if (answers.size > MOST_VARIANTS) answers.delete(answers.keys().next().value as string)
    this.#put(key, { paths: same ? [...new Set([...known.paths, ...paths])] : paths, names, answers, account, passes: 0 })
  }

  /** Remembers that answers to this key are not kept. */
  pass(key: string, path: string, account: string, until: number): void {
    this.#put(key, { paths: [path], names: [], answers: new Map(), account, passes: until })
  }

  /** Drops what a change of the path makes old. */
  drop(path: string): void {
    for (const key of this.#byPath.get(path) ?? []) this.#byKey.delete(key)
  }

  #put(key: string, variants: Variants): void {
    const bytes = sizeOf(variants, key)
    let oldest: string | undefined
    while ((oldest = this.#shares.excess(variants.account, key, bytes)) !== undefined) this.#byKey.delete(oldest)
    this.#byKey.set(key, variants, { size: bytes })
    if (!this.#byKey.has(key)) return
    this.#shares.add(variants.account, key, bytes)
    for (const path of variants.paths) {
      const keys = this.#byPath.get(path)
      if (keys === undefined) this.#byPath.set(path, new Set([key]))
      else keys.add(key)
    }
  }

  #unlink(key: string, { paths, account }: Variants): void {
    this.#shares.remove(account, key)
    for (const path of paths) {
      const keys = this.#byPath.get(path)
      keys?.delete(key)
      if (keys?.size === 0) this.#byPath.delete(path)
    }
  }
}

const bytesOf = ({ payload, pairs, added }: KeptAnswer): number => {
  let bytes = OVERHEAD + (payload === null ? 0 : typeof payload === 'string' ? 2 * payload.length : payload.length)
  for (const list of [pairs, added]) for (const text of list) bytes += 2 * text.length
  return bytes
}

const sizeOf = ({ answers }: Variants, key: string): number => {
  let bytes = OVERHEAD + 2 * key.length
  for (const answer of answers.values()) bytes += bytesOf(answer)
  return bytes
}
