import { IopaError, isIopaError } from '@iopa/appbuilder'
import { type RequestSession, recordOf, recordText, type SessionRecord } from './session.ts'
import type { SessionPlace, SessionStore } from './session-store.ts'

/** Characters of one session in the store. */
const LARGEST = 65_536

/** How long sessions last, in milliseconds. */
export interface Lifetime {
  readonly idle: number
  readonly absolute: number
}

/** When a session ends; milliseconds since 1970. */
export const endOf = ({ created, renewed }: SessionRecord, { idle, absolute }: Lifetime): number => Math.min(renewed + idle, created + absolute)

const isThenable = (value: unknown): value is Promise<unknown> => typeof (value as { then?: unknown } | null | undefined)?.then === 'function'

/**
 * The sessions of a store. Requests of one session change it one after the other: each change is put on what the store has then, so that a request
 * takes back no member that it has not changed itself. A session that is gone stays gone.
 */
export class KeptSessions {
  readonly #store: SessionStore
  readonly #lifetime: Lifetime
  readonly #ownerOf: (record: SessionRecord) => string | undefined
  /** The last change of each session that is under way. */
  readonly #turns = new Map<string, Promise<unknown>>()

  constructor(store: SessionStore, lifetime: Lifetime, ownerOf: (record: SessionRecord) => string | undefined) {
    this.#store = store
    this.#lifetime = lifetime
    this.#ownerOf = ownerOf
  }

  /** The session, where it has not ended; at once where the store has it at once. @throws IopaError 503 where the store fails. */
  load(key: string, now: number): SessionRecord | null | Promise<SessionRecord | null> {
    const current = (text: unknown): SessionRecord | null => {
      const record = recordOf(text as string)
      return record !== null && endOf(record, this.#lifetime) > now ? record : null
    }
    try {
      const text = this.#store.get(key)
      return isThenable(text) ? text.then(current, failed) : current(text)
    } catch (error) {
      return failed(error)
    }
  }

  /** Puts changes on what the store has now; null where the session has ended meanwhile. `renewed` begins its time again. */
  change(key: string, changes: RequestSession['changes'], now: number, renewed: boolean): Promise<SessionRecord | null> {
    return this.#inTurn(key, async () => {
      const current = await this.load(key, now)
      if (current === null) return null
      const record = { created: current.created, renewed: renewed ? now : current.renewed, values: merged(current.values, changes) }
      await this.#keep(key, record, now)
      return record
    })
  }

  /** Keeps a new session. */
  async create(key: string, values: ReadonlyMap<string, unknown>, now: number): Promise<SessionRecord> {
    const record = { created: now, renewed: now, values }
    await this.#keep(key, record, now)
    return record
  }

  /** Takes a session out; null where it has ended before. */
  remove(key: string, now: number): Promise<SessionRecord | null> {
    return this.#inTurn(key, async () => {
      const current = await this.load(key, now)
      try {
        await this.#store.delete(key)
      } catch (error) {
        failed(error)
      }
      return current
    })
  }

  async #keep(key: string, record: SessionRecord, now: number): Promise<void> {
    const text = recordText(record)
    if (text.length > LARGEST) throw new IopaError(500, 'session-too-large', `A session holds at most ${LARGEST} characters of JSON.`)
    const expires = endOf(record, this.#lifetime)
    const place: SessionPlace = { expires, ttl: expires - now, owner: this.#ownerOf(record) }
    try {
      await this.#store.set(key, text, place)
    } catch (error) {
      failed(error)
    }
  }

  /** Runs `work` after all that was begun for this session before. */
  #inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
    const earlier = this.#turns.get(key)
    const turn = earlier === undefined ? work() : earlier.then(work, work)
    this.#turns.set(key, turn)
    const leave = (): void => {
      if (this.#turns.get(key) === turn) this.#turns.delete(key)
    }
    turn.then(leave, leave)
    return turn
  }
}

export const merged = (values: ReadonlyMap<string, unknown>, changes: ReadonlyMap<string, unknown>): Map<string, unknown> => {
  const all = new Map(values)
  for (const [name, value] of changes) {
    if (value === undefined) all.delete(name)
    else all.set(name, value)
  }
  return all
}

const failed = (cause: unknown): never => {
  if (isIopaError(cause) && cause.code === 'session-store') throw cause
  throw new IopaError(503, 'session-store', 'Sessions cannot be reached now: try again later.', { cause, headers: { 'retry-after': '1' } })
}
