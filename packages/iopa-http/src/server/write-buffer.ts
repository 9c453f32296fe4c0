import type { ByteChannel } from '@iopa/transport'

// Bytes up to which copying two pieces into one costs less than handing the system both.
const COPY = 4 * 1024
// Bytes up to which a chunk of a stream is copied: its source may use the array again for the next one. A longer one is
// waited for until the peer has taken it.
const CHUNK_COPY = 64 * 1024
// Text up to which the socket encodes it without an array of its own.
const TEXT = 16 * 1024
// Beyond this many bytes the answers of one read leave before all of them are made, so that a slow reader is noticed.
const FLUSH = 64 * 1024

/** What leaves on one connection: pieces are joined until `flush`, and leave as one write where they are short. */
export class WriteBuffer {
  readonly #channel: ByteChannel
  /** Text behind the pieces. */
  #text = ''
  #pieces: (string | Uint8Array)[] = []
  /** Bytes that wait; counts UTF-16 units of text, which is near enough. */
  #waiting = 0
  /** True while the peer does not read as fast as is written. */
  blocked = false

  #flushing: ReturnType<typeof setImmediate> | null = null

  constructor(channel: ByteChannel) {
    this.#channel = channel
  }

  /** Adds a head, of which `ascii` says whether it is the same in UTF-8 and in Latin-1, and the text behind it. */
  head(head: string, ascii: boolean, body = ''): void {
    if (ascii) this.text(head + body)
    else {
      this.bytes(Buffer.from(head, 'latin1'))
      if (body !== '') this.text(body)
    }
  }

  /** Adds text, which leaves as UTF-8. */
  text(text: string): void {
    this.#text += text
    this.#waiting += text.length
    if (this.#waiting > FLUSH) this.flush()
  }

  /** Adds bytes, which must not change any more. */
  bytes(bytes: Uint8Array): void {
    if (this.#text !== '') this.#pieces.push(this.#text)
    this.#text = ''
    this.#pieces.push(bytes)
    this.#waiting += bytes.length
    if (this.#waiting > FLUSH) this.flush()
  }

  /** Adds a chunk of a stream, which may change once `flush` has been called. */
  chunk(bytes: Uint8Array): void {
    this.bytes(bytes.length > COPY && bytes.length <= CHUNK_COPY ? Buffer.from(bytes) : bytes)
  }

  /** Writes everything that waits. */
  flush(): void {
    if (this.#waiting === 0) return
    this.#waiting = 0
    const text = this.#text
    this.#text = ''
    if (this.#pieces.length === 0 && text.length <= TEXT) {
      this.#write(text)
      return
    }
    const pieces = this.#pieces
    this.#pieces = []
    if (text !== '') pieces.push(text)
    this.#writeJoined(pieces)
  }

  /** Writes everything that waits, and what is added in this turn of the event loop, at its end. */
  flushSoon(): void {
    if (this.#waiting > 0) this.#flushing ??= setImmediate(WriteBuffer.#flushLate, this)
  }

  /** The channel is gone. */
  close(): void {
    if (this.#flushing !== null) clearImmediate(this.#flushing)
  }

  /** The channel's `drain`. */
  drained(): void {
    this.blocked = false
  }

  static #flushLate(buffer: WriteBuffer): void {
    buffer.#flushing = null
    buffer.flush()
  }

  /** Writes long pieces as they are, and short ones joined. */
  #writeJoined(pieces: readonly (string | Uint8Array)[]): void {
    let joined: Uint8Array[] | null = null
    let from = 0
    let length = 0
    for (let at = 0; at < pieces.length; at++) {
      const piece = pieces[at] as string | Uint8Array
      const size = typeof piece === 'string' ? Buffer.byteLength(piece) : piece.length
      if (typeof piece !== 'string' && size > COPY) {
        joined ??= []
        if (length > 0) joined.push(join(pieces, from, at, length))
        joined.push(piece)
        from = at + 1
        length = 0
      } else length += size
    }
    if (joined === null) {
      this.#write(join(pieces, 0, pieces.length, length))
      return
    }
    if (length > 0) joined.push(join(pieces, from, pieces.length, length))
    if (joined.length > 1 && this.#channel.writeAll !== undefined) {
      if (!this.#channel.writeAll(joined)) this.blocked = true
    } else for (const piece of joined) this.#write(piece)
  }

  #write(piece: string | Uint8Array): void {
    if (!this.#channel.write(piece)) this.blocked = true
  }
}

/** Pieces `from` to `to`, which have `length` bytes, as one. */
const join = (pieces: readonly (string | Uint8Array)[], from: number, to: number, length: number): Uint8Array => {
  const joined = Buffer.allocUnsafe(length)
  let at = 0
  for (let index = from; index < to; index++) {
    const piece = pieces[index] as string | Uint8Array
    if (typeof piece === 'string') at += joined.write(piece, at)
    else {
      joined.set(piece, at)
      at += piece.length
    }
  }
  return joined
}
