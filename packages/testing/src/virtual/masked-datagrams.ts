import { randomBytes } from 'node:crypto'
import {
  type Clock,
  type DatagramChannel,
  type DatagramEndpoint,
  IopaError,
  type SecuredChannel,
  type SecuredDatagrams,
  type SecuredEnd,
  type SecuredIdentity,
  type SecuredPeer,
  type SecuredReceiver,
  type SecuredTarget,
  type SecurityEnvironment,
  type TimerHandle,
  type User
} from '@iopa/transport'

/** Options of `maskedDatagrams()`. */
export interface MaskedOptions {
  /** Keys by identity; a client uses the first one. */
  readonly psk: Readonly<Record<string, string>>
  readonly realm?: string
  /** Milliseconds until the first message of a client is sent again. 1,000 unless given. */
  readonly repeatAfter?: number
  /** Bytes of the longest datagram that either side sends; 1,200 unless given. What is longer is lost. */
  readonly maxPayload?: number
}

const HELLO = 1
const WELCOME = 2
const DATA = 3
const BYE = 4
const ID = 8
const HEADER = 1 + ID + 4
const MOST_REPEATS = 5

/**
 * A stand-in for DTLS in tests of what runs over it: associations that a key opens, that follow their peer to another address, and that end. Its bytes are
 * masked and not protected, so it is for tests alone; with a virtual network and clock every run is the same.
 */
export const maskedDatagrams = (options: MaskedOptions): SecuredDatagrams => ({
  name: 'masked',
  exclusive: true,
  over: (channel, environment) => new MaskedChannel(options, channel, environment)
})

/** Bytes with every bit of theirs turned: so that nothing reads as the message that it is. */
const masked = (bytes: Uint8Array): Uint8Array => bytes.map(byte => byte ^ 0xa5)

class MaskedPeer implements SecuredPeer {
  readonly id: string
  readonly user: User | undefined
  readonly proof = 'psk'
  readonly maxPayload: number
  proven: DatagramEndpoint
  latest: DatagramEndpoint | undefined = undefined
  /** Bytes that the latest address may still be sent. */
  allowance = 0
  open = true
  newest = -1
  readonly #received = new Set<number>()
  readonly #channel: MaskedChannel
  #sequence = 0

  constructor(channel: MaskedChannel, id: string, user: User | undefined, proven: DatagramEndpoint, maxPayload = 1200) {
    this.#channel = channel
    this.id = id
    this.user = user
    this.proven = proven
    this.maxPayload = maxPayload
  }

