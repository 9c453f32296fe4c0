import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { ReceivedMessage } from '../src/codec/message.ts'
import { type Message, TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { Options } from '../src/codec/options.ts'
import { encodeFrame, FrameReader, isMessage } from '../src/codec/stream-codec.ts'
import type { RawRequest } from './raw-peer.ts'

/** A request as a frame. */
export function rawFrame(code: number, request: RawRequest = {}): Uint8Array {
  const { token = 'tk', path = '', query = [], options = [], payload = '' } = request
  const all = new Options()
  for (const segment of path.split('/').slice(1)) all.add(OPTION.URI_PATH, segment)
  for (const part of query) all.add(OPTION.URI_QUERY, part)
  for (const [number, value] of options) all.add(number, value)
  const message: Message = {
    type: TYPE.NON,
    id: 0,
    code,
    token: Buffer.from(token),
    options: all,
    payload: typeof payload === 'string' ? Buffer.from(payload) : payload
  }
  return encodeFrame(message)
}

/** A TCP connection that sends exactly what a test gives it, and shows what comes back. */
export class RawStreamPeer {
  readonly socket: Socket
  readonly #reader = new FrameReader(16 * 1024 * 1024)
  readonly #inbox: ReceivedMessage[] = []
  #wake: (() => void) | undefined
  /** True once the server has closed. */
  closed = false

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      for (const frame of this.#reader.push(chunk)) if (isMessage(frame)) this.#inbox.push(frame)
      this.#wake?.()
    })
    socket.on('error', () => {})
    socket.once('close', () => {
      this.closed = true
      this.#wake?.()
    })
  }

  static async to(port: number): Promise<RawStreamPeer> {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    return new RawStreamPeer(socket)
  }

  send(...frames: (Uint8Array | string)[]): void {
    this.socket.write(Buffer.concat(frames.map(frame => (typeof frame === 'string' ? Buffer.from(frame, 'hex') : frame))))
  }

  /** The next message; rejects after `limit` ms, or when the connection has closed first. */
  async next(limit = 4000): Promise<ReceivedMessage> {
    const end = performance.now() + limit
    while (this.#inbox.length === 0) {
      if (this.closed) throw new Error('The server has closed the connection')
      if (performance.now() > end) throw new Error(`No message within ${limit} ms`)
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, 50)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    return this.#inbox.shift()!
  }

  ask(code: number, request?: RawRequest): Promise<ReceivedMessage> {
    this.send(rawFrame(code, request))
    return this.next()
  }

  /** Waits until the server has closed. */
  async ended(limit = 4000): Promise<void> {
    if (!this.closed)
      await Promise.race([
        once(this.socket, 'close'),
        new Promise((_, reject) => setTimeout(() => reject(new Error('The connection stays open')), limit).unref())
      ])
  }

  close(): void {
    this.socket.destroy()
  }
}
