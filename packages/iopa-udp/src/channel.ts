import { randomInt } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import {
  abortable,
  type Bag,
  bodyTooLarge,
  type Channel,
  type Clock,
  type ConnectOptions,
  channelClosed,
  checkTargetUrl,
  type DatagramChannel,
  type DatagramNetwork,
  DEFAULT_LIMITS,
  decodeBagAnswer,
  decodeBagSeq,
  encodeBagRequest,
  IopaError,
  isLoopback,
  type Limits,
  type LinkAnswer,
  mergeLimits,
  type OutgoingRequest,
  outgoing,
  readRequestBody,
  receivedAnswer,
  systemClock
} from '@iopa/transport'
import { addressOf } from './address.ts'
import { MAX_DATAGRAM } from './datagram-limit.ts'
import { WaitingRequests } from './waiting-requests.ts'

/** What all requests of one channel share. */
interface Settings {
  readonly network: DatagramNetwork
  readonly address: string
  readonly port: number
  readonly limits: Limits
  readonly clock: Clock
  readonly timeout: number
}

/** Opens a channel to the address of a URL; nothing is sent yet. Rejects when the name has no address. */
export async function connect(url: URL, network: DatagramNetwork, raw: boolean, options: ConnectOptions = {}): Promise<Channel> {
  checkTargetUrl(url)
  if (url.port === '' || url.port === '0') throw new IopaError(400, 'no-port', `Write the port: udp://${url.hostname || 'host'}:7001.`)
  if (options.tls) throw new IopaError(400, 'tls-scheme', 'UDP has no TLS here; use tcps: or coap.')
  options.signal?.throwIfAborted()
  const settings: Settings = {
    network,
    address: await abortable(options.signal, () => addressOf(url.hostname.replace(/^\[|\]$/g, ''), 'connect')),
    port: Number(url.port),
    limits: mergeLimits(DEFAULT_LIMITS, options.limits),
    clock: options.clock ?? systemClock,
    timeout: options.timeout ?? 30_000
  }
  options.signal?.throwIfAborted()
  return raw ? new RawChannel(settings) : new BagChannel(settings, await bind(settings))
}

/** A socket of its own for the answers, reachable from no farther than the peer is. */
const bind = ({ network, address }: Settings): Promise<DatagramChannel> => {
  const ipv6 = address.includes(':')
  return network.bind({ host: isLoopback(address) ? (ipv6 ? '::1' : '127.0.0.1') : ipv6 ? '::' : '0.0.0.0', port: 0 })
}

const notObservable = (): AsyncIterable<LinkAnswer> => ({
  [Symbol.asyncIterator]: () => ({
    next: () => Promise.reject(new IopaError(501, 'not-observable', 'UDP cannot observe; connect over tcp or coap.'))
  })
})

const bodyOf = (out: OutgoingRequest, { limits, clock, timeout }: Settings, closing: AbortSignal): Promise<Uint8Array | null> =>
  readRequestBody(out, { limit: limits.body, clock, timeout, closing })

/** Aborts when a channel is closed; all that waits for something listens. */
const closingController = (): AbortController => {
  const closing = new AbortController()
  setMaxListeners(0, closing.signal)
  return closing
}

const encode = (out: OutgoingRequest, body: Uint8Array | null, seq: number): Uint8Array =>
  Buffer.from(
    encodeBagRequest({
      method: out.method,
      path: out.path,
      query: out.query,
      headers: [...out.headers.pairs()],
      contentType: out.type,
      body,
      observe: undefined,
      seq
    })
  )

/** Bags over one socket: answers are matched by their seq. A datagram that is lost is not sent again: the request times out. */
class BagChannel implements Channel {
  readonly #settings: Settings
  readonly #socket: DatagramChannel
  readonly #waiting: WaitingRequests
  readonly #closing = closingController()
  // Who cannot see the requests must not be able to guess an answer's seq.
  #seq = randomInt(2 ** 47)

  constructor(settings: Settings, socket: DatagramChannel) {
    this.#settings = settings
    this.#socket = socket
    this.#waiting = new WaitingRequests(settings.clock, settings.timeout, settings.limits.inFlight)
    socket.open({ message: (bytes, address, port) => this.#receive(bytes, address, port), error: () => undefined })
  }

  async send(request: Bag): Promise<LinkAnswer> {
    const out = outgoing(request)
    const body = await bodyOf(out, this.#settings, this.#closing.signal)
    const seq = ++this.#seq
    const bytes = encode(out, body, seq)
    if (bytes.length > MAX_DATAGRAM) throw bodyTooLarge(MAX_DATAGRAM)
    return new Promise((resolve, reject) => {
      this.#waiting.add(seq, out.signal, { resolve, reject })
      this.#socket.send(bytes, this.#settings.port, this.#settings.address)
    })
  }

  observe(): AsyncIterable<LinkAnswer> {
    return notObservable()
  }

  async close(): Promise<void> {
    this.#closing.abort(channelClosed())
    this.#waiting.close()
    await this.#socket.close()
  }

  #receive(bytes: Uint8Array, address: string, port: number): void {
    if (port !== this.#settings.port || address !== this.#settings.address) return
    try {
      const { answer, seq } = decodeBagAnswer(bytes)
      if (typeof seq === 'number') this.#waiting.take(seq)?.resolve(answer)
    } catch (error) {
      this.#refuse(bytes, error)
    }
  }

  /** Fails the request whose answer cannot be read; a datagram that is no bag is ignored. */
  #refuse(bytes: Uint8Array, error: unknown): void {
    try {
      const seq = decodeBagSeq(bytes)
      if (typeof seq === 'number') this.#waiting.take(seq)?.reject(error)
    } catch {
      // Any process may send to this port.
    }
  }
}

/** Plain datagrams: nothing in them says what they answer, so each request has a socket of its own. */
class RawChannel implements Channel {
  readonly #settings: Settings
  readonly #waiting: WaitingRequests
  readonly #closing = closingController()
  #number = 0

  constructor(settings: Settings) {
    this.#settings = settings
    this.#waiting = new WaitingRequests(settings.clock, settings.timeout, settings.limits.inFlight)
  }

  async send(request: Bag): Promise<LinkAnswer> {
    const out = outgoing(request)
    const body = (await bodyOf(out, this.#settings, this.#closing.signal)) ?? new Uint8Array()
    if (body.length > MAX_DATAGRAM) throw bodyTooLarge(MAX_DATAGRAM)
    const number = ++this.#number
    const { address, port } = this.#settings
    let socket: DatagramChannel | undefined
    try {
      return await new Promise<LinkAnswer>((resolve, reject) => {
        this.#waiting.add(number, out.signal, { resolve, reject })
        const opened = (own: DatagramChannel): void => {
          socket = own
          own.open({
            message: (bytes, from, fromPort) => {
              if (fromPort === port && from === address) this.#waiting.take(number)?.resolve(receivedAnswer(200, { payload: bytes }))
            },
            error: () => undefined
          })
          own.send(body, port, address)
        }
        bind(this.#settings).then(
          own => (this.#waiting.has(number) ? opened(own) : void own.close()),
          (error: unknown) => this.#waiting.take(number)?.reject(error)
        )
      })
    } finally {
      await socket?.close()
    }
  }

  observe(): AsyncIterable<LinkAnswer> {
    return notObservable()
  }

  async close(): Promise<void> {
    this.#closing.abort(channelClosed())
    this.#waiting.close()
  }
}
