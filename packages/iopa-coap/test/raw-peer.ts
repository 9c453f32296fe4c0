import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { formatCode } from '../src/codec/codes.ts'
import { decode, encode, isMalformed } from '../src/codec/datagram-codec.ts'
import { type Message, type ReceivedMessage, TYPE } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { Options } from '../src/codec/options.ts'

/** What a request of a test needs beyond a code. */
export interface RawRequest {
  readonly type?: number
  readonly id?: number
  readonly token?: string
  readonly path?: string
  readonly query?: readonly string[]
  readonly options?: readonly (readonly [number, Uint8Array | string | number])[]
  readonly payload?: string | Uint8Array
}

let lastId = 1000

/** A request as bytes, with a message id of its own unless one is given. */
export function rawRequest(code: number, request: RawRequest = {}): Uint8Array {
  const { type = TYPE.CON, id = ++lastId, token = 'tk', path = '', query = [], options = [], payload = '' } = request
  const all = new Options()
  for (const segment of path.split('/').slice(1)) all.add(OPTION.URI_PATH, segment)
  for (const part of query) all.add(OPTION.URI_QUERY, part)
  for (const [number, value] of options) all.add(number, value)
  const message: Message = {
    type,
    code,
    id,
    token: Buffer.from(token),
    options: all,
    payload: typeof payload === 'string' ? Buffer.from(payload) : payload
  }
  return encode(message)
}

/** A message in one line, for comparing: `ACK 2.05 "payload" {token}`. */
export const line = (message: Message): string =>
  `${['CON', 'NON', 'ACK', 'RST'][message.type]} ${formatCode(message.code)} {${Buffer.from(message.token)}}${message.payload.length > 0 ? ` ${JSON.stringify(Buffer.from(message.payload).toString())}` : ''}`

/** A UDP socket that sends exactly what a test gives it, and shows what comes back. */
export class RawPeer {
  readonly #socket: Socket
  #port: number
  readonly #inbox: Uint8Array[] = []
  readonly #answers: boolean
  #wake: (() => void) | undefined

  constructor(socket: Socket, port: number) {
    this.#socket = socket
    this.#port = port
    this.#answers = port === 0
    socket.on('message', (bytes, from) => {
      // A peer that was asked answers whom it was asked by.
      if (this.#answers) this.#port = from.port
      this.#inbox.push(bytes)
      this.#wake?.()
    })
    socket.on('error', () => {})
  }

  static async to(port: number): Promise<RawPeer> {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    return new RawPeer(socket, port)
  }

  /** A peer that waits for a client. */
  static listening(): Promise<RawPeer> {
    return RawPeer.to(0)
  }

  get port(): number {
    return this.#socket.address().port
  }

  send(bytes: Uint8Array | string): void {
    this.#socket.send(typeof bytes === 'string' ? Buffer.from(bytes, 'hex') : bytes, this.#port, '127.0.0.1')
  }

  /** The next datagram; rejects after `limit` ms. */
  async nextBytes(limit = 4000): Promise<Uint8Array> {
    if (this.#inbox.length === 0) {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`No datagram within ${limit} ms`)), limit)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      this.#wake = undefined
    }
    return this.#inbox.shift()!
  }

  /** The next datagram as a message. */
  async next(limit?: number): Promise<ReceivedMessage> {
    const message = decode(await this.nextBytes(limit))
    if (isMalformed(message)) throw new Error('The server has sent a malformed message')
    return message
  }

  /** Sends a request and gives the next message. */
  ask(code: number, request?: RawRequest): Promise<ReceivedMessage> {
    this.send(rawRequest(code, request))
    return this.next()
  }

  acknowledge(message: Message): void {
    this.send(Uint8Array.of(0x60, 0, message.id >> 8, message.id & 255))
  }

  reset(message: Message): void {
    this.send(Uint8Array.of(0x70, 0, message.id >> 8, message.id & 255))
  }

  /**
   * Everything that the server has sent by the time it answers a ping that is sent now: datagrams on loopback keep their order,
   * so an empty list means that what was sent before got no answer at once.
   */
  async beforePong(): Promise<ReceivedMessage[]> {
    const id = ++lastId
    this.send(Uint8Array.of(0x40, 0, id >> 8, id & 255))
    const before: ReceivedMessage[] = []
    for (;;) {
      const message = await this.next()
      if (message.type === TYPE.RST && message.id === id) return before
      before.push(message)
    }
  }

  close(): void {
    this.#socket.close()
  }
}
