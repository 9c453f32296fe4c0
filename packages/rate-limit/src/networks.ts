/** The network that a group of addresses (`addressGroup`) is one of many in: 24 bits of IPv4, 48 of IPv6, what one customer of a provider is given at most. */
export const networkOf = (caller: string): string => {
  if (!caller.endsWith('::/64')) return caller.slice(0, caller.lastIndexOf('.') + 1)
  return caller.split(':', 3).join(':')
}
