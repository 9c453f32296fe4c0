import { type Context, IopaError, type MiddlewareObject, type Next, type User } from '@iopa/appbuilder'
import { type AppHandle, checkOptions, type DeclaredMiddleware, markFactory, optionError } from '@iopa/appbuilder/extension'
import { withOrigin } from '@iopa/constants'
import { isHttp } from '@iopa/context/host'
import { ATTRIBUTES, type CookieAttributes, setCookieOf } from './attributes.ts'
import { endOf, KeptSessions, type Lifetime, merged } from './kept-sessions.ts'
import { SESSION_KEYS } from './keys.ts'
import { memorySessions } from './memory-sessions.ts'
import { RequestSession, type Session, type SessionRecord } from './session.ts'
import { keyOf, newId, SessionCookie } from './session-cookie.ts'
import type { SessionStore } from './session-store.ts'
import { Signatures } from './signatures.ts'

/** Options of `sessions()`. */
export interface SessionsOptions {
  /** Where sessions are kept; in the memory of this process unless given. */
  readonly store?: SessionStore
  /** Name and attributes of the cookie; `__Host-session` unless given. */
  readonly cookie?: Omit<CookieAttributes, 'maxAge' | 'expires'> & { readonly name?: string }
  /** Secrets of 32 bytes or more that sign the cookie, so that invented ids do not reach the store: the first signs, all of them verify. */
  readonly keys?: readonly (string | Uint8Array)[]
  /** Seconds after which a session ends, 86,400 unless given. */
  readonly maxAge?: number
  /** True, the default, counts `maxAge` from the last request; false from the beginning. */
  readonly rolling?: boolean
  /** Seconds after which a session ends however it is used, 2,592,000 (30 days) unless given. */
  readonly absolute?: number
  /** Says who has logged in, from the values of a session: sets `server.User`, where nothing before has. */
  readonly user?: (session: Pick<Session, 'get'>) => User | undefined
}

const OPTIONS: Record<keyof SessionsOptions, true> = {
  store: true,
  cookie: true,
  keys: true,
  maxAge: true,
  rolling: true,
  absolute: true,
  user: true
}

/** What `sessions()` gives: middleware that also takes part in the app. */
export type SessionsMiddleware = DeclaredMiddleware<never, 'session.Session'> & { extend(app: AppHandle): object }

/** Gives every request over HTTP the session of its browser: `context['session.Session']`. */
export const sessions = (options: SessionsOptions = {}): SessionsMiddleware => {
  checkOptions('sessions()', options, OPTIONS, sessions)
  const layer = new Sessions(options)
  return {
    name: 'sessions',
    provides: ['session.Session'] as const,
    keys: SESSION_KEYS,
    neutral: true,
    extend: (app: AppHandle) => layer.serve(app),
    invoke: (context: Context, next: Next) => layer.handle(context, next)
  } as MiddlewareObject & SessionsMiddleware
}

markFactory('sessions', sessions)

const DAY = 86_400
/** Milliseconds between two looks whether the session of an observer still exists. */
const CHECKED_EVERY = 15_000

class Sessions {
  readonly #kept: KeptSessions
  readonly #cookie: SessionCookie
  readonly #lifetime: Lifetime
  readonly #rolling: boolean
  readonly #user: SessionsOptions['user']
  /** Undefined where it guards a route or a mount alone. */
  #app: AppHandle | undefined
  /** When the last request began; milliseconds since 1970. */
  #latest = 0

  constructor({ store = memorySessions(), cookie = {}, keys, maxAge = DAY, rolling = true, absolute = 30 * DAY, user }: SessionsOptions) {
    for (const method of ['get', 'set', 'delete'] as const)
      if (typeof (store as Partial<SessionStore> | null)?.[method] !== 'function')
        throw optionError(`'store' of sessions() has no method '${method}'.`)
    const { maxAge: _, expires: __, ...attributes } = ATTRIBUTES
    checkOptions("'cookie' of sessions()", cookie, { ...attributes, name: true }, sessions)
    for (const [name, value] of Object.entries({ maxAge, absolute }))
      if (!Number.isInteger(value) || value < 1 || value > 400 * DAY)
        throw optionError(`'${name}' of sessions() is a whole number of seconds from 1 to ${400 * DAY}.`)
    if (typeof rolling !== 'boolean') throw optionError("'rolling' of sessions() is true or false.")
    if (user !== undefined && typeof user !== 'function') throw optionError("'user' of sessions() is a function of the session.")
    const { name, ...given } = cookie
    // Finds faults now that every session would have.
    setCookieOf(name ?? 'session', '', given, true)
    this.#cookie = new SessionCookie(name, given, keys === undefined ? undefined : new Signatures(keys, 'sessions()'))
    this.#lifetime = { idle: maxAge * 1000, absolute: absolute * 1000 }
    this.#rolling = rolling
    this.#user = user
    this.#kept = new KeptSessions(store, this.#lifetime, record => this.#userOf(record)?.id)
  }

  serve(app: AppHandle): object {
    this.#app = app
    return {}
  }

