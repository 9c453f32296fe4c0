import type { ByteAddress, ByteChannel, ByteReceiver, ByteServer } from '@iopa/transport'
import type { VirtualClock } from './clock.ts'
import { keyOf, type NetworkAddress, resolveHost, systemError } from './network-address.ts'
import { delayOf, type NetworkConditions } from './network-conditions.ts'

/** What the streams of a virtual network have in common. */
export interface StreamWorld {
  readonly clock: VirtualClock
  readonly random: () => number
  readonly conditions: () => NetworkConditions
}

// Where `write` asks its caller to wait, as node:net does by default.
const HIGH_WATER_MARK = 16_384
const FIRST_FREE_PORT = 49_152

/** Byte channels between the ends of one process: ordered and complete, cut and joined at random, with back-pressure. */
export class VirtualStreams {
  readonly #world: StreamWorld
  readonly #servers = new Map<string, { readonly accept: (channel: ByteChannel) => void; readonly tls: boolean }>()
  /** One end of each open connection. */
  readonly #connections = new Set<VirtualChannel>()
  #freePort = FIRST_FREE_PORT

  constructor(world: StreamWorld) {
    this.#world = world
  }

  /** Resets every connection, on both sides. */
  disconnect(): void {
    for (const channel of [...this.#connections]) {
      channel.peer?.reset()
      channel.reset()
    }
  }

  listen({ host, port, tls }: ByteAddress, accept: (channel: ByteChannel) => void, machine: string): ByteServer {
    const address = resolveHost(host, machine)
    const own = port || this.#port()
    const key = keyOf(address, own)
    if (this.#servers.has(key)) throw systemError('EADDRINUSE', 'listen', key)
    const server = { accept, tls: tls !== undefined }
    this.#servers.set(key, server)
    return {
      address: host,
      port: own,
      close: async () => {
        if (this.#servers.get(key) === server) this.#servers.delete(key)
      }
    }
  }

  async connect({ host, port, tls }: ByteAddress, machine: string, signal?: AbortSignal): Promise<ByteChannel> {
    const { clock, conditions, random } = this.#world
    const far: NetworkAddress = { address: resolveHost(host, machine), port }
    const near: NetworkAddress = { address: far.address === '127.0.0.1' ? far.address : machine, port: this.#port() }
    const key = keyOf(far.address, far.port)
    // There and back again, as the handshake of TCP takes.
    await this.#wait(delayOf(conditions(), random) + delayOf(conditions(), random), signal)
    const server = this.#servers.get(key)
    if (!server) throw systemError('ECONNREFUSED', 'connect', key)
    if (server.tls !== (tls !== undefined)) throw systemError('ECONNRESET', 'connect', key)
    const client: VirtualChannel = new VirtualChannel(this.#world, near, far, server.tls, () => this.#connections.delete(client))
    this.#connections.add(client)
    const accepted = new VirtualChannel(this.#world, far, near, server.tls, () => undefined)
    client.peer = accepted
    accepted.peer = client
    clock.setTimeout(() => server.accept(accepted), 0)
    return client
  }

  #wait(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
    const { clock } = this.#world
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted()
      const onAbort = (): void => {
        clock.clearTimeout(timer)
        reject(signal?.reason)
      }
      const timer = clock.setTimeout(() => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }, milliseconds)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  #port(): number {
    const port = this.#freePort++
    if (this.#freePort > 65_535) this.#freePort = FIRST_FREE_PORT
    return port
  }
}

/** One end of a connection: it holds what it has to send, and what has arrived and was not taken. */
class VirtualChannel implements ByteChannel {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly tls: boolean
  readonly raw: null = null
  peer: VirtualChannel | undefined
  readonly #world: StreamWorld
  readonly #closedDown: () => void
  #receiver: ByteReceiver | undefined
  /** Written and not yet taken over by the network. */
  #outbox: Uint8Array[] = []
  #buffered = 0
  /** Bytes that the network holds for the peer, of its window. */
  #held = 0
  #lastArrival = 0
  #leaving = false
  #needsDrain = false
  #ending = false
  #ended = false
  /** What has arrived; null is the end. */
  #inbox: (Uint8Array | null)[] = []
  #paused = false
  /** The peer has ended, and this side knows. */
  #received = false
  /** This side has ended, and the peer knows. */
  #finished = false
  #closed = false

  constructor(world: StreamWorld, local: NetworkAddress, remote: NetworkAddress, tls: boolean, closedDown: () => void) {
    this.#world = world
    this.#closedDown = closedDown
    this.localAddress = local.address
    this.localPort = local.port
    this.remoteAddress = remote.address
    this.remotePort = remote.port
    this.tls = tls
  }

  get buffered(): number {
    return this.#buffered
  }

  open(receiver: ByteReceiver): void {
    this.#receiver = receiver
    this.#world.clock.setTimeout(() => this.#take(), 0)
  }

  write(data: Uint8Array | string): boolean {
    if (this.#closed || this.#ending) return false
    const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data.slice()
    if (bytes.length > 0) {
      this.#outbox.push(bytes)
      this.#buffered += bytes.length
      this.#leave()
    }
    if (this.#buffered < HIGH_WATER_MARK) return true
    this.#needsDrain = true
    return false
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#world.clock.setTimeout(() => this.#take(), 0)
  }

  end(): void {
    if (this.#closed || this.#ending) return
    this.#ending = true
    this.#leave()
  }

  destroy(): void {
    if (this.#closed) return
    const isUnread = this.#inbox.length > 0
    this.#close()
    // As a system does: what was not read makes it a reset, else the peer sees an end.
    if (isUnread) this.#reset()
    else if (!this.#ended) {
      this.#ended = true
      this.#arrive(null)
    }
  }

  #reset(): void {
    const { clock, conditions, random } = this.#world
    clock.setTimeout(() => this.peer?.reset(), Math.max(delayOf(conditions(), random), this.#lastArrival - clock.elapsed()))
  }

  /** The peer has dropped the connection. */
  reset(): void {
    if (!this.#closed) this.#close(systemError('ECONNRESET', 'read', keyOf(this.remoteAddress, this.remotePort)))
  }

  #close(error?: Error): void {
    this.#closed = true
    this.#closedDown()
    this.#outbox = []
    this.#inbox = []
    this.#buffered = 0
    this.#world.clock.setTimeout(() => this.#receiver?.close(error), 0)
  }

  // All that one turn has written leaves together, so that writes can be joined.
  #leave(): void {
    if (this.#leaving) return
    this.#leaving = true
    this.#world.clock.setTimeout(() => {
      this.#leaving = false
      this.#transmit()
    }, 0)
  }

  #transmit(): void {
    const { clock, conditions } = this.#world
    while (!this.#closed && this.#outbox.length > 0 && this.#held < conditions().window) {
      const piece = this.#piece()
      this.#held += piece.length
      this.#buffered -= piece.length
      this.#arrive(piece)
    }
    if (this.#closed) return
    if (this.#outbox.length === 0 && this.#ending && !this.#ended) {
      this.#ended = true
      this.#arrive(null)
    }
    if (this.#buffered === 0 && this.#needsDrain) {
      this.#needsDrain = false
      clock.setTimeout(() => {
        if (!this.#closed) this.#receiver?.drain()
      }, 0)
    }
  }

  #piece(): Uint8Array {
    const { conditions, random } = this.#world
    const { coalescing, splitting, window } = conditions()
    let bytes = this.#outbox.shift()!
    while (this.#outbox.length > 0 && random() < coalescing) bytes = joined(bytes, this.#outbox.shift()!)
    const length = Math.min(bytes.length, window - this.#held, splitting > 0 ? 1 + Math.floor(random() * splitting) : bytes.length)
    if (length < bytes.length) this.#outbox.unshift(bytes.subarray(length))
    return bytes.slice(0, length)
  }

  #arrive(piece: Uint8Array | null): void {
    const { clock, conditions, random } = this.#world
    const peer = this.peer!
    // Nothing overtakes on a stream.
    this.#lastArrival = Math.max(this.#lastArrival, clock.elapsed() + delayOf(conditions(), random))
    clock.setTimeout(() => {
      if (!peer.#closed) {
        peer.#inbox.push(piece)
        peer.#take()
      } else if (piece) peer.#reset()
      else {
        this.#finished = true
        this.#closeIfDone()
      }
    }, this.#lastArrival - clock.elapsed())
  }

  #take(): void {
    const receiver = this.#receiver
    while (receiver && !this.#closed && !this.#paused && this.#inbox.length > 0) {
      const piece = this.#inbox.shift()
      if (piece) {
        this.peer!.#taken(piece.length)
        receiver.data(piece)
      } else {
        this.#received = true
        this.peer!.#finished = true
        receiver.end()
        this.#closeIfDone()
        this.peer!.#closeIfDone()
      }
    }
  }

  #taken(length: number): void {
    this.#held -= length
    if (this.#outbox.length > 0) this.#leave()
  }

  #closeIfDone(): void {
    if (this.#received && this.#finished && !this.#closed) this.#close()
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(first.length + second.length)
  bytes.set(first)
  bytes.set(second, first.length)
  return bytes
}
