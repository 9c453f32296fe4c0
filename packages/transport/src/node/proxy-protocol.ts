import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net'
import { optionError } from '../arguments/arguments.ts'
import type { ProxiedEnds, SocketLike } from './socket-channel.ts'

/** A header that was read: its length in bytes, and the ends; null for a connection of the proxy itself, such as a health check. */
export interface ProxyHeader {
  readonly length: number
  readonly ends: ProxiedEnds | null
}

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const FIRST_LINE = Buffer.from('PROXY ', 'latin1')
/** Bytes of a line with its end (section 2.1). */
const LONGEST_LINE = 107
/** Bytes of a binary header: addresses, and the TLVs of load balancers. */
const LONGEST_HEADER = 4096
const LINE = /^PROXY (?:(UNKNOWN)(?: .*)?|(TCP[46]) (\S+) (\S+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4}))$/

/** Reads a header of the PROXY protocol, version 1 or 2. Null while more has to come; undefined for what is none. */
const proxyHeader = (bytes: Buffer): ProxyHeader | null | undefined => {
  if (startsAs(bytes, FIRST_LINE)) return lineIn(bytes)
  return startsAs(bytes, SIGNATURE) ? binaryIn(bytes) : undefined
}

const startsAs = (bytes: Buffer, start: Buffer): boolean => {
  const length = Math.min(bytes.length, start.length)
  return bytes.compare(start, 0, length, 0, length) === 0
}

const lineIn = (bytes: Buffer): ProxyHeader | null | undefined => {
  const end = bytes.subarray(0, LONGEST_LINE).indexOf('\r\n')
  if (end < 0) return bytes.length < LONGEST_LINE ? null : undefined
  const [, unknown, family, source = '', target = '', from, to] = LINE.exec(bytes.toString('latin1', 0, end)) ?? []
  const length = end + 2
  if (unknown !== undefined) return { length, ends: null }
  const isAddress = family === 'TCP4' ? isIPv4 : isIPv6
  const [remotePort, localPort] = [Number(from), Number(to)]
  // A zone names an interface of the other machine.
  if (family === undefined || !isAddress(source) || !isAddress(target) || `${source}${target}`.includes('%')) return undefined
  if (remotePort > 65_535 || localPort > 65_535) return undefined
  return { length, ends: { remoteAddress: source, remotePort, localAddress: target, localPort } }
}

const binaryIn = (bytes: Buffer): ProxyHeader | null | undefined => {
  if (bytes.length < 16) return null
  const command = bytes.readUInt8(12)
  const family = bytes.readUInt8(13)
  const length = 16 + bytes.readUInt16BE(14)
  if (command >> 4 !== 2 || (command & 15) > 1 || length > LONGEST_HEADER) return undefined
  if (bytes.length < length) return null
  // LOCAL, and families that are no TCP over IP, leave the ends as they are (section 2.2).
  const size = family === 0x11 ? 4 : family === 0x21 ? 16 : 0
  if ((command & 15) === 0 || size === 0) return { length, ends: null }
  if (length < 16 + 2 * size + 4) return undefined
  const address = (at: number): string => (size === 4 ? [...bytes.subarray(at, at + 4)].join('.') : addressOf(bytes.subarray(at, at + 16)))
  const ports = 16 + 2 * size
  return {
    length,
    ends: {
      remoteAddress: address(16),
      localAddress: address(16 + size),
      remotePort: bytes.readUInt16BE(ports),
      localPort: bytes.readUInt16BE(ports + 2)
    }
  }
}

/** An address of IPv6 in its usual form (RFC 5952), which limits and logs count by. */
const addressOf = (bytes: Buffer): string => {
  const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(2 * at).toString(16))
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}

/** The peers that must begin with a header. */
export class ProxyPeers {
  readonly #list = new BlockList()

  /** `peers` are addresses, subnets or `loopback`. @throws IopaError 500 for anything else, and for none */
  constructor(peers: readonly string[]) {
    if (!Array.isArray(peers) || peers.length === 0)
      throw optionError("'proxyProtocol' must list the proxies that speak it: addresses, subnets or 'loopback'.")
    for (const peer of peers.flatMap(name => (name === 'loopback' ? ['127.0.0.0/8', '::1/128'] : [name]))) {
      const [address = '', prefix] = String(peer).split('/')
      const version = isIP(address)
      const most = version === 6 ? 128 : 32
      const bits = prefix === undefined ? most : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1
      if (version === 0 || bits < 0 || bits > most)
        throw optionError(`'${peer}' in proxyProtocol is no address and no subnet; write '10.0.0.1', '10.0.0.0/8' or 'loopback'.`)
      this.#list.addSubnet(address, bits, version === 6 ? 'ipv6' : 'ipv4')
    }
  }

  has({ remoteAddress = '' }: SocketLike): boolean {
    const plain = remoteAddress.replace(/^::ffff:(?=[\d.]+$)/i, '')
    const version = isIP(plain)
    return version !== 0 && this.#list.check(plain, version === 6 ? 'ipv6' : 'ipv4')
  }
}

/** A socket whose bytes can be read one by one, and put back. */
export interface ReadableSocket extends SocketLike {
  read(): Uint8Array | null
  unshift(bytes: Uint8Array): void
  off(event: string, listener: (...values: never[]) => void): unknown
}

/** Reads headers from sockets, before anything else does. */
export class ProxyHeaders {
  readonly #timeout: number
  readonly #open = new Set<SocketLike>()

  /** `timeout` is the time for a header in milliseconds. */
  constructor(timeout: number) {
    this.#timeout = timeout
  }

  /** Connections whose header has not come. */
  get size(): number {
    return this.#open.size
  }

  /** Calls `done` with the header; without one in time, or with one that is malformed, the connection is closed. */
  read(socket: ReadableSocket, done: (header: ProxyHeader) => void): void {
    let bytes = Buffer.alloc(0)
    const rest = (): void => {
      clearTimeout(timer)
      this.#open.delete(socket)
      socket.off('readable', readable)
      socket.off('end', fail)
      socket.off('close', rest)
    }
    const fail = (): void => {
      rest()
      socket.destroy()
    }
    const readable = (): void => {
      for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) {
        bytes = Buffer.concat([bytes, chunk])
        const header = proxyHeader(bytes)
        if (header === undefined) {
          fail()
          return
        }
        if (header === null) continue
        rest()
        if (bytes.length > header.length) socket.unshift(bytes.subarray(header.length))
        done(header)
        return
      }
    }
    // The network has no clock of its own; the timer keeps no process alive.
    const timer = setTimeout(fail, this.#timeout)
    timer.unref?.()
    this.#open.add(socket)
    socket.on('error', () => undefined)
    socket.on('readable', readable)
    socket.on('end', fail)
    socket.on('close', rest)
  }

  destroy(): void {
    for (const socket of [...this.#open]) socket.destroy()
  }
}
