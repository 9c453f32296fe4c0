import type { Payload } from './payload-stream.ts'

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

/** A part of the same memory as a stream of one chunk: as cheap as `subarray`, so a transport that knows the part of a body makes it at once. */
export const byteBody = (bytes: Uint8Array, start = 0, end: number = bytes.length): ByteBody =>
  new ByteBody(bytes.buffer as ArrayBuffer, bytes.byteOffset + start, end - start)

/** The same memory as plain bytes. */
export const plainBytes = (bytes: Uint8Array): Uint8Array =>
  bytes instanceof ByteBody ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length) : bytes

/** A payload as chunks of bytes: one chunk where it is in memory. */
export const streamOf = (payload: Payload): AsyncIterable<Uint8Array> => {
  if (payload === null) return new ByteBody(0)
  if (typeof payload === 'string') return byteBody(new TextEncoder().encode(payload))
  return payload instanceof Uint8Array ? byteBody(payload) : payload
}
