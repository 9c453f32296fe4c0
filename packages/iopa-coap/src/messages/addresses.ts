import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { type Clock, type DatagramChannel, type DatagramNetwork, IopaError } from '@iopa/transport'
import { TYPE } from '../codec/message.ts'

/** How long each of several addresses may take to answer a ping, in milliseconds. */
const PATIENCE = 1000

/** The host of a URL, without the brackets of an IPv6 address. */
export const hostOf = (url: URL): string => decodeURIComponent(url.hostname).replace(/^\[|\]$/g, '')

/** An IPv4 address that is written as IPv6 one is the IPv4 address: datagrams from it say so (RFC 4291 section 2.5.5.2). */
const unmapped = (address: string): string => {
  const [, dotted, high, low] = /^::ffff:(?:(\d+\.\d+\.\d+\.\d+)|([0-9a-f]{1,4}):([0-9a-f]{1,4}))$/i.exec(address) ?? []
  if (dotted !== undefined) return dotted
  if (high === undefined || low === undefined) return address
  const [a, b] = [Number.parseInt(high, 16), Number.parseInt(low, 16)]
  return `${a >> 8}.${a & 255}.${b >> 8}.${b & 255}`
}

/** The addresses of a host. @throws IopaError 502 for a name that is unknown. */
export const addressesOf = async (host: string): Promise<string[]> => {
  if (isIP(host)) return [unmapped(host)]
  try {
    return [...new Set((await lookup(host, { all: true })).map(({ address }) => unmapped(address)))]
  } catch (error) {
    throw new IopaError(502, 'connect-failed', `Cannot connect to ${host}: there is no address for this name.`, { cause: error })
  }
}

/** The first address of a host. @throws IopaError 502 for a name that is unknown. */
export const addressOf = async (host: string): Promise<string> => (await addressesOf(host))[0]!

/** Where a client finds its server. */
export interface Destination {
  readonly host: string
  readonly port: number
  readonly network: DatagramNetwork
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
}

/** The address of a host that a server answers at: of several the first to answer a ping (RFC 7252 section 4.3), or the first of all where none does. */
export const destinationOf = async (destination: Destination): Promise<string> => {
  const addresses = await addressesOf(destination.host)
  return addresses.length === 1 ? addresses[0]! : firstToAnswer(addresses, destination)
}

/** The first of several addresses to answer a ping at a port. */
export const firstToAnswer = async (addresses: readonly string[], { port, network, clock, signal }: Omit<Destination, 'host'>): Promise<string> => {
  const channels: DatagramChannel[] = []
  const id = Math.floor(Math.random() * 0x10000)
  let done = false
  let timer: unknown
  let abort: (() => void) | undefined
  try {
    return await new Promise<string>((resolve, reject) => {
      abort = () => reject(signal?.reason)
      signal?.addEventListener('abort', abort, { once: true })
      timer = clock.setTimeout(() => resolve(addresses[0]!), PATIENCE, { keep: true })
      for (const address of addresses) {
        const ask = (channel: DatagramChannel): void => {
          if (done) {
            void channel.close()
            return
          }
          channels.push(channel)
          channel.open({
            message: (bytes, from) => {
              if (from === address && bytes.length === 4 && bytes[0] === 0x40 + (TYPE.RST << 4) && bytes[2] === id >> 8 && bytes[3] === (id & 255))
                resolve(address)
            },
            error: () => undefined
          })
          channel.send(Uint8Array.of(0x40, 0, id >> 8, id & 255), port, address)
        }
        // A machine without IPv6 cannot bind for it.
        network.bind({ host: address.includes(':') ? '::' : '0.0.0.0', port: 0 }).then(ask, () => undefined)
      }
    })
  } finally {
    done = true
    clock.clearTimeout(timer)
    if (abort !== undefined) signal?.removeEventListener('abort', abort)
    for (const channel of channels) void channel.close()
  }
}
