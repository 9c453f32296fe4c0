import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock } from '@iopa/transport'

/**
 * Connections that are not WebSockets yet, TLS handshakes included. Each has so many milliseconds, and ends when the listener closes: the
 * server of node:http waits for connections that have sent nothing, or half a request.
 */
export class Upgrades {
  readonly #clock: Clock
  readonly #time: number
  /** By peer, because a TLS socket and the socket below it are two objects. */
  readonly #open = new Map<string, { socket: Duplex; timer: unknown }>()

  constructor(clock: Clock, time: number) {
    this.#clock = clock
    this.#time = time
  }

  await(socket: Socket): void {
    const peer = peerOf(socket)
    const timer = Number.isFinite(this.#time) ? this.#clock.setTimeout(() => socket.destroy(), this.#time) : null
    this.#open.set(peer, { socket, timer })
    socket.once('close', () => this.#forget(peer, socket))
  }

  /** A TLS handshake is over: the socket that it has made stands for the connection. */
  secured(socket: Socket): void {
    const peer = peerOf(socket)
    const entry = this.#open.get(peer)
    if (entry === undefined) return
    this.#clock.clearTimeout(entry.timer)
    this.await(socket)
  }

  /** The upgrade of a connection has come. */
  came(socket: Duplex): void {
    this.#forget(peerOf(socket as Socket), socket)
  }

  /** Ends all that have not been upgraded. */
  end(): void {
    for (const { socket } of [...this.#open.values()]) socket.destroy()
  }

  #forget(peer: string, socket: Duplex): void {
    const entry = this.#open.get(peer)
    if (entry?.socket !== socket) return
    this.#clock.clearTimeout(entry.timer)
    this.#open.delete(peer)
  }
}

const peerOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`
