import { randomInt } from 'node:crypto'
import {
  type Association,
  bodyTooLarge,
  checkTarget,
  type DatagramChannel,
  type DatagramNetwork,
  decodeBagAnswer,
  decodeBagSeq,
  encodeBagRequest,
  IopaError,
  isLoopback,
  type Link,
  type LinkAnswer,
  type LinkEnd,
  type LinkRequestOptions,
  linkLost,
  type OpenOptions,
  type OutgoingRequest,
  openAssociation,
  receivedAnswer,
  requestBytes,
  type SecuredDatagrams
} from '@iopa/transport'
import { addressOf } from './address.ts'
import { MAX_DATAGRAM } from './datagram-limit.ts'

/** Where a link sends to, and how it gets there. */
interface Target {
  readonly address: string
  readonly port: number
  /** Most bytes of a body. */
  readonly bodyLimit: number
  /** Opens a channel to it: a socket, or a session of its own. `lost` is called when a session has ended. */
  open(lost: () => void): Promise<DatagramChannel>
}

/** How datagrams are sent. */
export interface LinkSettings {
  readonly raw: boolean
  readonly dtls: SecuredDatagrams | undefined
}

/** A link to the address of a `udp:` or `udps:` URL; nothing is sent yet but a handshake. Rejects when the name has no address, or the handshake fails. */
export const openLink = async (url: URL, network: DatagramNetwork, { raw, dtls }: LinkSettings, options: OpenOptions): Promise<Link> => {
  checkTarget(url, options)
  const { protocol, hostname } = url
  if (url.port === '' || url.port === '0') throw new IopaError(400, 'no-port', `Write the port: ${protocol}//${hostname || 'host'}:7001.`)
  if (options.tls) throw new IopaError(400, 'tls-scheme', 'UDP has no TLS: use udps: with udp({ dtls }), tcps: or coaps+tcp:.')
  const secure = protocol === 'udps:'
  if (secure && dtls === undefined)
    throw new IopaError(500, 'no-dtls', `A link to ${protocol}//${url.host} needs keys: write udp({ dtls: dtls({ psk: { identity: key } }) }).`)
  const host = hostname.replace(/^\[|\]$/g, '')
  const address = await addressOf(host, 'connect')
  options.signal.throwIfAborted()
  const port = Number(url.port)
  const open = async (lost: () => void): Promise<DatagramChannel> =>
    secure ? session(await openAssociation({ host, addresses: [address], port, network, dtls: dtls!, options }), lost) : bind(network, address)
  const target: Target = { address, port, bodyLimit: options.limits.body, open }
  if (raw) return new RawLink(target)
  let link: BagLink | undefined
  return (link = new BagLink(target, await open(() => link?.lost())))
}

/** A separate socket for the answers, bound to loopback if the peer is there. */
const bind = (network: DatagramNetwork, address: string): Promise<DatagramChannel> => {
  const ipv6 = address.includes(':')
  return network.bind({ host: isLoopback(address) ? (ipv6 ? '::1' : '127.0.0.1') : ipv6 ? '::' : '0.0.0.0', port: 0 })
}

/** A session as a channel: whatever comes through it is from the peer, and goes to the peer. */
const session = (association: Association, lost: () => void): DatagramChannel => {
  const { channel, peer } = association
  const { address, port } = peer.proven
  return {
    localAddress: channel.localAddress,
    localPort: channel.localPort,
    raw: channel.raw,
    open: receiver => association.begin(bytes => receiver.message(bytes, address, port), lost),
    send: bytes => peer.send(bytes),
    close: () => channel.close()
  }
}

/** A datagram that is lost is not sent again: its request times out, and the link itself is lost with its session alone. */
abstract class UdpLink implements Link {
  readonly concurrency: number = Number.POSITIVE_INFINITY
  readonly closed: Promise<LinkEnd>
  protected readonly target: Target
  #ended: (end: LinkEnd) => void = () => undefined

  constructor(target: Target) {
    this.target = target
    this.closed = new Promise(resolve => {
      this.#ended = resolve
    })
  }

  abstract request(message: OutgoingRequest, options: LinkRequestOptions): Promise<LinkAnswer>

