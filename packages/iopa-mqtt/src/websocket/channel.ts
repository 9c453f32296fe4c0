import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { ByteChannel, ByteReceiver, TimerHandle } from '@iopa/transport'
import type { WebSocket } from 'ws'
import type { MessageTime } from './network.ts'

/** Says that a text frame came where only binary ones may ([MQTT-6.0.0-1]; RFC 6455 section 7.4.1). */
const UNSUPPORTED_DATA = 1003
const NORMAL = 1000

/** Both ends of a connection, as far as they are known. */
export interface Ends {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
}

/** Those of the socket itself. */
export const endsOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): Ends => ({
  remoteAddress,
  remotePort,
  localAddress,
  localPort
})

/** A WebSocket as a channel of bytes: MQTT packets need not keep to its messages ([MQTT-6.0.0-2]). */
export class WebSocketChannel implements ByteChannel {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly tls: boolean
  readonly raw: unknown
  readonly #webSocket: WebSocket
  readonly #socket: Socket
  readonly #time: MessageTime
  #error: Error | undefined
  /** Bytes have come that belong to no message yet: `ws` keeps them until one is whole. */
  #begun = false
  #whole = 0
  #timer: TimerHandle | null = null

  /** `ends` are those that a trusted proxy has named. */
  constructor(webSocket: WebSocket, socket: Socket, time: MessageTime, ends: Ends = socket) {
    this.#time = time
    this.#webSocket = webSocket
    this.#socket = socket
    this.raw = webSocket
    this.remoteAddress = ends.remoteAddress ?? ''
    this.remotePort = ends.remotePort ?? 0
    this.localAddress = ends.localAddress ?? ''
    this.localPort = ends.localPort ?? 0
    this.tls = 'encrypted' in socket && socket.encrypted === true
    socket.setNoDelay(true)
    webSocket.binaryType = 'nodebuffer'
    // Before `ws`, whose events say that a message was whole.
    socket.prependListener('data', () => this.#began())
    const ended = (): void => this.#ended()
    webSocket.on('message', ended).on('ping', ended).on('pong', ended)
    webSocket.on('error', error => {
      this.#error = error
    })
    webSocket.pause()
  }

  get buffered(): number {
    return this.#webSocket.bufferedAmount
  }

  open(receiver: ByteReceiver): void {
    const webSocket = this.#webSocket
    webSocket.on('message', (data, isBinary) => {
      if (isBinary) receiver.data(data as Buffer)
      else webSocket.close(UNSUPPORTED_DATA, 'MQTT needs binary frames')
    })
    this.#socket.on('drain', () => receiver.drain())
    webSocket.on('close', () => {
      this.#time.clock.clearTimeout(this.#timer)
      receiver.close(this.#error)
    })
    if (webSocket.readyState === webSocket.CLOSED) queueMicrotask(() => receiver.close(this.#error))
    webSocket.resume()
  }

  write(bytes: Uint8Array | string): boolean {
    const webSocket = this.#webSocket
    if (webSocket.readyState !== webSocket.OPEN) return false
    webSocket.send(bytes, { binary: true, compress: false })
    return !this.#socket.writableNeedDrain
  }

  pause(): void {
    // While nothing is read, the time of a message does not run.
    this.#begun = false
    this.#webSocket.pause()
  }

  resume(): void {
    this.#webSocket.resume()
  }

  end(): void {
    this.#webSocket.close(NORMAL)
    // The peer's half of the closing handshake has to be read.
    this.#webSocket.resume()
  }

  destroy(): void {
    this.#webSocket.terminate()
  }

  #began(): void {
    this.#begun = true
    if (this.#timer === null && Number.isFinite(this.#time.messageTimeout)) this.#watch()
  }

  #ended(): void {
    this.#begun = false
    this.#whole++
  }

  #watch(): void {
    const whole = this.#whole
    this.#timer = this.#time.clock.setTimeout(() => {
      this.#timer = null
      if (!this.#begun) return
      if (whole === this.#whole) this.destroy()
      else this.#watch()
    }, this.#time.messageTimeout)
  }

  /** Only a certificate that was checked says who the peer is: a server that was handed over may take others too. */
  clientCertificate(): unknown {
    const { authorized, getPeerCertificate } = this.#socket as Socket & Partial<TLSSocket>
    if (authorized !== true || getPeerCertificate === undefined) return undefined
    const certificate: object | undefined = getPeerCertificate.call(this.#socket)
    return certificate !== undefined && Object.keys(certificate).length > 0 ? certificate : undefined
  }
}
