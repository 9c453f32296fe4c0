import { createHash, randomBytes } from 'node:crypto'
import type { Context } from '@iopa/appbuilder'
import type { CookieAttributes } from './attributes.ts'
import { isSecureHost, Jar } from './jar.ts'
import type { Signatures } from './signatures.ts'

const ID_BYTES = 32
const ID = /^[\w-]{43}$/

/** The key under which a store has a session: who reads the store cannot make a cookie of it. */
export const keyOf = (id: string): string => createHash('sha256').update(id).digest('base64url')

/** An id of 256 random bits. */
export const newId = (): string => randomBytes(ID_BYTES).toString('base64url')

/** Reads and writes the id of a session in its cookie. */
export class SessionCookie {
  readonly #name: string | undefined
  readonly #attributes: CookieAttributes
  readonly #signatures: Signatures | undefined

  /** `name` undefined is `__Host-session`, and `session` where cookies are not secure. */
  constructor(name: string | undefined, attributes: CookieAttributes, signatures: Signatures | undefined) {
    this.#name = name
    this.#attributes = attributes
    this.#signatures = signatures
  }

  /** The id that the browser has sent; undefined for none, and for one that was not made here. */
  read(context: Context): string | undefined {
    const name = this.#nameFor(context)
    const sent = this.#jar(context).get(name)
    if (sent === undefined) return undefined
    const id = this.#signatures === undefined ? sent : this.#signatures.verified(name, sent)
    return id !== undefined && ID.test(id) ? id : undefined
  }

  /** True where the browser has sent a cookie of this name, whatever it holds. */
  isSent(context: Context): boolean {
    return this.#jar(context).get(this.#nameFor(context)) !== undefined
  }

  /** `maxAge` in seconds. */
  write(context: Context, id: string, maxAge: number): void {
    const name = this.#nameFor(context)
    this.#jar(context).set(name, this.#signatures?.sign(name, id) ?? id, { maxAge })
  }

  delete(context: Context): void {
    this.#jar(context).delete(this.#nameFor(context))
  }

  #jar(context: Context): Jar {
    return new Jar(context, this.#attributes, undefined)
  }

  #nameFor(context: Context): string {
    if (this.#name !== undefined) return this.#name
    // Neither of them goes with the prefix.
    if (this.#attributes.domain !== undefined || (this.#attributes.path ?? '/') !== '/') return 'session'
    return (this.#attributes.secure ?? isSecureHost(context)) ? '__Host-session' : 'session'
  }
}
