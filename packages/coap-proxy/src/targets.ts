import { isIP } from 'node:net'
import { optionError } from '@iopa/appbuilder/extension'

/** A server that requests go to. */
export interface Target {
  /** Without a colon. */
  readonly scheme: string
  /** A name in lower case, or an address without brackets. */
  readonly host: string
  readonly port: number
  /** True for an address, false for a name. */
  readonly literal: boolean
  /** Scheme, host and port: one target has one. */
  readonly key: string
}

const DEFAULT_PORT: Readonly<Record<string, number>> = { coap: 5683, 'coap+tcp': 5683, coaps: 5684, 'coaps+tcp': 5684 }
const HOST_AND_PORT = /^(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9](?:[a-z0-9._-]{0,253}[a-z0-9])?))(?::(\d{1,5}))?$/

/** Reads scheme and authority; undefined for what names no server of CoAP. */
export const targetOf = (scheme: string, authority: string): Target | undefined => {
  const standard = Object.hasOwn(DEFAULT_PORT, scheme) ? DEFAULT_PORT[scheme] : undefined
  const [, address, name, digits] = HOST_AND_PORT.exec(authority.toLowerCase()) ?? []
  const given = address ?? name
  if (standard === undefined || given === undefined) return undefined
  const port = digits === undefined ? standard : Number(digits)
  const version = isIP(given)
  if (port < 1 || port > 65_535 || (address !== undefined && version !== 6)) return undefined
  // One IPv6 address has many spellings.
  const host = version === 6 ? new URL(`http://[${given}]`).hostname.slice(1, -1) : given
  return { scheme, host, port, literal: version !== 0, key: `${scheme}://${version === 6 ? `[${host}]` : host}:${port}` }
}

/** The servers that the proxy may ask. */
export class Targets {
  readonly #keys: ReadonlySet<string>

  /** @throws IopaError 500 for what is no server of CoAP. */
  constructor(given: readonly (string | URL)[]) {
    if (!Array.isArray(given)) throw optionError("coapProxy() needs for targets a list, such as ['coap://192.0.2.7'].")
    this.#keys = new Set(given.map(target => keyOf(String(target))))
  }

  allows({ key }: Target): boolean {
    return this.#keys.has(key)
  }
}

const keyOf = (text: string): string => {
  const [, scheme = '', authority = ''] = /^([a-z+]+):\/\/([^/?#]+)\/?$/i.exec(text) ?? []
  const target = targetOf(scheme.toLowerCase(), authority)
  if (target === undefined)
    throw optionError(
      `'${text}' of targets is no scheme, host and port of CoAP: write one such as coap://192.0.2.7 or coap+tcp://sensor.example:5685.`
    )
  // A certificate names the host, and the connection goes to the address that was checked.
  if (!target.literal && target.scheme.startsWith('coaps'))
    throw optionError(`'${text}' of targets has a name: coapProxy() opens ${target.scheme}: to addresses alone, such as coaps://192.0.2.7.`)
  return target.key
}