  subscribe(): Promise<void> {
    return Promise.reject(new IopaError(501, 'not-observable', 'UDP cannot observe; connect over tcp or coap.'))
  }

  async close(): Promise<void> {
    this.#ended({ reason: 'finish' })
  }

  /** Its session has ended. */
  lost(): void {
    this.#ended({ reason: 'lost' })
  }

  protected isPeer(address: string, port: number): boolean {
    return port === this.target.port && address === this.target.address
  }
}

interface Waiting {
  resolve(answer: LinkAnswer): void
  reject(error: unknown): void
}

/** Bags over one socket: answers are matched by their seq. */
class BagLink extends UdpLink {
  readonly #socket: DatagramChannel
  readonly #waiting = new Map<number, Waiting>()
  // An attacker who cannot see the requests must not be able to guess a seq.
  #seq = randomInt(2 ** 47)

  constructor(target: Target, socket: DatagramChannel) {
    super(target)
    this.#socket = socket
    socket.open({ message: (bytes, address, port) => this.#receive(bytes, address, port), error: () => undefined })
  }

  async request(message: OutgoingRequest, { signal }: LinkRequestOptions): Promise<LinkAnswer> {
    const { method, path, query, headers, type } = message
    const body = await requestBytes(message, this.target.bodyLimit, signal)
    const seq = ++this.#seq
    const bytes = Buffer.from(
      encodeBagRequest({ method, path, query, headers: [...headers.pairs()], contentType: type, body, observe: undefined, seq })
    )
    if (bytes.length > MAX_DATAGRAM) throw bodyTooLarge(MAX_DATAGRAM)
    let abort = (): void => undefined
    try {
      return await new Promise<LinkAnswer>((resolve, reject) => {
        abort = () => reject(signal.reason)
        signal.addEventListener('abort', abort, { once: true })
        this.#waiting.set(seq, { resolve, reject })
        this.#socket.send(bytes, this.target.port, this.target.address)
      })
    } finally {
      this.#waiting.delete(seq)
      signal.removeEventListener('abort', abort)
    }
  }

  override async close(): Promise<void> {
    await this.#socket.close()
    await super.close()
  }

  override lost(): void {
    super.lost()
    for (const { reject } of [...this.#waiting.values()]) reject(linkLost({ sent: true }))
    void this.#socket.close()
  }

  #receive(bytes: Uint8Array, address: string, port: number): void {
    if (!this.isPeer(address, port)) return
    try {
      const { answer, seq } = decodeBagAnswer(bytes)
      if (typeof seq === 'number') this.#waiting.get(seq)?.resolve(answer)
    } catch (error) {
      this.#refuse(bytes, error)
    }
  }

  /** Rejects the request whose answer cannot be read; ignores a datagram that is not a bag. */
  #refuse(bytes: Uint8Array, error: unknown): void {
    try {
      const seq = decodeBagSeq(bytes)
      if (typeof seq === 'number') this.#waiting.get(seq)?.reject(error)
    } catch {
      // Any process may send to this port.
    }
  }
}

/** Plain datagrams do not identify their request, so each request has its own socket, or its own session. */
class RawLink extends UdpLink {
  async request(message: OutgoingRequest, { signal }: LinkRequestOptions): Promise<LinkAnswer> {
    const body = (await requestBytes(message, this.target.bodyLimit, signal)) ?? new Uint8Array()
    if (body.length > MAX_DATAGRAM) throw bodyTooLarge(MAX_DATAGRAM)
    const socket = await this.target.open(() => undefined)
    let abort = (): void => undefined
    try {
      signal.throwIfAborted()
      return await new Promise<LinkAnswer>((resolve, reject) => {
        abort = () => reject(signal.reason)
        signal.addEventListener('abort', abort, { once: true })
        socket.open({
          message: (bytes, address, port) => {
            if (this.isPeer(address, port)) resolve(receivedAnswer(200, { payload: bytes }))
          },
          error: () => undefined
        })
        socket.send(body, this.target.port, this.target.address)
      })
    } finally {
      signal.removeEventListener('abort', abort)
      await socket.close()
    }
  }
}
