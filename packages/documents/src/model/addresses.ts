import { optionError } from '@iopa/appbuilder/extension'

/** Where clients reach an app on one protocol. */
export interface Address {
  readonly protocol: 'http' | 'coap' | 'mqtt'
  /** With a final slash only behind a path. */
  readonly url: string
}

const PROTOCOLS: Readonly<Record<string, Address['protocol']>> = {
  http: 'http',
  https: 'http',
  coap: 'coap',
  coaps: 'coap',
  'coap+tcp': 'coap',
  'coaps+tcp': 'coap',
  'coap+ws': 'coap',
  'coaps+ws': 'coap',
  mqtt: 'mqtt',
  mqtts: 'mqtt',
  ws: 'mqtt',
  wss: 'mqtt'
}

/** A transport, as an app tells of it. */
export interface DescribedTransport {
  readonly name: string
  readonly schemes: readonly string[]
  readonly urls: readonly string[]
}

const ANY_ADDRESS: ReadonlySet<string> = new Set(['0.0.0.0', '[::]'])

/**
 * The addresses of the listeners that are open, those of other protocols than HTTP, CoAP and MQTT left out. A listener of every address of the machine
 * is reached where the asking client reached it: `hostname`.
 */
export const addressesOf = (transports: readonly DescribedTransport[], hostname: string): readonly Address[] =>
  transports.flatMap(({ urls }) => urls.flatMap(url => addressOf(url, hostname)))

const addressOf = (text: string, hostname: string): Address[] => {
  const url = new URL(text)
  const protocol = PROTOCOLS[url.protocol.slice(0, -1)]
  if (protocol === undefined) return []
  const host = ANY_ADDRESS.has(url.hostname) ? `${hostname}${url.port === '' ? '' : `:${url.port}`}` : url.host
  return [{ protocol, url: `${url.protocol}//${host}${url.pathname.replace(/\/$/, '')}` }]
}

/** The addresses of the option `servers`. @throws IopaError 500 for what is no URL of a known protocol. */
export const givenAddresses = (servers: readonly string[]): readonly Address[] =>
  servers.map(text => {
    const [address] = URL.canParse(text) ? addressOf(text, 'localhost') : []
    if (address === undefined)
      throw optionError(`'servers' of documents() has ${JSON.stringify(text)}: write URLs of http, https, coap, mqtt, ws or their secure forms.`)
    return address
  })

/** True when an app has a transport for the protocol, or none at all, so that nothing is known yet. */
export const speaks = (transports: readonly DescribedTransport[], addresses: readonly Address[], protocol: Address['protocol']): boolean =>
  addresses.some(address => address.protocol === protocol) ||
  transports.some(({ schemes }) => schemes.some(scheme => PROTOCOLS[scheme] === protocol)) ||
  (transports.length === 0 && addresses.length === 0)
