import nodeDgram from 'node:dgram'
import { IopaError } from '@iopa/constants'
import type { DatagramAddress, DatagramChannel, DatagramNetwork, DatagramReceiver } from '../channels/datagram-channel.ts'
import { interfaceFor } from './multicast-interface.ts'

interface DatagramSocketLike {
  on(event: string, listener: (...values: never[]) => void): unknown
  once(event: string, listener: (...values: never[]) => void): unknown
  off(event: string, listener: (...values: never[]) => void): unknown
  bind(options: { address: string; port: number; exclusive: boolean }, bound: () => void): unknown
  address(): { address: string; port: number }
  send(bytes: Uint8Array, port: number, address: string): void
  send(bytes: Uint8Array, sent: (error: Error | null) => void): void
  connect(port: number, address: string, connected: (error?: Error) => void): void
  setMulticastInterface(address: string): void
  setMulticastTTL(hops: number): void
  addMembership(group: string, multicastInterface?: string): void
  close(done: () => void): unknown
}

/** The part of `node:dgram` that a network needs. */
export interface DgramModule {
  createSocket(options: object): unknown
}

// An IP literal needs no look-up; answering at once spares a turn of the event loop per datagram.
const literalLookup = (family: 4 | 6) => (host: string, _: unknown, done: (error: null, address: string, family: number) => void) =>
  done(null, host, family)

class SocketDatagramChannel implements DatagramChannel {
  readonly localAddress: string
  readonly localPort: number
  readonly raw: unknown
  readonly #socket: DatagramSocketLike
  readonly #interface: string | undefined
  readonly #connected: boolean
  #receiver: DatagramReceiver | null = null
  #closing: Promise<void> | null = null

  constructor(socket: DatagramSocketLike, multicastInterface: string | undefined, connected: boolean) {
    const bound = socket.address()
    this.#socket = socket
    this.#interface = multicastInterface
    this.#connected = connected
    this.raw = socket
    this.localAddress = bound.address
    this.localPort = bound.port
  }

  open(receiver: DatagramReceiver): void {
    this.#receiver = receiver
    this.#socket.on('message', (bytes: Uint8Array, peer: { address: string; port: number }) => receiver.message(bytes, peer.address, peer.port))
    this.#socket.on('error', (error: Error) => receiver.error(error))
  }

  send(bytes: Uint8Array, port: number, address: string): void {
    if (this.#closing !== null) return
    try {
      if (this.#connected) {
        this.#socket.send(bytes, error => {
          if (error !== null) this.#receiver?.error(error)
        })
        return
      }
      // Without a callback Node keeps quiet about what the system could not send, as a datagram protocol wants it.
      this.#socket.send(bytes, port, address)
    } catch (error) {
      // Port 0 and a closed socket throw at once.
      this.#receiver?.error(error as Error)
    }
  }

  join(group: string): void {
    this.#socket.addMembership(group, this.#interface)
  }

  close(): Promise<void> {
    this.#closing ??= new Promise(resolve => this.#socket.close(() => resolve()))
    return this.#closing
  }
}

/** The network of `node:dgram`; a test may give another module. */
export const datagramNetwork = (dgram: DgramModule = nodeDgram): DatagramNetwork => ({
  bind: ({ host, port, shared = false, spread = false, multicastInterface, multicastHops, peer }: DatagramAddress) =>
    new Promise((resolve, reject) => {
      const family = host.includes(':') ? 6 : 4
      const outgoing = multicastInterface === undefined ? undefined : interfaceFor(multicastInterface, family)
      const socket = dgram.createSocket({
        type: family === 6 ? 'udp6' : 'udp4',
        reuseAddr: shared,
        lookup: literalLookup(family),
        recvBufferSize: 1 << 20,
        sendBufferSize: 1 << 20
      }) as DatagramSocketLike
      const failed = (error: Error): void => {
        // A socket that could not be bound holds its descriptor all the same.
        socket.close(() => undefined)
        reject(
          new IopaError(
            500,
            'bind-failed',
            `Cannot bind ${host}:${port}: ${error.message}. Where another process has the port, or another worker of a cluster, choose one of them.`,
            { cause: error }
          )
        )
      }
      socket.once('error', failed)
      socket.bind({ address: host, port, exclusive: !shared && !spread }, () => {
        const bound = (): void => {
          socket.off('error', failed)
          resolve(new SocketDatagramChannel(socket, outgoing, peer !== undefined))
        }
        try {
          if (outgoing !== undefined) socket.setMulticastInterface(outgoing)
          if (multicastHops !== undefined) socket.setMulticastTTL(multicastHops)
        } catch (error) {
          failed(error as Error)
          return
        }
        if (peer === undefined) bound()
        else socket.connect(peer.port, peer.address, error => (error === undefined || error === null ? bound() : failed(error)))
      })
    })
})