  send(bytes: Uint8Array, to: 'proven' | 'latest' = 'proven'): void {
    if (!this.open || bytes.length > this.maxPayload) return
    const record = new Uint8Array(HEADER + bytes.length)
    record[0] = DATA
    record.set(Buffer.from(this.id, 'hex'), 1)
    new DataView(record.buffer).setUint32(1 + ID, this.#sequence++)
    record.set(masked(bytes), HEADER)
    const latest = to === 'latest' ? this.latest : undefined
    if (latest !== undefined) {
      if (record.length > this.allowance) return
      this.allowance -= record.length
    }
    this.#channel.send(record, latest ?? this.proven)
  }

  confirm(): void {
    if (this.latest !== undefined) this.proven = this.latest
    this.latest = undefined
  }

  close(): void {
    this.#channel.end(this, 'closed', true)
  }

  /** True for a record that was not received before; says where the peer is now. */
  take(sequence: number, from: DatagramEndpoint, length: number): boolean {
    if (this.#received.has(sequence)) return false
    this.#received.add(sequence)
    if (sequence > this.newest) {
      this.newest = sequence
      if (same(from, this.proven)) this.latest = undefined
      else if (this.latest === undefined || !same(from, this.latest)) {
        this.latest = from
        this.allowance = 0
      }
    }
    if (this.latest !== undefined && same(from, this.latest)) this.allowance += 3 * length
    return true
  }
}

const same = (a: DatagramEndpoint, b: DatagramEndpoint): boolean => a.port === b.port && a.address === b.address

interface Opening {
  readonly target: SecuredTarget
  resolve(peer: SecuredPeer): void
}

class MaskedChannel implements SecuredChannel {
  readonly localAddress: string
  readonly localPort: number
  readonly raw: unknown
  readonly #options: MaskedOptions
  readonly #channel: DatagramChannel
  readonly #clock: Clock
  readonly #environment: SecurityEnvironment
  readonly #peers = new Map<string, MaskedPeer>()
  readonly #openings = new Map<string, Opening>()
  #receiver: SecuredReceiver | undefined

  constructor(options: MaskedOptions, channel: DatagramChannel, environment: SecurityEnvironment) {
    this.#options = options
    this.#channel = channel
    this.#environment = environment
    this.#clock = environment.clock
    this.localAddress = channel.localAddress
    this.localPort = channel.localPort
    this.raw = channel.raw
  }

  open(receiver: SecuredReceiver): void {
    this.#receiver = receiver
    this.#channel.open({ message: (bytes, address, port) => this.#message(bytes, { address, port }), error: error => receiver.error(error) })
  }

  async connect(target: SecuredTarget, signal: AbortSignal): Promise<SecuredPeer> {
    const [identity, key] = Object.entries(this.#options.psk)[0] as [string, string]
    const id = randomBytes(ID)
    const hello = Buffer.concat([Uint8Array.of(HELLO), id, Buffer.from(JSON.stringify([identity, key]))])
    let timer: TimerHandle
    let abort = (): void => undefined
    try {
      return await new Promise<SecuredPeer>((resolve, reject) => {
        abort = () => reject(signal.reason)
        signal.throwIfAborted()
        signal.addEventListener('abort', abort, { once: true })
        this.#openings.set(id.toString('hex'), { target, resolve })
        let repeats = 0
        const ask = (): void => {
          this.send(hello, target)
          if (repeats++ === MOST_REPEATS) reject(new IopaError(502, 'connect-failed', `No server answers at ${target.address}:${target.port}.`))
          else timer = this.#clock.setTimeout(ask, this.#options.repeatAfter ?? 1000, { keep: true })
        }
        ask()
      })
    } finally {
      this.#openings.delete(id.toString('hex'))
      this.#clock.clearTimeout(timer)
      signal.removeEventListener('abort', abort)
    }
  }

  revoke(matches: (identity: SecuredIdentity) => boolean): void {
    for (const peer of [...this.#peers.values()]) if (matches(peer)) this.end(peer, 'revoked', true)
  }

  async close(): Promise<void> {
    for (const peer of [...this.#peers.values()]) this.end(peer, 'closed', true)
    await this.#channel.close()
  }

  send(bytes: Uint8Array, { address, port }: DatagramEndpoint): void {
    this.#channel.send(bytes, port, address)
  }

  /** Ends an association, and tells its peer where `tells`. */
  end(peer: MaskedPeer, reason: SecuredEnd, tells: boolean): void {
    if (!peer.open) return
    peer.open = false
    this.#peers.delete(peer.id)
    if (tells) this.send(Buffer.concat([Uint8Array.of(BYE), Buffer.from(peer.id, 'hex')]), peer.proven)
    this.#receiver?.closed(peer, reason)
  }

  #message(bytes: Uint8Array, from: DatagramEndpoint): void {
    if (bytes.length < 1 + ID) return
    const id = Buffer.from(bytes.subarray(1, 1 + ID)).toString('hex')
    const peer = this.#peers.get(id)
    const kind = bytes[0]
    if (kind === HELLO && this.#environment.accept) this.#hello(id, peer, bytes.subarray(1 + ID), from)
    else if (kind === WELCOME) this.#welcome(id)
    else if (kind === BYE && peer !== undefined) this.end(peer, 'closed', false)
    else if (kind === DATA && peer !== undefined && bytes.length >= HEADER) {
      const sequence = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1 + ID)
      if (!peer.take(sequence, from, bytes.length)) return
      this.#receiver?.message(masked(bytes.subarray(HEADER)), peer, peer.latest !== undefined && same(from, peer.latest))
    }
  }

  #hello(id: string, known: MaskedPeer | undefined, rest: Uint8Array, from: DatagramEndpoint): void {
    const welcome = Buffer.concat([Uint8Array.of(WELCOME), Buffer.from(id, 'hex')])
    if (known === undefined) {
      const user = this.#userOf(rest)
      if (user === undefined) {
        this.#environment.refused?.(from, 'wrong-key')
        return
      }
      // The peer at this address has started again.
      for (const other of [...this.#peers.values()]) if (same(other.proven, from)) this.end(other, 'lost', false)
      const peer = new MaskedPeer(this, id, user, from, this.#options.maxPayload)
      this.#peers.set(id, peer)
      this.send(welcome, from)
      this.#receiver?.opened(peer)
    } else this.send(welcome, from)
  }

  #welcome(id: string): void {
    const opening = this.#openings.get(id)
    if (opening === undefined || this.#peers.has(id)) return
    const { address, port } = opening.target
    const peer = new MaskedPeer(this, id, undefined, { address, port }, this.#options.maxPayload)
    this.#peers.set(id, peer)
    opening.resolve(peer)
  }

  #userOf(bytes: Uint8Array): User | undefined {
    const { psk, realm } = this.#options
    try {
      const [identity, key] = JSON.parse(Buffer.from(bytes).toString()) as [string, string]
      if (!Object.hasOwn(psk, identity) || psk[identity] !== key) return undefined
      return { id: identity, by: 'psk', ...(realm === undefined ? undefined : { realm }) }
    } catch {
      return undefined
    }
  }
}
