import { ProtocolError } from './protocol-error.ts'
import { REASON } from './reason-codes.ts'
import { asBuffer } from './utf8.ts'

/** Takes one whole packet, which lies in `bytes` from `start` (its first byte) over `body` (behind the length) to `end`; false stops the reading. */
export type FrameHandler = (bytes: Buffer, start: number, body: number, end: number) => boolean

const SMALLEST_BUFFER = 256

/**
 * Cuts a byte stream into packets. A packet over the limit is refused by its header, before any of it is buffered; one that comes
 * in pieces is gathered in a buffer that grows with what really arrived, never with what the header promised.
 */
export class FrameGuard {
  /** Bytes of a whole packet, header included. */
  maxPacketSize: number
  readonly #handle: FrameHandler
  /** Bytes that wait: the beginning of a packet, or whole packets after the handler said stop. */
  #rest: Buffer | null = null
  /** Bytes that wait for more, or for `resume()`. */
  waiting = 0
  /** True after the handler said stop, or after `close()`. */
  stopped = false
  #closed = false

  constructor(maxPacketSize: number, handle: FrameHandler) {
    this.maxPacketSize = maxPacketSize
    this.#handle = handle
  }

  push(chunk: Uint8Array): void {
    if (this.#closed) return
    const bytes = Buffer.isBuffer(chunk) ? chunk : asBuffer(chunk)
    if (this.#rest) {
      this.#gather(bytes)
      if (!this.stopped) this.#drain()
      return
    }
    if (this.stopped) {
      this.#keep(bytes, 0, bytes.length)
      return
    }
    const at = this.#cut(bytes, 0, bytes.length)
    if (at < bytes.length && !this.#closed) this.#keep(bytes, at, bytes.length)
  }

  /** Goes on with what waits after the handler said stop. */
  resume(): void {
    if (!this.stopped || this.#closed) return
    this.stopped = false
    if (this.#rest) this.#drain()
  }

  /** Drops what waits; nothing is handled any more. */
  close(): void {
    this.stopped = true
    this.#closed = true
    this.#rest = null
    this.waiting = 0
  }

  #drain(): void {
    const rest = this.#rest as Buffer
    const length = this.waiting
    // The handler may close the guard; otherwise what is left is put back afterwards.
    this.#rest = null
    this.waiting = 0
    const at = this.#cut(rest, 0, length)
    if (at === length || this.#closed) return
    this.#rest = at === 0 ? rest : rest.subarray(at)
    this.waiting = length - at
  }

  /** Handles every whole packet and returns where the first unfinished one begins. */
  #cut(bytes: Buffer, from: number, to: number): number {
    let start = from
    while (to - start >= 2) {
      let at = start + 1
      let byte = bytes[at++] as number
      let length = byte & 127
      if (byte > 127) {
        let shift = 7
        for (;;) {
          if (at === to) return start
          byte = bytes[at++] as number
          length |= (byte & 127) << shift
          if (byte < 128) break
          if ((shift += 7) > 21) throw new ProtocolError(REASON.MALFORMED_PACKET, 'the remaining length has more than four bytes')
        }
        if (byte === 0) throw new ProtocolError(REASON.MALFORMED_PACKET, 'the remaining length is longer than it needs to be')
      }
      const end = at + length
      if (end - start > this.maxPacketSize) throw new ProtocolError(REASON.PACKET_TOO_LARGE, `a packet has more than ${this.maxPacketSize} bytes`)
      if (end > to) return start
      const begin = start
      start = end
      if (!this.#handle(bytes, begin, at, end)) {
        this.stopped = true
        return start
      }
    }
    return start
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    const length = to - from
    // A copy, for a few waiting bytes must not hold the whole chunk they came in.
    const rest = Buffer.allocUnsafeSlow(Math.max(SMALLEST_BUFFER, length))
    bytes.copy(rest, 0, from, to)
    this.#rest = rest
    this.waiting = length
  }

  #gather(bytes: Buffer): void {
    const length = this.waiting + bytes.length
    let rest = this.#rest as Buffer
    if (length > rest.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(length, rest.length * 2))
      rest.copy(grown, 0, 0, this.waiting)
      this.#rest = rest = grown
    }
    bytes.copy(rest, this.waiting)
    this.waiting = length
  }
}
