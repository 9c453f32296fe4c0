import type { Context } from '@iopa/appbuilder'
import { isHttp } from '@iopa/context/host'
import { parseCookie } from 'cookie'
import { badCookie, type CookieAttributes, setCookieOf } from './attributes.ts'
import type { Signatures } from './signatures.ts'

/** Cookies that one answer may set: browsers keep about 180 of a site. */
const MOST_SET = 50

/** The cookies of a request, and those that its answer sets. Names are compared as they are (RFC 6265bis section 5.6). */
export interface CookieJar {
  /** The value that the browser has sent; the first where it has sent several. What `set` has set comes with the next request. */
  get(name: string): string | undefined
  /** The value, where one of the keys has signed it; undefined for any other. @throws IopaError 500 without keys. */
  getSigned(name: string): string | undefined
  /** Every cookie that the browser has sent. */
  all(): Readonly<Record<string, string | undefined>>
  /** Sets a cookie; one of the same name, domain and path is replaced. @throws IopaError 500 for what browsers would refuse. */
  set(name: string, value: string, attributes?: CookieAttributes): void
  /** The same with a signature, which others can read and nobody can change. @throws IopaError 500 without keys. */
  setSigned(name: string, value: string, attributes?: CookieAttributes): void
  /** Deletes a cookie; domain and path must be those with which it was set. */
  delete(name: string, attributes?: Pick<CookieAttributes, 'domain' | 'path' | 'secure' | 'partitioned' | 'sameSite'>): void
}

const NONE: Readonly<Record<string, string | undefined>> = Object.freeze(Object.create(null))
const LOOPBACK = /^(?:localhost|.*\.localhost|127\.\d+\.\d+\.\d+|::1)$/i

/** True where cookies are secure unless they say otherwise: everywhere but on a loopback host without TLS. */
export const isSecureHost = (context: Context): boolean => context['iopa.Scheme'] === 'https' || !LOOPBACK.test(context['iopa.Host'])

/** The cookies of one context; parsed when they are first read. */
export class Jar implements CookieJar {
  readonly #context: Context
  readonly #defaults: CookieAttributes
  readonly #signatures: Signatures | undefined
  #parsed: Readonly<Record<string, string | undefined>> | undefined
  /** What has been set, by name, domain and path. */
  #set: Map<string, string> | undefined

  constructor(context: Context, defaults: CookieAttributes, signatures: Signatures | undefined) {
    this.#context = context
    this.#defaults = defaults
    this.#signatures = signatures
  }

  get(name: string): string | undefined {
    return this.#read()[name]
  }

  getSigned(name: string): string | undefined {
    const signatures = this.#required(name)
    const signed = this.get(name)
    return signed === undefined ? undefined : signatures.verified(name, signed)
  }

  all(): Readonly<Record<string, string | undefined>> {
    return this.#read()
  }

  set(name: string, value: string, attributes: CookieAttributes = {}): void {
    this.#write(name, value, { ...this.#defaults, ...attributes })
  }

  setSigned(name: string, value: string, attributes: CookieAttributes = {}): void {
    this.set(name, this.#required(name).sign(name, value), attributes)
  }

  delete(name: string, attributes: Pick<CookieAttributes, 'domain' | 'path' | 'secure' | 'partitioned' | 'sameSite'> = {}): void {
    const { expires: _, ...defaults } = this.#defaults
    this.#write(name, '', { ...defaults, ...attributes, maxAge: 0 })
  }

  #required(name: string): Signatures {
    if (this.#signatures === undefined) throw badCookie(name, 'is signed: give cookies() its keys.')
    return this.#signatures
  }

  #read(): Readonly<Record<string, string | undefined>> {
    // In a notification what it reads is its observer's own, also where another layer has read it before.
    this.#context.private()
    if (this.#parsed !== undefined) return this.#parsed
    if (!isHttp(this.#context['iopa.Scheme'])) return (this.#parsed = NONE)
    const fields = this.#context['iopa.Headers'].getAll('cookie')
    // HTTP/2 may split the field (RFC 9113 section 8.2.3).
    return (this.#parsed = fields.length === 0 ? NONE : Object.freeze(parseCookie(fields.length === 1 ? (fields[0] as string) : fields.join('; '))))
  }

  #write(name: string, value: string, attributes: CookieAttributes): void {
    const context = this.#context
    const text = setCookieOf(name, value, attributes, isSecureHost(context))
    // Other protocols have no cookies; the head of an event stream has been sent.
    if (!isHttp(context['iopa.Scheme']) || context['server.IsNotification']) return
    const { headers } = context.response
    this.#set ??= new Map()
    const id = `${name};${attributes.domain ?? ''};${attributes.path ?? '/'}`
    const earlier = this.#set.get(id)
    if (earlier === undefined && this.#set.size >= MOST_SET) throw badCookie(name, `is one too many: an answer sets at most ${MOST_SET}.`)
    if (earlier !== undefined) {
      const others = headers.getAll('set-cookie').filter(other => other !== earlier)
      headers.delete('set-cookie')
      for (const other of others) headers.append('set-cookie', other)
    }
    headers.append('set-cookie', text)
    this.#set.set(id, text)
  }
}
