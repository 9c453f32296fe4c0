import { IopaError } from '@iopa/appbuilder'
import { withOrigin } from '@iopa/constants'

/** What lasts from request to request of one browser: JSON values by name. */
export interface Session {
  /** True while the browser has no session: nothing is kept, and no cookie is set, until something is. */
  readonly isNew: boolean
  /** A value; objects are frozen: change a copy, and set that. */
  get<Value = unknown>(name: string): Value | undefined
  /** Keeps a JSON value. @throws IopaError 500 for another value. */
  set(name: string, value: unknown): void
  delete(name: string): void
  /** Gives the session another id, and its values stay: call it when a user logs in, or gets more rights. */
  regenerate(): void
  /** Ends the session: call it when a user logs out. What is set afterwards begins another one. */
  destroy(): void
}

/** What a store has of a session. */
export interface SessionRecord {
  /** Milliseconds since 1970. */
  readonly created: number
  /** When its time was counted from last; milliseconds since 1970. */
  readonly renewed: number
  readonly values: ReadonlyMap<string, unknown>
}

/** What the code of a session needs of its request. */
export interface SessionHost {
  /** Called before each change. @throws IopaError 500 where the answer has been sent. */
  changing(): void
  /** Called for each read of an app. */
  reading(): void
}

/** The session of one request: what was loaded, and what has changed since. */
export class RequestSession implements Session {
  readonly #host: SessionHost
  /** What was loaded; null for a session that does not exist, or exists no more. */
  loaded: SessionRecord | null
  /** Undefined for what was deleted. */
  readonly changes: Map<string, unknown> = new Map()
  regenerated = false
  destroyed = false

  constructor(host: SessionHost, loaded: SessionRecord | null) {
    this.#host = host
    this.loaded = loaded
  }

  get isNew(): boolean {
    return this.loaded === null || this.destroyed
  }

  get<Value = unknown>(name: string): Value | undefined {
    this.#host.reading()
    if (this.changes.has(name)) return this.changes.get(name) as Value | undefined
    return this.destroyed ? undefined : (this.loaded?.values.get(name) as Value | undefined)
  }

  set(name: string, value: unknown): void {
    this.#host.changing()
    const text = value === undefined ? undefined : jsonOf(value)
    if (text === undefined)
      throw withOrigin(new IopaError(500, 'bad-session-value', `The session cannot keep '${String(name)}': give it a JSON value.`), 'internal')
    this.changes.set(String(name), frozen(text))
  }

  delete(name: string): void {
    this.#host.changing()
    this.changes.set(name, undefined)
  }

  regenerate(): void {
    this.#host.changing()
    this.regenerated = true
  }

  destroy(): void {
    this.#host.changing()
    this.destroyed = true
    this.changes.clear()
  }
}

const jsonOf = (value: unknown): string | undefined => {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}

/** A change of an object in a session would be lost, so it throws. */
const frozen = (text: string): unknown => JSON.parse(text, (_, value: unknown) => Object.freeze(value))

/** The text of a record. */
export const recordText = ({ created, renewed, values }: SessionRecord): string => JSON.stringify({ created, renewed, values: [...values] })

/** The record of a text; null where it is none. */
export const recordOf = (text: string | null | undefined): SessionRecord | null => {
  if (typeof text !== 'string') return null
  try {
    const { created, renewed, values } = frozen(text) as { created: number; renewed: number; values: [string, unknown][] }
    return typeof created === 'number' && typeof renewed === 'number' ? { created, renewed, values: new Map(values) } : null
  } catch {
    return null
  }
}
