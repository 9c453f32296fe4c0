/** An end of a network. */
export interface NetworkAddress {
  readonly address: string
  readonly port: number
}

/** `address:port`, with brackets around an IPv6 address. */
export const keyOf = (address: string, port: number): string => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`)

/** The address that a host to bind or to reach stands for, seen from a machine. */
export function resolveHost(host: string, machine: string): string {
  if (host === '' || host === '0.0.0.0' || host === '::') return machine
  return host === 'localhost' ? '127.0.0.1' : host.replace(/^\[(.*)\]$/, '$1')
}

/** An error as `node:net` and `node:dgram` would give it. */
export const systemError = (code: string, call: string, at: string): Error =>
  Object.assign(new Error(`${call} ${code} ${at}`), { code, syscall: call })
