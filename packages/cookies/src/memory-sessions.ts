import { IopaError } from '@iopa/appbuilder'
import { checkOptions, markFactory, optionError } from '@iopa/appbuilder/extension'
import type { SessionPlace, SessionStore } from './session-store.ts'

/** Bounds of `memorySessions()`. */
export interface MemorySessionsOptions {
  /** Sessions, 100,000 unless given. */
  readonly maxSessions?: number
  /** Characters of all sessions together, 64 Mi unless given. */
  readonly maxBytes?: number
  /** Sessions of one user, 100 unless given; the oldest ends. */
  readonly maxPerUser?: number
}

const OPTIONS: Record<keyof MemorySessionsOptions, true> = { maxSessions: true, maxBytes: true, maxPerUser: true }

interface Entry {
  readonly value: string
  readonly expires: number
  readonly owner: string | undefined
}

/**
 * Sessions in the memory of this process. Where it is full, expired sessions go first, then the anonymous one that was used longest ago. Those of users
 * are never given up for others: when they alone fill it, a new session is refused with 503.
 */
export const memorySessions = (options: MemorySessionsOptions = {}): SessionStore & { readonly size: number } => {
  checkOptions('memorySessions()', options, OPTIONS, memorySessions)
  const { maxSessions = 100_000, maxBytes = 64 * 1024 * 1024, maxPerUser = 100 } = options
  for (const [name, value] of Object.entries({ maxSessions, maxBytes, maxPerUser }))
    if (!Number.isInteger(value) || value < 1) throw optionError(`'${name}' of memorySessions() is a whole number from 1.`)
  return new MemorySessions(maxSessions, maxBytes, maxPerUser)
}

markFactory('memorySessions', memorySessions)

/** Milliseconds between two looks at all sessions. */
const SWEEP = 60_000

class MemorySessions implements SessionStore {
  readonly #maxSessions: number
  readonly #maxBytes: number
  readonly #maxPerUser: number
  /** Each in the order of use. */
  readonly #anonymous = new Map<string, Entry>()
  readonly #owned = new Map<string, Entry>()
  readonly #byOwner = new Map<string, Set<string>>()
  #bytes = 0
  #swept = Number.NEGATIVE_INFINITY

  constructor(maxSessions: number, maxBytes: number, maxPerUser: number) {
    this.#maxSessions = maxSessions
    this.#maxBytes = maxBytes
    this.#maxPerUser = maxPerUser
  }

  get size(): number {
    return this.#anonymous.size + this.#owned.size
  }

  get(key: string): string | undefined {
    return (this.#owned.get(key) ?? this.#anonymous.get(key))?.value
  }

  set(key: string, value: string, { expires, ttl, owner }: SessionPlace): void {
    const earlier = this.#owned.get(key) ?? this.#anonymous.get(key)
    this.delete(key)
    this.#sweep(expires - ttl)
    const size = sizeOf(key, value)
    if (!this.#makeRoom(size, expires - ttl)) {
      if (earlier !== undefined) this.#add(key, earlier)
      throw new IopaError(503, 'session-store', 'The server has too many sessions: try again later.')
    }
    this.#add(key, { value, expires, owner })
    const own = owner === undefined ? undefined : this.#byOwner.get(owner)
    if (own !== undefined && own.size > this.#maxPerUser) this.delete(own.values().next().value as string)
  }

  delete(key: string): void {
    const entries = this.#owned.has(key) ? this.#owned : this.#anonymous
    const entry = entries.get(key)
    if (entry === undefined) return
    entries.delete(key)
    this.#bytes -= sizeOf(key, entry.value)
    if (entry.owner === undefined) return
    const own = this.#byOwner.get(entry.owner)
    own?.delete(key)
    if (own?.size === 0) this.#byOwner.delete(entry.owner)
  }

  #add(key: string, entry: Entry): void {
    const { owner, value } = entry
    this.#bytes += sizeOf(key, value)
    if (owner === undefined) {
      this.#anonymous.set(key, entry)
      return
    }
    this.#owned.set(key, entry)
    const own = this.#byOwner.get(owner)
    if (own === undefined) this.#byOwner.set(owner, new Set([key]))
    else own.add(key)
  }

  /** Gives up expired sessions: those that end sooner may stand behind others that were used before them. */
  #sweep(now: number): void {
    if (now - this.#swept < SWEEP) return
    this.#swept = now
    for (const entries of [this.#owned, this.#anonymous]) for (const [key, { expires }] of entries) if (expires <= now) this.delete(key)
  }

  #makeRoom(size: number, now: number): boolean {
    const fits = (): boolean => this.size < this.#maxSessions && this.#bytes + size <= this.#maxBytes
    if (fits()) return true
    for (const entries of [this.#owned, this.#anonymous]) {
      // Those that were used longest ago are the first, and the first to expire.
      for (const [key, { expires }] of entries) {
        if (fits() || expires > now) break
        this.delete(key)
      }
    }
    for (const key of this.#anonymous.keys()) {
      if (fits()) break
      this.delete(key)
    }
    return fits()
  }
}

const sizeOf = (key: string, value: string): number => key.length + value.length