  handle(context: Context, next: Next): unknown {
    this.#latest = context['server.Timestamp']
    const id = isHttp(context['iopa.Scheme']) ? this.#cookie.read(context) : undefined
    if (id === undefined) return this.#begin(context, next, '', null)
    const key = keyOf(id)
    const loaded = this.#kept.load(key, this.#now())
    if (loaded instanceof Promise) return loaded.then(record => this.#begin(context, next, id, record))
    return this.#begin(context, next, id, loaded)
  }

  #now(): number {
    return this.#app?.clock.now() ?? this.#latest
  }

  #begin(context: Context, next: Next, id: string, record: SessionRecord | null): unknown {
    let willSave = false
    const save = (): void => {
      if (willSave || context['server.IsNotification'] || context['server.IsPrecondition'] || !isHttp(context['iopa.Scheme'])) return
      willSave = true
      context.response.onSendingHeaders(() => this.#save(context, session, id))
    }
    const session = new RequestSession(
      {
        reading: () => context.private(),
        changing: () => {
          if (context.response.sealed)
            throw withOrigin(
              new IopaError(500, 'answer-sent', 'The answer has been sent: change the session before the handler returns.'),
              'internal'
            )
          save()
        }
      },
      record
    )
    context['session.Session'] = session
    if (record !== null) {
      this.#authenticate(context, record, keyOf(id))
      if (this.#isDue(record)) save()
    }
    return next()
  }

  /** @throws IopaError 500 for what is no user: it must not pass for one, as the promise of an asynchronous function would. */
  #userOf(record: SessionRecord): User | undefined {
    const user = this.#user?.({ get: <Value>(name: string) => record.values.get(name) as Value | undefined })
    if (user === undefined || user === null) return undefined
    const { id } = user as { readonly id?: unknown }
    if (typeof id === 'string' && id !== '') return user
    throw withOrigin(
      new IopaError(
        500,
        'bad-user',
        "The function 'user' of sessions() must give, at once, { id: '...' } with an id that is not empty, or undefined."
      ),
      'internal'
    )
  }

  #authenticate(context: Context, record: SessionRecord, key: string): void {
    if (this.#user === undefined || context['server.User'] !== undefined) return
    const user = this.#userOf(record)
    if (user === undefined) return
    const ends = this.#rolling ? record.created + this.#lifetime.absolute : endOf(record, this.#lifetime)
    // What the app says of its user holds as well, such as the end of a token.
    const until = Math.min(ends, user.valid?.until ?? ends)
    if (until <= this.#now()) return
    const own = user.valid?.check
    const check = async (): Promise<boolean> => (await this.#kept.load(key, this.#now())) !== null && (own === undefined || (await own()))
    context['server.User'] = {
      by: 'cookie',
      ...user,
      valid: { until, check, every: Math.min(CHECKED_EVERY, user.valid?.every ?? CHECKED_EVERY), login: key }
    }
  }

  /** Its time begins again after a tenth of it, so that a browser that asks often does not write each time. */
  #isDue({ renewed }: SessionRecord): boolean {
    return this.#rolling && this.#now() - renewed > this.#lifetime.idle / 10
  }

  /** Before the head is sent, so that the next request finds it. */
  async #save(context: Context, session: RequestSession, id: string): Promise<void> {
    const { loaded, changes, destroyed, regenerated } = session
    const now = this.#now()
    if (loaded !== null && (destroyed || regenerated || this.#changesUser(loaded, changes))) {
      const last = await this.#end(id, now)
      const values = destroyed || last === null ? changes : merged(last.values, changes)
      await this.#create(context, values, now)
    } else if (loaded === null) await this.#create(context, changes, now)
    else {
      const due = this.#isDue(loaded)
      const record = await this.#kept.change(keyOf(id), changes, now, due)
      // The cookie of a session that has ended stays: a login at the same moment may have given the browser another one, which this would take away.
      if (record !== null && due) this.#write(context, id, record, now)
    }
  }

  /** A login always gets another id: the anonymous session before it may be one that another site has planted. */
  #changesUser(loaded: SessionRecord, changes: ReadonlyMap<string, unknown>): boolean {
    if (this.#user === undefined || changes.size === 0) return false
    return this.#userOf(loaded)?.id !== this.#userOf({ ...loaded, values: merged(loaded.values, changes) })?.id
  }

  /** A session of what has a value; without any the browser has none, and loses its cookie. */
  async #create(context: Context, values: ReadonlyMap<string, unknown>, now: number): Promise<void> {
    const given = merged(new Map(), values)
    if (given.size === 0) {
      if (this.#cookie.isSent(context)) this.#cookie.delete(context)
      return
    }
    const id = newId()
    this.#write(context, id, await this.#kept.create(keyOf(id), given, now), now)
  }

  #write(context: Context, id: string, record: SessionRecord, now: number): void {
    this.#cookie.write(context, id, Math.max(1, Math.floor((endOf(record, this.#lifetime) - now) / 1000)))
  }

  /** Ends a session, and what lasts of it: observers hear 401. */
  async #end(id: string, now: number): Promise<SessionRecord | null> {
    const key = keyOf(id)
    const last = await this.#kept.remove(key, now)
    const user = last === null ? undefined : this.#userOf(last)
    if (user !== undefined) this.#app?.endLogin(user.id, key)
    return last
  }
}
