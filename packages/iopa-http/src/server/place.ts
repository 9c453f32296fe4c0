import { type ByteAddress, type Limits, optionError, proxiedBy, requiredPort } from '@iopa/transport'
import type { HttpOptions } from '../options.ts'

const FIRST_DESCRIPTOR = 3

/** Where a listener listens: an address, a UNIX socket or a descriptor. @throws IopaError 500 for none, or for several. */
export const placeOf = ({ host = '127.0.0.1', port, path, mode, fd, tls }: HttpOptions): ByteAddress => {
  if (path !== undefined || fd !== undefined) {
    if (port !== undefined || (path !== undefined && fd !== undefined))
      throw optionError('http() listens on one of port, path and fd: give one of them.')
  }
  if (mode !== undefined && path === undefined) throw optionError('The option mode of http() has a meaning only with path.')
  if (path !== undefined) {
    if (tls !== undefined) throw optionError('http() speaks no TLS on a UNIX socket: nobody between the two ends can read it.')
    if (path === '' || path.includes('\0')) throw optionError('The path of http() must be that of a file.')
    return { host, port: 0, path, mode }
  }
  if (fd !== undefined) return { host, port: 0, fd: fd === 'systemd' ? inherited() : fd }
  return { host, port: requiredPort('http', port) }
}

/** The socket that systemd has given to this process (sd_listen_fds). @throws IopaError 500 where it has given none. */
const inherited = (): number => {
  const { LISTEN_PID, LISTEN_FDS } = process.env
  if (Number(LISTEN_PID) !== process.pid || !(Number(LISTEN_FDS) >= 1))
    throw optionError("http({ fd: 'systemd' }) found no socket of systemd: LISTEN_PID and LISTEN_FDS do not name this process.")
  return FIRST_DESCRIPTOR
}

/** Which proxies begin with a header, and how long they may take. @throws IopaError 500 where no peer has an address */
export const proxyProtocolOf = ({ proxyProtocol, path }: HttpOptions, limits: Limits): ByteAddress['proxyProtocol'] => {
  if (proxyProtocol !== undefined && path !== undefined)
    throw optionError('The option proxyProtocol of http() needs peers with addresses: leave it out with path.')
  return proxiedBy(proxyProtocol, limits)
}
