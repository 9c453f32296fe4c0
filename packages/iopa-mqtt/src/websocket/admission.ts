import type { IncomingHttpHeaders } from 'node:http'
import { BlockList, isIP } from 'node:net'
import { optionError } from '@iopa/transport'

const LOOPBACK = ['127.0.0.0/8', '::1/128']

/** The proxies before a WebSocket listener whose X-Forwarded-For is believed. */
export class TrustedProxies {
  readonly #list = new BlockList()

  /** `proxies` are addresses, subnets or `loopback`. @throws IopaError 500 for anything else. */
  constructor(proxies: readonly string[]) {
    for (const proxy of proxies.flatMap(name => (name === 'loopback' ? LOOPBACK : [name]))) {
      const [address = '', prefix] = proxy.split('/')
      const version = isIP(address)
      const most = version === 6 ? 128 : 32
      const bits = prefix === undefined ? most : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1
      if (version === 0 || bits < 0 || bits > most) {
        throw optionError(`'${proxy}' in trustProxy is no address and no subnet; write '10.0.0.1', '10.0.0.0/8' or 'loopback'.`)
      }
      this.#list.addSubnet(address, bits, version === 6 ? 'ipv6' : 'ipv4')
    }
  }

  /** The client's address: the last in X-Forwarded-For that is no trusted proxy, for what stands before it is not from one. */
  clientOf(peer: string, headers: IncomingHttpHeaders): string {
    const chain = String(headers['x-forwarded-for'] ?? '').split(',')
    let address = peer
    for (let at = chain.length - 1; at >= 0 && this.#has(address); at--) {
      const next = addressOf((chain[at] as string).trim())
      if (next === null) break
      address = next
    }
    return address
  }

  #has(address: string): boolean {
    const plain = unmapped(address)
    const version = isIP(plain)
    return version !== 0 && this.#list.check(plain, version === 6 ? 'ipv6' : 'ipv4')
  }
}

/** The address of `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`. */
const addressOf = (text: string): string | null => {
  if (isIP(text) !== 0) return unmapped(text)
  const parts = /^(?:\[(.+)\]|([\d.]+))(?::\d{1,5})?$/.exec(text)
  const address = parts?.[1] ?? parts?.[2] ?? ''
  return isIP(address) === 0 ? null : unmapped(address)
}

/** An IPv4 address that a socket of both families shows as IPv6. */
const unmapped = (address: string): string =>
  address.toLowerCase().startsWith('::ffff:') && isIP(address.slice(7)) === 4 ? address.slice(7) : address

/** Names under which a browser reaches this machine itself. */
const LOOPBACK_NAMES = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/**
 * Whether a page of `origin` may connect. A client that is not a browser sends no Origin and may; so may pages of the host that the request
 * names, and pages that are listed. On a loopback address the host must be a name of this machine: a foreign page can have its own name
 * resolve to it (DNS rebinding). With `secure` the page must have come with TLS or without, as the listener says.
 */
export const isOriginAllowed = (
  origin: string | undefined,
  host: string,
  localAddress: string,
  listed: readonly string[],
  secure?: boolean
): boolean => {
  if (origin === undefined) return true
  if (listed.some(one => one.replace(/\/$/, '').toLowerCase() === origin.toLowerCase())) return true
  if (!URL.canParse(origin) || !URL.canParse(`http://${host}`)) return false
  const page = new URL(origin)
  const asked = new URL(`${page.protocol}//${host}`)
  if (page.protocol !== 'http:' && page.protocol !== 'https:') return false
  if (page.host !== asked.host) return false
  if (secure !== undefined && secure !== (page.protocol === 'https:')) return false
  return !isLoopbackAddress(localAddress) || LOOPBACK_NAMES.test(asked.hostname)
}

const isLoopbackAddress = (address: string): boolean => address === '::1' || /^(::ffff:)?127\./.test(address)
