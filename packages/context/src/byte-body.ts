/**
 * Bytes that are also a stream of one chunk: `for await` over plain bytes gives numbers, where the same loop over a
 * streamed body gives chunks. A class, because a property of each view costs several times as much; without a species, which would slow down
 * every typed array of the process.
 */
export class ByteBody extends Uint8Array {
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    if (this.length > 0) yield new Uint8Array(this.buffer, this.byteOffset, this.length)
  }
}

/** The same memory as a stream of one chunk. */
export const byteBody = (bytes: Uint8Array): ByteBody =>
  bytes instanceof ByteBody ? bytes : new ByteBody(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length)

/** The same memory as plain bytes. */
export const plainBytes = (bytes: Uint8Array): Uint8Array =>
  bytes instanceof ByteBody ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length) : bytes
