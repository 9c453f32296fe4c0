const MAPPED = /^::ffff:(?:(\d+\.\d+\.\d+\.\d+)|([\da-f]{1,4}):([\da-f]{1,4}))$/

/**
 * What an address is counted by, where each may have a share: IPv4 by itself, also where it is mapped into IPv6 (RFC 4291 section 2.5.5.2), and IPv6 by its
 * network of 64 bits, within which a host chooses freely (section 2.5.4), as `2001:db8:0:1::/64`.
 */
export const addressGroup = (address: string): string => {
  if (!address.includes(':')) return address
  const [plain = ''] = address.toLowerCase().split('%')
  const mapped = MAPPED.exec(plain)
  if (mapped !== null) return mapped[1] ?? `${dotted(mapped[2] as string)}.${dotted(mapped[3] as string)}`
  const [head = '', tail] = plain.split('::')
  const groups = head === '' ? [] : head.split(':')
  if (tail !== undefined) {
    const last = tail === '' ? [] : tail.split(':')
    while (groups.length + last.length < 8) groups.push('0')
    groups.push(...last)
  }
  const network = groups.slice(0, 4).map(group => group.replace(/^0+(?=.)/, ''))
  return `${network.join(':')}::/64`
}

/** The two bytes of a group of an IPv6 address, as in IPv4. */
const dotted = (group: string): string => {
  const value = Number.parseInt(group, 16)
  return `${value >> 8}.${value & 255}`
}
