import { isIP } from 'node:net'
import { optionError } from '@iopa/appbuilder/extension'
import { canonicalAddress, Networks } from './addresses.ts'

/** A server that requests go to. */
export interface Target {
  /** Without a colon. */
  readonly scheme: string
  /** A name in lower case, or an address without brackets. */
  readonly host: string
  readonly port: number
  /** True for an address, false for a name. */
  readonly literal: boolean
  /** Host and port as they are spelled in a path: without the port that the scheme has by itself. */
  readonly authority: string
  /** Scheme, host and port: one target has one. */
  readonly key: string
}

const DEFAULT_PORT: Readonly<Record<string, number>> = { coap: 5683, 'coap+tcp': 5683, coaps: 5684, 'coaps+tcp': 5684 }
const HOST_AND_PORT = /^(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9](?:[a-z0-9._-]{0,253}[a-z0-9])?))(?::(\d{1,5}))?$/

/** Reads scheme and authority; undefined for what names no server of CoAP. */
export const targetOf = (scheme: string, text: string): Target | undefined => {
  const standard = Object.hasOwn(DEFAULT_PORT, scheme) ? DEFAULT_PORT[scheme] : undefined
  const [, address, name, digits] = HOST_AND_PORT.exec(text.toLowerCase()) ?? []
  const given = address ?? name
  if (standard === undefined || given === undefined) return undefined
  const port = digits === undefined ? standard : Number(digits)
  const version = isIP(given)
  if (port < 1 || port > 65_535 || (address !== undefined && version !== 6)) return undefined
  // One IPv6 address has many spellings.
  const hostname = version === 6 ? new URL(`http://[${given}]`).hostname : given
  // An IPv4 address has one name here, by which rules for paths know it.
  if (hostname.startsWith('[::ffff:') && isIP(canonicalAddress(hostname.slice(1, -1))) === 4) return undefined
  const host = version === 6 ? hostname.slice(1, -1) : hostname
  const authority = port === standard ? hostname : `${hostname}:${port}`
  return { scheme, host, port, literal: version !== 0, authority, key: `${scheme}://${hostname}:${port}` }
}

/** Servers that one entry of `targets` stands for. */
interface TargetRule {
  readonly scheme: string
  readonly firstPort: number
  readonly lastPort: number
  /** The host, without brackets; for names below another one that, with a dot before it. */
  readonly host: string
  /** The addresses, in place of a host. */
  readonly networks?: Networks
}

/** The servers that the proxy may ask. */
export class Targets {
  readonly #keys = new Set<string>()
  readonly #rules: readonly TargetRule[]

  /** @throws IopaError 500 for what stands for no server of CoAP. */
  constructor(given: readonly (string | URL)[]) {
    if (!Array.isArray(given)) throw optionError("coapProxy() needs for targets a list, such as ['coap://192.0.2.7'].")
    const rules: TargetRule[] = []
    for (const one of given) {
      const entry = entryOf(String(one))
      if ('key' in entry) this.#keys.add(entry.key)
      else rules.push(entry)
    }
    this.#rules = rules
  }

  allows(target: Target): boolean {
    return this.names(target) || this.#rules.some(rule => fits(rule, target))
  }

  /** True for a target that stands in the list by itself, so that its address needs no check. */
  names({ key }: Target): boolean {
    return this.#keys.has(key)
  }
}

const fits = ({ scheme, firstPort, lastPort, host, networks }: TargetRule, target: Target): boolean => {
  if (target.scheme !== scheme || target.port < firstPort || target.port > lastPort) return false
  if (networks !== undefined) return target.literal && networks.has(target.host)
  if (!host.startsWith('.')) return target.host === host
  // One label, as in certificates (RFC 9525 section 6.3).
  return !target.literal && target.host.endsWith(host) && !target.host.slice(0, -host.length).includes('.')
}

const ENTRY = /^([a-z+]+):\/\/(\*\.)?(\[[^\]]+\]|[^:/?#*[\]]+)(?::(\*|(\d{1,5})-(\d{1,5})|\d{1,5}))?(?:\/(\d{1,3})?)?$/i

const entryOf = (text: string): Target | TargetRule => {
  const [, given = '', wildcard, hostname = '', ports, first, last, bits] = ENTRY.exec(text) ?? []
  const scheme = given.toLowerCase()
  const isRange = ports === '*' || first !== undefined
  const target = targetOf(scheme, ports === undefined || isRange ? hostname : `${hostname}:${ports}`)
  const [firstPort, lastPort] = portsOf(ports, first, last) ?? [target?.port ?? 0, target?.port ?? 0]
  if (target === undefined || firstPort < 1 || lastPort < firstPort || lastPort > 65_535 || (target.literal && wildcard !== undefined))
    throw wrong(text)
  // A certificate names the host, and the connection goes to the address that was checked.
  if (!target.literal && scheme.startsWith('coaps'))
    throw optionError(`'${text}' of targets has a name: coapProxy() opens ${scheme}: to addresses alone, such as coaps://192.0.2.7.`)
  const { host } = target
  if (bits === undefined) {
    if (wildcard === undefined && !isRange) return target
    return { scheme, firstPort, lastPort, host: wildcard === undefined ? host : `.${host}` }
  }
  const networks = new Networks()
  if (wildcard !== undefined || !networks.add(host, Number(bits))) throw wrong(text)
  return { scheme, firstPort, lastPort, host, networks }
}

const portsOf = (ports: string | undefined, first: string | undefined, last: string | undefined): readonly [number, number] | undefined => {
  if (ports === '*') return [1, 65_535]
  return first === undefined ? undefined : [Number(first), Number(last)]
}

const wrong = (text: string): Error =>
  optionError(
    `'${text}' of targets is no scheme, host and port of CoAP: write one such as coap://192.0.2.7, coap+tcp://sensor.example:5685, coap://*.example.org:5683-5690 or coap://192.0.2.0/24.`
  )
