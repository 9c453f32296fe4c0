import type { Context } from '@iopa/appbuilder'
import { optionError } from '@iopa/appbuilder/extension'

/** Decides about the origin of a request, which it gets as the browser sent it. The context is that before authentication. */
export type OriginCheck = (origin: string, context: Context) => boolean | Promise<boolean>

// Schemes of apps, such as capacitor://localhost, have no origin in the URL standard, though their web views send one.
const APP_ORIGIN = /^[a-z][a-z0-9+.-]*:\/\/[a-z0-9_.-]+(?::\d+)?$/
const WEB = /^https?:/i
const WILDCARD = /^(https?:\/\/)\*(\.[a-z0-9.-]+(?::\d+)?)$/
const LABELS = /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/

/** The origins below a domain. */
interface Below {
  /** Such as `https://`. */
  readonly scheme: string
  /** Such as `.example.com`, with the port. */
  readonly suffix: string
}

/** Origins by name and by domain. They are compared as whole texts: browsers send them in one form (RFC 6454 section 6.1). */
class OriginList {
  readonly #exact = new Set<string>()
  readonly #below: Below[] = []

  /** @throws IopaError 500 for what is no origin; it says how to write it. */
  constructor(origins: readonly string[], credentials: boolean) {
    for (const origin of origins) {
      const below = WILDCARD.exec(origin)
      if (below !== null) this.#below.push(belowOf(origin, below[1] as string, below[2] as string))
      else this.#exact.add(checkedOrigin(origin, credentials))
    }
  }

  has(origin: string): boolean {
    return this.#exact.has(origin) || (this.#below.length > 0 && this.#below.some(below => isBelow(below, origin)))
  }
}

const isBelow = ({ scheme, suffix }: Below, origin: string): boolean =>
  origin.startsWith(scheme) && origin.endsWith(suffix) && LABELS.test(origin.slice(scheme.length, -suffix.length))

const belowOf = (origin: string, scheme: string, suffix: string): Below => {
  const name = suffix.slice(1).replace(/:\d+$/, '')
  if (!name.includes('.') && name !== 'localhost') throw optionError(`'origin' of cors() has '${origin}', which is most of the web: name a domain.`)
  checkedOrigin(`${scheme}x${suffix}`, false)
  return { scheme, suffix }
}

const checkedOrigin = (origin: string, credentials: boolean): string => {
  if (typeof origin !== 'string')
    throw optionError(`'origin' of cors() has ${String(origin)}: write origins as text, or give a function that decides.`)
  if (origin === 'null') {
    // Sandboxed frames of any site send it.
    if (credentials) throw optionError("'origin' of cors() cannot be 'null' with credentials: any page can send it.")
    return origin
  }
  if (!WEB.test(origin)) {
    if (!APP_ORIGIN.test(origin)) throw optionError(`'origin' of cors() has '${origin}': write scheme://host, with the port where it has one.`)
    return origin
  }
  const parsed = URL.canParse(origin) ? new URL(origin) : undefined
  const form = parsed?.username === '' && parsed.pathname === '/' ? parsed.origin : undefined
  if (form !== origin || origin.includes('*')) {
    const hint = form === undefined || form.includes('*') ? "write scheme://host, or 'https://*.example.com'" : `browsers send '${form}'`
    throw optionError(`'origin' of cors() has '${origin}': ${hint}.`)
  }
  return origin
}

/** Decides about origins; undefined where every origin may read, and the answer does not depend on it. */
export const originCheck = (origin: string | readonly string[] | OriginCheck = '*', credentials = false): OriginCheck | undefined => {
  if (typeof origin === 'function') return origin
  const list = typeof origin === 'string' ? [origin] : origin
  if (!Array.isArray(list))
    throw optionError("'origin' of cors() is '*', an origin, a list of origins, or a function; for a pattern write 'https://*.example.com'.")
  if (list.length === 0) throw optionError("'origin' of cors() is an empty list, which no page is in: name the origins, or leave cors() out.")
  if (list.includes('*')) {
    if (credentials)
      throw optionError("'origin' of cors() cannot be '*' with credentials: any site could read what its visitors may. Name the origins.")
    if (list.length > 1) throw optionError("'origin' of cors() is '*' alone, or a list of origins.")
    return undefined
  }
  const origins = new OriginList(list, credentials)
  return given => origins.has(given)
}
