import { IopaError, isLoopback, optionError } from '@iopa/transport'

const LOOPBACK_NAMES = ['localhost', '127.0.0.1', '[::1]']

// Host and port of RFC 9110 section 7.2, without the sub-delims that no name in use has.
const AUTHORITY = /^(?:[\w.~%-]*|\[[\da-f:.]+\])(?::\d{0,5})?$/i

/** Which values of the Host header are served: a foreign name that resolves to this machine is an attack (DNS rebinding). */
export class HostRules {
  readonly #names: ReadonlySet<string> | null
  readonly #suffixes: readonly string[]

  /** @throws IopaError 500 for a name that no Host header can have. */
  constructor(hosts: readonly string[] | undefined, address: string) {
    const names = (hosts ?? (isLoopback(address) ? LOOPBACK_NAMES : ['*'])).map(name => name.toLowerCase())
    for (const name of names) {
      if (name !== '*' && (name === '' || !AUTHORITY.test(name.replace(/^\*\./, '')))) {
        throw optionError(`'${name}' in hosts is no host name; write 'example.com', 'example.com:8080', '*.example.com' or '*'.`)
      }
    }
    this.#names = names.includes('*') ? null : new Set(names.filter(name => !name.startsWith('*.')))
    this.#suffixes = names.filter(name => name.startsWith('*.')).map(name => name.slice(1))
  }

  /** Refuses a malformed authority, and one that is not served here. @throws IopaError 400, 421. */
  check(authority: string): void {
    if (!AUTHORITY.test(authority)) throw new IopaError(400, 'bad-host', 'The Host header is no host name with an optional port.')
    if (this.#names === null) return
    const full = authority.toLowerCase()
    const name = full.replace(/:\d*$/, '')
    if (this.#names.has(full) || this.#names.has(name) || this.#suffixes.some(suffix => name.endsWith(suffix))) return
    throw new IopaError(421, 'unknown-host', `This server does not answer for the host '${name}'; its operator names others with the option hosts.`)
  }
}

/** The parts of an absolute-form target (RFC 9112 section 3.2.2). */
export interface AbsoluteTarget {
  /** `http` or `https`. */
  readonly scheme: string
  readonly authority: string
  /** Path and query. */
  readonly rest: string
}

/** Splits a target that does not begin with `/`. @throws IopaError 400 for anything but `http(s)://host/path`. */
export const absoluteTarget = (target: string): AbsoluteTarget => {
  const parts = /^(https?):\/\/([^/?#@]+)([/?][^#]*)?$/i.exec(target)
  if (parts === null)
    throw new IopaError(400, 'bad-target', "The request target must be a path that begins with '/', or an http URL without user and fragment.")
  const rest = parts[3] ?? '/'
  return { scheme: (parts[1] as string).toLowerCase(), authority: parts[2] as string, rest: rest.startsWith('/') ? rest : `/${rest}` }
}

/**
 * A request that names two hosts is refused: a proxy before this server may have read the other one. A host without a port has the default
 * port of the scheme (RFC 9110 section 4.2.3). @throws IopaError 400.
 */
export const checkOneHost = (host: string | null, authority: string, scheme: string): void => {
  if (host === null || normal(host, scheme) === normal(authority, scheme)) return
  throw new IopaError(400, 'other-host', 'The request target and the Host header name different hosts.')
}

const normal = (authority: string, scheme: string): string => {
  const name = authority.toLowerCase()
  return name.replace(scheme === 'https' ? /:(?:443)?$/ : /:(?:80)?$/, '')
}
