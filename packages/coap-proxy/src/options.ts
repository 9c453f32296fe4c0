import { checkOptions, type OptionCheck, optionError } from '@iopa/appbuilder/extension'
import type { Client, ConnectOptions } from '@iopa/transport'
import { Networks, resolveName } from './addresses.ts'
import type { CredentialsFor } from './credentials.ts'
import { Targets } from './targets.ts'

/** Opens clients: an app that uses `coap()`. */
export interface UpstreamClient {
  connect(url: string | URL, options?: ConnectOptions): Promise<Client>
}

/** How much is kept of answers. */
export interface CacheBounds {
  /** Most answers; 1,000 unless given. */
  readonly entries?: number
  /** Most bytes of all of them; 8 MiB unless given. An answer of more than 64 KiB, or of more than an eighth of it, is not kept. */
  readonly size?: number
}

/** Options of `coapProxy()`. */
export interface CoapProxyOptions {
  /** The servers that requests may go to: scheme, host and port; or `coap://*.example.org`, a range of ports, or a network. None unless given. */
  readonly targets?: readonly (string | URL)[]
  /** The app that opens the connections to them; it uses `coap()`. */
  readonly client: UpstreamClient
  /** The path that stands before the URI of a target; `/hc` unless given. */
  readonly path?: string
  /** How many proxies a request may pass that does not say, from 1 to 255; 16 unless given (RFC 8768). */
  readonly hopLimit?: number
  /** Most servers with a connection at once, shared out to users and addresses; 64 unless given. */
  readonly connections?: number
  /** Milliseconds after which a connection that nothing uses is closed, and its name is looked up again; 60,000 unless given. */
  readonly idleTimeout?: number
  /** Milliseconds to find a name, to connect, and for each request; as `connect()` of the client unless given. */
  readonly timeout?: number
  /** Most observations of servers at once, shared out to users and addresses; 1,000 unless given. */
  readonly observations?: number
  /** Most bytes of an answer, which is passed on while it comes; 64 MiB unless given. */
  readonly largestAnswer?: number
  /** What is kept of answers; false for nothing. */
  readonly cache?: CacheBounds | false
  /** Credentials for a server. None of the user's go to it: no Authorization, no cookies. */
  readonly credentials?: CredentialsFor
  /** The networks in which the addresses of names may be, in CIDR notation; all but special ones unless given. */
  readonly networks?: readonly string[]
  /** Finds the address of a name; the system does unless given. */
  readonly lookup?: (host: string) => Promise<string>
}

const OPTIONS: Record<keyof CoapProxyOptions, OptionCheck> = {
  targets: true,
  client: true,
  path: 'text',
  hopLimit: true,
  connections: true,
  idleTimeout: true,
  timeout: true,
  observations: true,
  largestAnswer: true,
  cache: true,
  credentials: 'function',
  networks: true,
  lookup: 'function'
}

const CACHE_OPTIONS: Record<keyof CacheBounds, true> = { entries: true, size: true }

/** The options with their defaults. */
export interface CoapProxySettings {
  readonly targets: Targets
  readonly client: UpstreamClient
  readonly path: string
  readonly hopLimit: number
  readonly connections: number
  readonly idleTimeout: number
  readonly timeout: number | undefined
  readonly observations: number
  readonly largestAnswer: number
  /** Undefined where nothing is kept. */
  readonly cache: Required<CacheBounds> | undefined
  readonly credentials: CredentialsFor | undefined
  /** Undefined for all that are not special. */
  readonly networks: Networks | undefined
  readonly lookup: (host: string) => Promise<string>
}

const whole = (name: string, value: number, most: number): number => {
  if (Number.isInteger(value) && value >= 1 && value <= most) return value
  throw optionError(`coapProxy() needs for ${name} a whole number from 1 to ${most}, not ${String(value)}.`)
}

const LONGEST_TIME = 2_147_483_647
const MOST = 1_000_000
// What needs no escape, in whole segments.
const PATH = /^(?:\/[\w.~-]*[\w~-][\w.~-]*)+$/

/** Checks the options. @throws IopaError 500 that names the one that is wrong. */
export const settingsOf = (options: CoapProxyOptions, caller: unknown): CoapProxySettings => {
  checkOptions('coapProxy()', options, OPTIONS, caller)
  const { targets = [], client, path = '/hc', hopLimit = 16, connections = 64, idleTimeout = 60_000, timeout, observations = 1000 } = options
  if (typeof client?.connect !== 'function') throw optionError('coapProxy() needs for client an app that uses coap().')
  if (!PATH.test(path)) throw optionError(`coapProxy() needs for path one such as '/hc', not '${path}'.`)
  return {
    targets: new Targets(targets),
    client,
    path,
    hopLimit: whole('hopLimit', hopLimit, 255),
    connections: whole('connections', connections, MOST),
    idleTimeout: whole('idleTimeout', idleTimeout, LONGEST_TIME),
    timeout: timeout === undefined ? undefined : whole('timeout', timeout, LONGEST_TIME),
    observations: whole('observations', observations, MOST),
    largestAnswer: whole('largestAnswer', options.largestAnswer ?? 64 * 1024 * 1024, Number.MAX_SAFE_INTEGER),
    cache: cacheOf(options.cache ?? {}),
    credentials: options.credentials,
    networks: options.networks === undefined ? undefined : networksOf(options.networks),
    lookup: options.lookup ?? resolveName
  }
}

const cacheOf = (given: CacheBounds | false): Required<CacheBounds> | undefined => {
  if (given === false) return undefined
  checkOptions('cache of coapProxy()', given, CACHE_OPTIONS, cacheOf)
  const { entries = 1000, size = 8 * 1024 * 1024 } = given
  return { entries: whole('cache.entries', entries, MOST), size: whole('cache.size', size, Number.MAX_SAFE_INTEGER) }
}

const networksOf = (given: readonly string[]): Networks => {
  if (!Array.isArray(given)) throw optionError("coapProxy() needs for networks a list, such as ['10.0.0.0/8'].")
  const networks = new Networks()
  for (const text of given) {
    const [, address = '', bits = ''] = /^([0-9a-f:.]+)\/(\d{1,3})$/i.exec(String(text)) ?? []
    if (!networks.add(address, bits === '' ? -1 : Number(bits)))
      throw optionError(`'${text}' of networks is no network: write one such as 10.0.0.0/8 or fd00::/8.`)
  }
  return networks
}
