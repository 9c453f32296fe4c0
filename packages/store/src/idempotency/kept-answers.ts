import type { Storage, StorageChange } from '@iopa/appbuilder/extension'
import type { Clock } from '@iopa/transport'
import { decodeRecord, encodeRecord } from '../document-format.ts'
import type { KeptAnswer } from './kept-answer.ts'
import type { RequestKey } from './request-key.ts'

/** Most that is kept of answers. */
export interface AnswerLimits {
  readonly entries: number
  readonly entriesPerUser: number
  /** Of all answers. */
  readonly bytes: number
  /** Of one answer; what is larger is not kept. */
  readonly answerBytes: number
  /** Milliseconds. */
  readonly age: number
}

/** The answer to a request, as it is stored. */
export interface AnswerRecord {
  readonly fingerprint: string
  readonly user: string
  /** Milliseconds since the epoch. */
  readonly time: number
  readonly answer: KeptAnswer
}

interface Entry {
  readonly size: number
  readonly user: string
  readonly time: number
}

/** Answers that one write removes at most, beside those that make room. */
const SLICE = 32

/** Answers to requests, by the names of their keys: their records are in a storage, the oldest go when there is no room. */
export class KeptAnswers {
  readonly #storage: Storage
  readonly #prefix: string
  readonly #limits: AnswerLimits
  readonly #clock: Clock
  /** The oldest first. */
  readonly #entries = new Map<string, Entry>()
  /** The names of each user, the oldest first. */
  readonly #users = new Map<string, Set<string>>()
  #bytes = 0
  #opening: Promise<void> | null = null

  constructor(storage: Storage, prefix: string, limits: AnswerLimits, clock: Clock) {
    this.#storage = storage
    this.#prefix = prefix
    this.#limits = limits
    this.#clock = clock
  }

  /** The answer under a name; undefined where there is none. */
  async get(name: string): Promise<AnswerRecord | undefined> {
    await this.#open()
    const entry = this.#entries.get(name)
    if (entry === undefined || this.#isOld(entry)) return undefined
    const value = await this.#storage.get(this.#prefix + name)
    return value === undefined ? undefined : (decodeRecord(this.#prefix + name, value) as AnswerRecord)
  }

  /** The changes that keep an answer, and make room for it. Call `kept` when they have been written. */
  changesFor({ name, fingerprint, user }: RequestKey, answer: KeptAnswer): readonly StorageChange[] {
    const key = this.#prefix + name
    const record: AnswerRecord = { fingerprint, user, time: this.#clock.now(), answer }
    const whole = encodeRecord(key, record)
    const value = whole.length <= this.#limits.answerBytes ? whole : encodeRecord(key, { ...record, answer: { lost: true } })
    const removed = this.#surplus(name, user, value.length)
    return [...removed.map(other => ({ type: 'delete' as const, key: this.#prefix + other })), { type: 'put', key, value }]
  }

  /** These changes have been written. */
  kept(user: string, changes: readonly StorageChange[]): void {
    for (const change of changes) {
      const name = change.key.slice(this.#prefix.length)
      this.#remove(name)
      if (change.type === 'put') this.#add(name, { size: change.value.length, user, time: this.#clock.now() })
    }
  }

  async write(user: string, changes: readonly StorageChange[]): Promise<void> {
    await this.#storage.batch(changes)
    this.kept(user, changes)
  }

  #isOld({ time }: Entry): boolean {
    return this.#clock.now() - time >= this.#limits.age
  }

  /** The names that have to go for a new one. */
  #surplus(name: string, user: string, size: number): readonly string[] {
    const { entries, entriesPerUser, bytes } = this.#limits
    const removed = new Set<string>()
    let left = this.#bytes
    const remove = (other: string): void => {
      if (other === name || removed.has(other)) return
      removed.add(other)
      left -= this.#entries.get(other)?.size ?? 0
    }
    const own = this.#users.get(user)
    if (own !== undefined && own.size >= entriesPerUser) for (const other of own) if (own.size - removed.size >= entriesPerUser) remove(other)
    for (const [other, entry] of this.#entries) {
      const isFull = this.#entries.size - removed.size >= entries || left + size > bytes
      if (!isFull && (removed.size >= SLICE || !this.#isOld(entry))) break
      remove(other)
    }
    return [...removed]
  }

  #add(name: string, entry: Entry): void {
    this.#entries.set(name, entry)
    this.#bytes += entry.size
    const own = this.#users.get(entry.user)
    if (own === undefined) this.#users.set(entry.user, new Set([name]))
    else own.add(name)
  }

  #remove(name: string): void {
    const entry = this.#entries.get(name)
    if (entry === undefined) return
    this.#entries.delete(name)
    this.#bytes -= entry.size
    const own = this.#users.get(entry.user)
    own?.delete(name)
    if (own?.size === 0) this.#users.delete(entry.user)
  }

  #open(): Promise<void> {
    this.#opening ??= this.#read().catch(error => {
      this.#opening = null
      throw error
    })
    return this.#opening
  }

  async #read(): Promise<void> {
    const found: (readonly [string, Entry])[] = []
    for await (const [key, value] of this.#storage.list({ prefix: this.#prefix })) {
      const entry = entryOf(key, value)
      if (entry !== undefined) found.push([key.slice(this.#prefix.length), entry])
    }
    found.sort(([, one], [, other]) => one.time - other.time)
    for (const [name, entry] of found) this.#add(name, entry)
  }
}

/** Undefined for a record that is damaged: its request is handled again. */
const entryOf = (key: string, value: Uint8Array): Entry | undefined => {
  try {
    const { user, time } = decodeRecord(key, value) as AnswerRecord
    return { size: value.length, user, time }
  } catch {
    return undefined
  }
}
