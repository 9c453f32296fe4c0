import { ALERT, HandshakeFailure } from './alerts.ts'

/** Reads the fields of a message; every length is checked. @throws HandshakeFailure `decode_error` where a field goes beyond the end. */
export class ByteReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Bytes that are left. */
  get left(): number {
    return this.#bytes.length - this.#at
  }

  /** A number of `size` bytes, 6 at most. */
  number(size: number): number {
    let value = 0
    for (const byte of this.take(size)) value = value * 256 + byte
    return value
  }

  /** A view of the next bytes. */
  take(length: number): Uint8Array {
    if (length > this.left) throw new HandshakeFailure(ALERT.DECODE_ERROR, `A field of ${length} bytes ends beyond its message.`)
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  /** A view of a vector whose length takes `size` bytes (RFC 5246 section 4.3). */
  vector(size: number, least = 0, most: number = 2 ** (8 * size) - 1): Uint8Array {
    const length = this.number(size)
    if (length < least || length > most) throw new HandshakeFailure(ALERT.DECODE_ERROR, `A vector of ${length} bytes has not ${least} to ${most}.`)
    return this.take(length)
  }

  /** Refuses bytes after the last field. */
  end(): void {
    if (this.left > 0) throw new HandshakeFailure(ALERT.DECODE_ERROR, `${this.left} bytes follow the last field of a message.`)
  }
}

/** A number in `size` bytes. */
export const numberBytes = (value: number, size: number): Buffer => {
  const bytes = Buffer.allocUnsafe(size)
  bytes.writeUIntBE(value, 0, size)
  return bytes
}

/** A vector whose length takes `size` bytes. */
export const vector = (size: number, ...parts: readonly Uint8Array[]): Buffer => {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat([numberBytes(length, size), ...parts])
}
