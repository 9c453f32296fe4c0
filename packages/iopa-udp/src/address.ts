import { isIP, SocketAddress } from 'node:net'
import { IopaError } from '@iopa/transport'

/** An IP literal as the system writes it, or the address of a name. @throws IopaError 500 or 502 when the name has none. */
export async function addressOf(host: string, use: 'listen' | 'connect'): Promise<string> {
  const family = isIP(host)
  // A mapped address is an IPv4 one (RFC 4291 section 2.5.5.2), and its answers come from there.
  if (family === 6 && !host.includes('%')) return new SocketAddress({ address: host, family: 'ipv6' }).address.replace(/^::ffff:(?=[\d.]+$)/, '')
  if (family !== 0) return host
  const { lookup } = await import('node:dns/promises')
  try {
    return (await lookup(host)).address
  } catch (cause) {
    if (use === 'listen') throw new IopaError(500, 'bind-failed', `Cannot listen on ${host}: there is no address for this name.`, { cause })
    throw new IopaError(502, 'connect-failed', `Cannot connect to ${host}: there is no address for this name.`, { cause })
  }
}
