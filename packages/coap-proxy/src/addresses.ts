import { lookup } from 'node:dns/promises'
import { BlockList } from 'node:net'
import { networkInterfaces } from 'node:os'

/** The first address of a name, as the system knows it. */
export const resolveName = async (host: string): Promise<string> => (await lookup(host)).address

// Loopback, link-local, multicast, broadcast and unspecified addresses (RFC 6890): a name must not lead there. IPv4 rules hold for mapped addresses too.
const SPECIAL = new BlockList()
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 3]
] as const)
  SPECIAL.addSubnet(network, bits, 'ipv4')
for (const [network, bits] of [
  ['::', 127],
  ['fe80::', 10],
  ['ff00::', 8]
] as const)
  SPECIAL.addSubnet(network, bits, 'ipv6')

const bare = (address: string): string => address.replace(/%.*$/, '').toLowerCase()

/** True for an address that a target reaches as literal alone. */
export const isSpecial = (address: string): boolean => SPECIAL.check(bare(address), address.includes(':') ? 'ipv6' : 'ipv4')

const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::'])

/** True where one of these listeners of the app is at an address and port. */
export const isOwnListener = (address: string, port: number, listeners: Iterable<string>): boolean => {
  for (const text of listeners) {
    const url = URL.canParse(text) ? new URL(text) : undefined
    if (url === undefined || Number(url.port || DEFAULT_PORTS[url.protocol]) !== port) continue
    const host = bare(url.hostname.replace(/^\[|\]$/g, ''))
    if (host === bare(address) || (WILDCARDS.has(host) && isOfThisMachine(address))) return true
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

const isOfThisMachine = (address: string): boolean =>
  Object.values(networkInterfaces()).some(list => list?.some(own => bare(own.address) === bare(address)))
