import { isIP } from 'node:net'
import {
  channelClosed,
  checkTarget,
  type DatagramNetwork,
  IopaError,
  type Link,
  type LinkEnd,
  type Logger,
  linkLost,
  type OpenOptions,
  type SecuredChannel,
  type SecuredDatagrams,
  type SecuredPeer,
  type SecuredReceiver
} from '@iopa/transport'
import { DatagramRequester } from '../exchanges/datagram-requester.ts'
import { addressesOf, hostOf } from '../messages/addresses.ts'
import { MessageLayer } from '../messages/message-layer.ts'
import { messageLimits } from '../messages/parameters.ts'
import { CoapLink } from './coap-link.ts'
import { type DatagramClientInit, nstartLimitOf } from './datagram-client.ts'

/** What a client over secured datagrams is made of. */
export interface SecuredClientInit extends DatagramClientInit {
  /** What `coap()` was given. */
  readonly dtls: SecuredDatagrams | undefined
}

/** Opens a link to the server of a `coaps:` URL, once the handshake is complete. Rejects when it fails. */
export const openSecured = async (init: SecuredClientInit): Promise<Link> => {
  const { url, options, network, transmission, szx, confirmable, dtls } = init
  const { clock, limits, tls } = options
  checkTarget(url, options)
  if (dtls === undefined)
    throw new IopaError(500, 'no-dtls', `A link to ${url.protocol}//${url.host} needs keys: write coap({ dtls: dtls({ psk: { identity: key } }) }).`)
  if (tls !== undefined) throw new IopaError(400, 'tls-scheme', 'The keys of coaps: are those of coap({ dtls }); leave tls out.')
  const host = hostOf(url)
  const port = url.port === '' ? 5684 : Number(url.port)
  const association = await firstToShake(await addressesOf(host), { host, port, network, dtls, options })
  const layer = new MessageLayer({
    clock,
    transmission,
    limits: { ...messageLimits(limits), peers: 16 },
    nstartLimit: nstartLimitOf(transmission, association.peer.proven.address),
    onError: () => undefined
  })
  const peer = layer.associate(association.peer)
  const requester = new DatagramRequester({ layer, peer, szx })
  layer.open(requester)
  let ended: (end: LinkEnd) => void = () => undefined
  const closed = new Promise<LinkEnd>(resolve => {
    ended = resolve
  })
  let open = true
  const end = async (reason: LinkEnd['reason'], error: IopaError): Promise<void> => {
    if (!open) return
    open = false
    requester.close(error)
    layer.close()
    await association.channel.close()
    ended({ reason })
  }
  const lost = (): void => void end('lost', linkLost({ sent: true }))
  // A server that has forgotten the session ignores what it is sent: what follows needs another one.
  requester.unanswered = lost
  association.begin((bytes, unproven) => layer.receiveFrom(peer, bytes, unproven), lost)
  return new CoapLink({
    host: isIP(host) ? '' : host,
    clock,
    confirmable,
    bodyLimit: limits.body,
    requester,
    closed,
    requestTimeout: Number.POSITIVE_INFINITY,
    close: () => end('finish', channelClosed())
  })
}

/** Each of several addresses has so many milliseconds before the next one is tried beside it. */
const HEAD_START = 500

/** What a handshake needs. */
interface Handshake {
  readonly host: string
  readonly port: number
  readonly network: DatagramNetwork
  readonly dtls: SecuredDatagrams
  readonly options: OpenOptions
}

/** The association with a server, on a channel of its own. */
class Association implements SecuredReceiver {
  readonly channel: SecuredChannel
  peer!: SecuredPeer
  #message: (bytes: Uint8Array, unproven: boolean) => void = () => undefined
  #ended: () => void = () => undefined
  #closed = false

  constructor(channel: SecuredChannel) {
    this.channel = channel
    channel.open(this)
  }

  /** Begins to deliver; `ended` is called once, at once where the association has ended already. */
  begin(message: (bytes: Uint8Array, unproven: boolean) => void, ended: () => void): void {
    this.#message = message
    this.#ended = ended
    if (this.#closed) ended()
  }

  opened(): void {}

  message(bytes: Uint8Array, _: SecuredPeer, unproven: boolean): void {
    this.#message(bytes, unproven)
  }

  closed(): void {
    if (this.#closed) return
    this.#closed = true
    this.#ended()
  }

  /** What cannot be sent is lost, and then sent again. */
  error(): void {}
}

/** The association with the first of several addresses that completes the handshake. */
const firstToShake = async (addresses: readonly string[], handshake: Handshake): Promise<Association> => {
  const { clock, signal } = handshake.options
  if (addresses.length === 1) return shake(addresses[0]!, handshake, signal)
  const given = new AbortController()
  const attempts: Promise<Association>[] = []
  try {
    for (const address of addresses) {
      const attempt = shake(address, handshake, AbortSignal.any([signal, given.signal]))
      attempts.push(attempt)
      let timer: unknown
      const late = new Promise<undefined>(resolve => {
        timer = clock.setTimeout(() => resolve(undefined), HEAD_START, { keep: true })
      })
      const first = await Promise.race([attempt.catch(() => undefined), late])
      clock.clearTimeout(timer)
      if (first !== undefined) return first
    }
    return await Promise.any(attempts).catch(({ errors }: AggregateError) => Promise.reject(errors[0]))
  } finally {
    given.abort()
  }
}

const shake = async (address: string, { host, port, network, dtls, options }: Handshake, signal: AbortSignal): Promise<Association> => {
  const { clock, limits } = options
  signal.throwIfAborted()
  const bound = await network.bind({ host: address.includes(':') ? '::' : '0.0.0.0', port: 0 })
  let association: Association | undefined
  try {
    association = new Association(dtls.over(bound, { clock, limits, logger: SILENT, accept: false }))
    association.peer = await association.channel.connect({ host, address, port }, signal)
    signal.throwIfAborted()
    return association
  } catch (error) {
    await (association?.channel ?? bound).close()
    throw error
  }
}

/** A client has no log: what fails is said by its promises. */
const SILENT: Logger = { error() {}, warn() {}, info() {}, debug() {} }
