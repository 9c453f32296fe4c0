import { optionError } from '@iopa/appbuilder/extension'
import { TAKEN } from './record.ts'

/** What stands in the place of a value that is hidden. */
export const HIDDEN = '[hidden]'

/** Without `-` and `_`, in lower case: query parameters that carry secrets. */
const SECRET_PARAMETERS: readonly string[] = [
  'accesstoken',
  'apikey',
  'assertion',
  'auth',
  'authorization',
  'clientassertion',
  'clientsecret',
  'code',
  'codeverifier',
  'credential',
  'idtoken',
  'jwt',
  'key',
  'otp',
  'passwd',
  'password',
  'pwd',
  'refreshtoken',
  'samlresponse',
  'secret',
  'session',
  'sessionid',
  'sessiontoken',
  'sig',
  'signature',
  'ticket',
  'token',
  'xamzsecuritytoken',
  'xamzsignature'
]

/** Header fields that carry secrets. */
const SECRET_HEADERS: readonly string[] = ['authorization', 'cookie', 'proxy-authorization', 'set-cookie', 'x-api-key']

const QUERY = 'query.'
const HEADERS = 'headers.'
const PARTED = /[[\].]/

/** Fields of a record that can be hidden: those whose value is text of a peer or of the app. */
const HIDEABLE: ReadonlySet<string> = new Set(['requestId', 'method', 'path', 'query', 'user', 'protocol', 'transport', 'peer', 'code', 'headers'])

const plainName = (name: string): string => name.replace(/[-_]/g, '').toLowerCase()

const decoded = (name: string): string => {
  try {
    return decodeURIComponent(name.replaceAll('+', ' '))
  } catch {
    return name
  }
}

/** Hides values: those of tokens in any case, and those at the paths that are given. */
export class Redaction {
  readonly #parameters: ReadonlySet<string>
  readonly #headers: ReadonlySet<string>
  /** Paths of other fields, split. */
  readonly #paths: readonly (readonly string[])[]
  /** Fields of a record that are hidden as a whole. */
  readonly fields: ReadonlySet<string>

  /**
   * Paths as in `query.pin`, `headers.x-tenant`, `user`, `device.serial`.
   * @throws IopaError 500 for a field that cannot be hidden: a line without its level or status is none.
   */
  constructor(paths: readonly string[]) {
    const behind = (prefix: string): string[] => paths.filter(path => path.startsWith(prefix)).map(path => path.slice(prefix.length))
    this.#parameters = new Set([...SECRET_PARAMETERS, ...behind(QUERY).map(plainName)])
    this.#headers = new Set([...SECRET_HEADERS, ...behind(HEADERS).map(name => name.toLowerCase())])
    const others = paths.filter(path => !path.startsWith(QUERY) && !path.startsWith(HEADERS))
    const taken = others.find(path => TAKEN.has(path) && !HIDEABLE.has(path))
    if (taken !== undefined) throw optionError(`'redact' of log() cannot hide '${taken}': hide one of ${[...HIDEABLE].join(', ')}.`)
    this.fields = new Set(others.filter(path => HIDEABLE.has(path)))
    this.#paths = others.map(path => path.split('.'))
  }

  /** A query string with the values of secret parameters hidden. */
  query(query: string): string {
    if (query === '') return query
    let changed = false
    const parts = query.split('&').map(part => {
      const equals = part.indexOf('=')
      if (equals < 0 || !this.#isSecret(decoded(part.slice(0, equals)))) return part
      changed = true
      return `${part.slice(0, equals)}=${HIDDEN}`
    })
    return changed ? parts.join('&') : query
  }

  /** Names of lists and of members count as well: `token[]`, `user[password]`, `user.password`. */
  #isSecret(name: string): boolean {
    if (this.#parameters.has(plainName(name))) return true
    return PARTED.test(name) && name.split(PARTED).some(part => part !== '' && this.#parameters.has(plainName(part)))
  }

  header(name: string, value: string): string {
    return this.#headers.has(name) ? HIDDEN : value
  }

  /** Extra fields without what is hidden; what the caller gave stays as it is. */
  extra(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    return this.#paths.reduce((hidden, path) => withHidden(hidden, path, 0), fields)
  }
}

/** A copy of `object` in which the value at `path` is hidden; `object` itself where it has none. */
const withHidden = (object: Readonly<Record<string, unknown>>, path: readonly string[], at: number): Readonly<Record<string, unknown>> => {
  const name = path[at] as string
  if (!Object.hasOwn(object, name)) return object
  if (at === path.length - 1) return { ...object, [name]: HIDDEN }
  const inner = object[name]
  if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return object
  return { ...object, [name]: withHidden(inner as Readonly<Record<string, unknown>>, path, at + 1) }
}
