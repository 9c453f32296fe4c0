import { type HeaderFields, type HeadersInit, IopaError } from '@iopa/constants'

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
// CR, LF and NUL would end the field or the message (RFC 9110 section 5.5).
const BAD_VALUE = /[\0\r\n]/
/** Fields that carry credentials, which do not belong into a log. */
const SECRET = /^(?:proxy-)?authorization$|^(?:set-)?cookie$/i

/** What makes a letter a small one; initials that differ by more are those of different names. */
const LOWER = 0x20

const badValue = (name: string): IopaError =>
  new IopaError(500, 'bad-header-value', `The value of header '${name}' is neither a string nor a list of strings.`)

const checked = (name: string, value: string): string => {
  if (typeof value !== 'string') throw badValue(name)
  if (!NAME.test(name)) throw new IopaError(500, 'bad-header-name', `'${name}' is no header name: use letters, digits and '-'.`)
  if (BAD_VALUE.test(value)) throw new IopaError(500, 'bad-header-value', `The value of header '${name}' holds a line break or NUL.`)
  return value
}

/**
 * Header fields over a flat list `[name, value, name, value]`, looked up without regard to case; the list that a
 * protocol gave is copied on the first write. Names keep the case in which they were written.
 */
export class HeaderMap implements HeaderFields {
  #pairs: string[]
  #shared: boolean
  #frozen = false

  /** `pairs` stays untouched. */
  constructor(pairs?: string[]) {
    this.#pairs = pairs ?? []
    this.#shared = pairs !== undefined
  }

  /**
   * Headers from what an app wrote. They are its own: an edit of one side never reaches the other.
   * @throws IopaError 500 for an illegal name or value.
   */
  static from(init: HeadersInit): HeaderMap {
    const map = new HeaderMap()
    if (init instanceof HeaderMap) {
      // Both sides copy the list on their first edit.
      map.#pairs = init.#pairs
      map.#shared = init.#shared = true
      return map
    }
    assignHeaders(map, init)
    return map
  }

  get size(): number {
    return this.#pairs.length / 2
  }

  get(name: string): string | undefined {
    const at = this.#find(name, 0)
    return at < 0 ? undefined : this.#pairs[at + 1]
  }

  getAll(name: string): string[] {
    const values: string[] = []
    for (let at = this.#find(name, 0); at >= 0; at = this.#find(name, at + 2)) values.push(this.#pairs[at + 1] as string)
    return values
  }

  has(name: string): boolean {
    return this.#find(name, 0) >= 0
  }

  set(name: string, value: string | readonly string[]): void {
    if (typeof value === 'string') {
      checked(name, value)
      const pairs = this.#writable()
      const at = this.#find(name, 0)
      if (at < 0) pairs.push(name, value)
      else {
        pairs[at] = name
        pairs[at + 1] = value
        this.#remove(name, at + 2)
      }
      return
    }
    if (!Array.isArray(value)) throw badValue(name)
    for (const one of value) checked(name, one)
    this.delete(name)
    for (const one of value) this.#pairs.push(name, one)
  }

  append(name: string, value: string): void {
    checked(name, value)
    this.#writable().push(name, value)
  }

  delete(name: string): boolean {
    this.#writable()
    return this.#remove(name, 0)
  }

  *[Symbol.iterator](): Generator<[name: string, value: string]> {
    for (let at = 0; at < this.#pairs.length; at += 2) yield [this.#pairs[at] as string, this.#pairs[at + 1] as string]
  }

  /** The flat list itself, to be read only: what a transport writes. */
  pairs(): readonly string[] {
    return this.#pairs
  }

  /** True when every edit throws. */
  get frozen(): boolean {
    return this.#frozen
  }

  /** Makes every later edit throw. */
  freeze(): void {
    this.#frozen = true
  }

  #find(name: string, from: number): number {
    const pairs = this.#pairs
    const length = name.length
    const initial = name.charCodeAt(0) | LOWER
    let lower: string | undefined
    for (let at = from; at < pairs.length; at += 2) {
      const candidate = pairs[at] as string
      if (candidate.length !== length || (candidate.charCodeAt(0) | LOWER) !== initial) continue
      if (candidate === name) return at
      lower ??= name.toLowerCase()
      if (candidate.toLowerCase() === lower) return at
    }
    return -1
  }

  #remove(name: string, from: number): boolean {
    let removed = false
    for (let at = this.#find(name, from); at >= 0; at = this.#find(name, at)) {
      this.#pairs.splice(at, 2)
      removed = true
    }
    return removed
  }

  #writable(): string[] {
    if (this.#frozen) throw new IopaError(500, 'headers-sent', 'The answer has been sent; set headers before the handler returns.')
    if (this.#shared) {
      this.#pairs = this.#pairs.slice()
      this.#shared = false
    }
    return this.#pairs
  }
}

// Node's console and test runners print with this method: the fields, but for the values of credentials.
Object.defineProperty(HeaderMap.prototype, Symbol.for('nodejs.util.inspect.custom'), {
  value(this: HeaderMap): string[] {
    return Array.from(this, ([name, value]) => `${name}: ${SECRET.test(name) ? '***' : value}`)
  }
})

/** Writes headers over those that are there: a field of the same name is replaced. */
export const assignHeaders = (target: HeaderMap, init: HeadersInit): void => {
  if (init === target) return
  if (isHeaderFields(init)) {
    for (const [name] of init) target.delete(name)
    for (const [name, value] of init) target.append(name, value)
  } else for (const name of Object.keys(init)) target.set(name, init[name] as string | readonly string[])
}

const isHeaderFields = (init: HeadersInit): init is Iterable<[name: string, value: string]> =>
  typeof (init as HeaderFields)[Symbol.iterator] === 'function'
