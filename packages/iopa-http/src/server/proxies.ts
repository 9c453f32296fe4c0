import { BlockList, isIP } from 'node:net'
import { IopaError, isLoopback, optionError } from '@iopa/transport'

/** What trusted proxies say of the client and of its request. */
export interface Forwarded {
  readonly address: string
  readonly port: number
  readonly scheme: string
  /** Empty when the proxies left the Host header as it was. */
  readonly host: string
}

const LOOPBACK = ['127.0.0.0/8', '::1/128']
/** In `trustProxy`: whatever connects over a UNIX socket, which has no address. */
const UNIX = 'unix'

/** Which peers are trusted proxies, and what they say of their clients. */
export class TrustedProxies {
  readonly #list = new BlockList()
  readonly #unix: boolean

  /** `proxies` are addresses, subnets, `loopback` or `unix`. @throws IopaError 500 for anything else. */
  constructor(proxies: readonly string[]) {
    this.#unix = proxies.includes(UNIX)
    for (const proxy of proxies.filter(name => name !== UNIX).flatMap(name => (name === 'loopback' ? LOOPBACK : [name]))) {
      const [address = '', prefix] = proxy.split('/')
      const version = isIP(address)
      const bits = prefix === undefined ? (version === 6 ? 128 : 32) : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1
      if (version === 0 || bits < 0 || bits > (version === 6 ? 128 : 32)) {
        throw optionError(`'${proxy}' in trustProxy is no address and no subnet; write '10.0.0.1', '10.0.0.0/8', 'loopback' or 'unix'.`)
      }
      this.#list.addSubnet(address, bits, version === 6 ? 'ipv6' : 'ipv4')
    }
  }

  has(address: string): boolean {
    if (address === '') return this.#unix
    const plain = unmapped(address)
    const version = isIP(plain)
    return version !== 0 && this.#list.check(plain, version === 6 ? 'ipv6' : 'ipv4')
  }

  /**
   * The client behind the proxies: the last address in Forwarded (RFC 7239), else in X-Forwarded-For, that is not a trusted proxy. What stands
   * before it was written by peers that are not trusted.
   * @throws IopaError 400 where both are there and name different clients: a proxy writes one of them, and lets pass what its client says in the other.
   */
  read(header: (name: string) => string[], peer: { readonly address: string; readonly port: number; readonly scheme: string }): Forwarded {
    const standard = elementsOf(header('forwarded').join(','))
    const field = (parameter: string, name: string): string[] =>
      standard === null ? listOf(header(name)) : standard.map(element => element.get(parameter) ?? '')
    const { address, port, hops } = this.#client(field('for', 'x-forwarded-for'), peer)
    const older = standard === null ? [] : listOf(header('x-forwarded-for'))
    if (older.length > 0 && this.#client(older, peer).address !== address)
      throw new IopaError(
        400,
        'forwarded-conflict',
        'Forwarded and X-Forwarded-For name different clients; let the proxy remove the one that it does not write.'
      )
    const scheme = fromHop(field('proto', 'x-forwarded-proto'), hops)?.toLowerCase()
    return {
      address,
      port,
      scheme: scheme === 'http' || scheme === 'https' ? scheme : peer.scheme,
      host: fromHop(field('host', 'x-forwarded-host'), hops) ?? ''
    }
  }

  /** The last address of a chain that is not a trusted proxy, and how many entries lie behind it. */
  #client(chain: readonly string[], peer: { readonly address: string; readonly port: number }): { address: string; port: number; hops: number } {
    let { address, port } = peer
    let hops = 0
    for (let at = chain.length - 1; at >= 0 && this.has(address); at--) {
      const node = nodeOf(chain[at] as string)
      if (node === null) break
      address = node.address
      port = node.port
      hops++
    }
    return { address, port, hops }
  }
}

const listOf = (values: readonly string[]): string[] =>
  values
    .join(',')
    .split(',')
    .map(value => value.trim())
    .filter(value => value !== '')

// One parameter of Forwarded with what ends it: a token or a quoted string (RFC 7239 section 4), of which quotes and brackets need no escape.
const PARAMETER = /[\t ]*([!#$%&'*+.^_`|~\w-]+)=(?:([!#$%&'*+.^_`|~\w-]+)|"((?:[^"\\]|\\.)*)")[\t ]*(;|,|$)/y

/** The elements of Forwarded, one for each proxy. Null without the field; malformed it says nothing of any proxy, and X-Forwarded-* does not either. */
const elementsOf = (text: string): Map<string, string>[] | null => {
  if (text === '') return null
  const elements = [new Map<string, string>()]
  PARAMETER.lastIndex = 0
  while (PARAMETER.lastIndex < text.length) {
    const parts = PARAMETER.exec(text)
    if (parts === null) return []
    const [, name = '', token, quoted = '', end] = parts
    const element = elements[elements.length - 1] as Map<string, string>
    // A parameter occurs once in an element.
    if (element.has(name.toLowerCase())) return []
    element.set(name.toLowerCase(), token ?? quoted.replace(/\\(.)/g, '$1'))
    if (end === ',') elements.push(new Map())
  }
  return elements
}

/** Of a list to which every proxy adds, what the outermost trusted one has written; a list of one was set by the nearest. */
const fromHop = (values: readonly string[], hops: number): string | undefined => values[Math.max(0, values.length - Math.max(1, hops))] || undefined

/** Address and port of `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`. */
const nodeOf = (text: string): { readonly address: string; readonly port: number } | null => {
  if (isIP(text) !== 0) return { address: unmapped(text), port: 0 }
  const parts = /^(?:\[(.+)\]|([\d.]+))(?::(\d{1,5}))?$/.exec(text)
  const address = parts?.[1] ?? parts?.[2] ?? ''
  return isIP(address) === 0 ? null : { address: unmapped(address), port: Number(parts?.[3] ?? 0) }
}

/** An IPv4 address that a socket of both families shows as IPv6. */
export const unmapped = (address: string): string =>
  address.toLowerCase().startsWith('::ffff:') && isIP(address.slice(7)) === 4 ? address.slice(7) : address

/**
 * The clients behind trusted proxies, by their address. A proxy's connections are those of many clients, so what one
 * client may have is counted by its requests in work; each of them holds a connection of the proxy.
 */
export class ProxiedClients {
  readonly #limit: number
  readonly #refused: () => void
  readonly #requests = new Map<string, number>()

  /** A client may have `limit` requests in work, those that observe included; `refused` is called for each one beyond. */
  constructor(limit: number, refused: () => void) {
    this.#limit = limit
    this.#refused = refused
  }

  /** Counts a request in. @throws IopaError 503 over the limit; clients on loopback are not counted, as for connections. */
  enter(address: string): void {
    if (isLoopback(address)) return
    const requests = this.#requests.get(address) ?? 0
    if (requests >= this.#limit) {
      this.#refused()
      throw new IopaError(503, 'too-many-connections', 'This client has reached its limit of connections: close some of them.', {
        headers: { 'retry-after': '10' }
      })
    }
    this.#requests.set(address, requests + 1)
  }

  /** Counts a request out that was counted in. */
  leave(address: string): void {
    const requests = this.#requests.get(address) ?? 0
    if (requests > 1) this.#requests.set(address, requests - 1)
    else this.#requests.delete(address)
  }
}
