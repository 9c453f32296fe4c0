const MAPPED = /^::ffff:(?=\d+\.)/i

/** The groups of 16 bits that an IPv6 address begins with, as many as are asked for. */
const prefixOf = (address: string, count: number): string => {
  const zone = address.indexOf('%')
  const plain = zone < 0 ? address : address.slice(0, zone)
  const gap = plain.indexOf('::')
  const given = (gap < 0 ? plain : plain.slice(0, gap)).split(':')
  if (gap < 0) return normal(given.slice(0, count))
  const head = gap === 0 ? [] : given
  const tail = plain
    .slice(gap + 2)
    .split(':')
    .filter(group => group !== '')
  while (head.length + tail.length < 8) head.push('0')
  return normal([...head, ...tail].slice(0, count))
}

const normal = (groups: readonly string[]): string => groups.map(group => group.toLowerCase().replace(/^0+(?=.)/, '')).join(':')

/** What an address is counted by: IPv4 by itself, IPv6 by its network of 64 bits, within which a host chooses freely (RFC 4291 section 2.5.4). */
export const callerOf = (address: string): string => {
  if (!address.includes(':')) return address
  return MAPPED.test(address) ? address.replace(MAPPED, '') : `${prefixOf(address, 4)}::/64`
}

/** The network that a caller of `callerOf` may have many of: 24 bits of IPv4, 48 of IPv6, what one customer of a provider is given at most. */
export const networkOf = (caller: string): string => {
  if (!caller.endsWith('::/64')) return caller.slice(0, caller.lastIndexOf('.') + 1)
  return caller.split(':', 3).join(':')
}
