import { lookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { networkInterfaces } from 'node:os'

/** The first address of a name, as the system knows it. */
export const resolveName = async (host: string): Promise<string> => (await lookup(host)).address

// Loopback, link-local, multicast, broadcast and unspecified addresses (RFC 6890), and translation prefixes whose IPv4 address stands elsewhere (RFC 8215).
const SPECIAL_NETWORKS: readonly (readonly [address: string, bits: number])[] = [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 3],
  ['::', 96],
  ['fe80::', 10],
  ['ff00::', 8],
  ['64:ff9b:1::', 48]
]

const familyOf = (address: string): 'ipv4' | 'ipv6' => (address.includes(':') ? 'ipv6' : 'ipv4')

const listOf = (networks: readonly (readonly [string, number])[]): BlockList => {
  const list = new BlockList()
  for (const [address, bits] of networks) list.addSubnet(address, bits, familyOf(address))
  return list
}

const SPECIAL = listOf(SPECIAL_NETWORKS)

/** The eight groups of an IPv6 address in its compressed spelling. */
const groupsOf = (address: string): number[] => {
  const [left = '', right] = address.split('::')
  const groups = (text: string | undefined): number[] =>
    text === undefined || text === '' ? [] : text.split(':').map(group => Number.parseInt(group, 16))
  const [before, after] = [groups(left), groups(right)]
  return [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after]
}

const dotted = (high: number, low: number): string => `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`

const startsWith = (groups: readonly number[], ...prefix: readonly number[]): boolean => prefix.every((group, at) => group === groups[at])

/** One spelling for each address: without zone, in lower case, and as IPv4 where it is a mapped one (RFC 4291 section 2.5.5.2). */
export const canonicalAddress = (address: string): string => {
  const bare = address.replace(/%.*$/, '').toLowerCase()
  if (isIP(bare) !== 6) return bare
  const text = new URL(`http://[${bare}]`).hostname.slice(1, -1)
  const groups = groupsOf(text)
  return startsWith(groups, 0, 0, 0, 0, 0, 0xffff) ? dotted(groups[6] as number, groups[7] as number) : text
}

/** The IPv4 address that a network translates an address to: NAT64 (RFC 6052) and 6to4 (RFC 3056); the address itself where there is none. */
const translated = (address: string): string => {
  if (familyOf(address) === 'ipv4') return address
  const groups = groupsOf(address)
  if (startsWith(groups, 0x64, 0xff9b, 0, 0, 0, 0)) return dotted(groups[6] as number, groups[7] as number)
  return startsWith(groups, 0x2002) ? dotted(groups[1] as number, groups[2] as number) : address
}

/** True for an address that targets have to name, and for what is no address. */
export const isSpecial = (address: string): boolean => {
  const one = canonicalAddress(address)
  if (isIP(one) === 0) return true
  return [one, translated(one)].some(each => SPECIAL.check(each, familyOf(each)))
}

/** Networks in CIDR notation. A special address is in one only if that lies within the special network itself: 0.0.0.0/0 names no loopback. */
export class Networks {
  // A list of both families takes IPv4 addresses for IPv6 ones: ::/0 would have them all.
  readonly #ordinary = { ipv4: new BlockList(), ipv6: new BlockList() }
  readonly #special = { ipv4: new BlockList(), ipv6: new BlockList() }

  /** Adds a network; false for what is none. */
  add(given: string, length: number): boolean {
    const version = isIP(given)
    if (version === 0 || !Number.isInteger(length) || length < 0 || length > (version === 4 ? 32 : 128)) return false
    const one = canonicalAddress(given)
    const isMapped = version === 6 && familyOf(one) === 'ipv4' && length >= 96
    const [address, bits] = isMapped ? [one, length - 96] : [given, length]
    const isNamed = SPECIAL_NETWORKS.some(([special, least]) => bits >= least && listOf([[special, least]]).check(address, familyOf(address)))
    const lists = isNamed ? this.#special : this.#ordinary
    lists[familyOf(address)].addSubnet(address, bits, familyOf(address))
    return true
  }

  has(address: string): boolean {
    const one = canonicalAddress(address)
    if (isIP(one) === 0) return false
    const family = familyOf(one)
    return this.#special[family].check(one, family) || (!isSpecial(one) && this.#ordinary[family].check(one, family))
  }
}

const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::'])

/** True where one of these listeners of the app is at an address and port. */
export const isOwnListener = (address: string, port: number, listeners: Iterable<string>): boolean => {
  const one = canonicalAddress(address)
  for (const text of listeners) {
    const url = URL.canParse(text) ? new URL(text) : undefined
    if (url === undefined || Number(url.port || DEFAULT_PORTS[url.protocol]) !== port) continue
    const host = canonicalAddress(url.hostname.replace(/^\[|\]$/g, ''))
    if (host === one || WILDCARDS.has(one) || (WILDCARDS.has(host) && isOfThisMachine(one))) return true
  }
  return false
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = {
  'coap:': 5683,
  'coap+tcp:': 5683,
  'coaps:': 5684,
  'coaps+tcp:': 5684,
  'http:': 80,
  'https:': 443
}

// All of 127.0.0.0/8 leads here, and no interface names more than one of it.
const isOfThisMachine = (address: string): boolean =>
  address.startsWith('127.') || Object.values(networkInterfaces()).some(list => list?.some(own => canonicalAddress(own.address) === address))
