import tls from 'node:tls'
import { atEnd } from './support.ts'

export const DATA = 0
export const HEADERS = 1
export const PRIORITY = 2
export const RST_STREAM = 3
export const SETTINGS = 4
export const PING = 6
export const GOAWAY = 7
export const WINDOW_UPDATE = 8
export const CONTINUATION = 9

export const END_STREAM = 1
const ACK = 1
export const END_HEADERS = 4
export const PADDED = 8

export const ENHANCE_YOUR_CALM = 11

/** A frame (RFC 9113 section 4.1). */
export const frame = (type: number, flags: number, stream: number, payload: Uint8Array = new Uint8Array(0)): Buffer => {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** Four bytes. */
export const word = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** A field block of literals that enter no table (RFC 7541 section 6.2.2), in Latin-1. */
export const block = (fields: readonly (readonly [name: string, value: string])[]): Buffer => {
  const text = (value: string): Buffer => {
    const bytes = Buffer.from(value, 'latin1')
    const size: number[] = bytes.length < 127 ? [bytes.length] : [127]
    for (let rest = bytes.length - 127; rest >= 0; rest = rest < 128 ? -1 : rest >> 7) size.push(rest < 128 ? rest : (rest & 127) | 128)
    return Buffer.concat([Buffer.from(size), bytes])
  }
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]))
}

export const get = (path: string, ...more: readonly (readonly [string, string])[]): Buffer =>
  block([[':method', 'GET'], [':scheme', 'https'], [':path', path], [':authority', 'localhost'], ...more])

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/** A client that sends and sees frames. */
export class FramePeer {
  readonly socket: tls.TLSSocket
  readonly frames: Frame[] = []
  closed = false
  #rest = Buffer.alloc(0)
  #wake: () => void = () => undefined
  #drain: () => void = () => undefined

  constructor(port: number, settings: Uint8Array = new Uint8Array(0)) {
    this.socket = tls.connect({ host: '127.0.0.1', port, ALPNProtocols: ['h2'], rejectUnauthorized: false })
    this.socket.on('data', chunk => this.#read(chunk))
    this.socket.on('error', () => undefined)
    this.socket.on('drain', () => this.#drain())
    this.socket.on('close', () => {
      this.closed = true
      this.#drain()
      this.#wake()
    })
    this.socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0, settings), frame(SETTINGS, ACK, 0)]))
    atEnd(() => this.socket.destroy())
  }

  send(...frames: readonly Uint8Array[]): this {
    this.socket.write(Buffer.concat(frames))
    return this
  }

  /** Writes again and again until the server ends the connection, at most `times`; resolves with how often it was done. */
  async flood(times: number, frames: (round: number) => Uint8Array): Promise<number> {
    for (let round = 0; round < times; round++) {
      if (this.closed || this.socket.destroyed) return round
      if (!this.socket.write(frames(round))) await this.#drained()
      if (round % 16 === 0) await new Promise(resolve => setImmediate(resolve))
    }
    return times
  }

  /** Resolves with the first frame that fits; rejects where none comes in ten seconds. */
  async until(type: number, stream?: number): Promise<Frame> {
    return (await this.#until(`a frame of type ${type}`, () =>
      this.frames.find(one => one.type === type && (stream ?? one.stream) === one.stream)
    )) as Frame
  }

  async untilClosed(): Promise<void> {
    await this.#until('the end', () => this.closed || undefined)
  }

  /** The code of GOAWAY. */
  get goodbye(): number | undefined {
    const last = this.frames.filter(({ type }) => type === GOAWAY).at(-1)
    return last?.payload.readUInt32BE(4)
  }

  async #until<T>(what: string, found: () => T | undefined): Promise<T> {
    const end = Date.now() + 10_000
    for (;;) {
      const value = found()
      if (value !== undefined) return value
      if (this.closed || Date.now() > end) throw new Error(`${what} did not come; ${this.closed ? 'closed' : 'open'}`)
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, 500)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  #drained(): Promise<void> {
    return new Promise(resolve => {
      this.#drain = resolve
    })
  }

  #read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk])
    while (this.#rest.length >= 9) {
      const end = 9 + this.#rest.readUIntBE(0, 3)
      if (this.#rest.length < end) break
      const [type, flags] = [this.#rest[3] as number, this.#rest[4] as number]
      this.frames.push({ type, flags, stream: this.#rest.readUInt32BE(5), payload: this.#rest.subarray(9, end) })
      this.#rest = this.#rest.subarray(end)
    }
    this.#wake()
  }
}
