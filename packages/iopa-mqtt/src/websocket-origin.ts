/** Names under which a browser reaches this machine itself. */
const LOOPBACK_NAMES = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/**
 * Whether a page of `origin` may connect: a client that is no browser sends none, pages of the host that the request names may, and so may
 * those that are listed. On a loopback address the host must be a name of this machine, for a foreign page can have its own name resolve
 * there (DNS rebinding).
 */
export const isOriginAllowed = (origin: string | undefined, host: string, localAddress: string, listed: readonly string[]): boolean => {
  if (origin === undefined) return true
  if (listed.some(one => one.replace(/\/$/, '').toLowerCase() === origin.toLowerCase())) return true
  if (!URL.canParse(origin) || !URL.canParse(`http://${host}`)) return false
  const page = new URL(origin)
  const asked = new URL(`${page.protocol}//${host}`)
  if (page.protocol !== 'http:' && page.protocol !== 'https:') return false
  if (page.host !== asked.host) return false
  return !isLoopbackAddress(localAddress) || LOOPBACK_NAMES.test(asked.hostname)
}

const isLoopbackAddress = (address: string): boolean => address === '::1' || /^(::ffff:)?127\./.test(address)
