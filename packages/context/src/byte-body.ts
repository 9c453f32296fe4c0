/** Bytes that are also a stream of one chunk. */
export type ByteBody = Uint8Array & AsyncIterable<Uint8Array>

async function* once(this: Uint8Array): AsyncGenerator<Uint8Array, void> {
  if (this.length > 0) yield this.subarray()
}

const STREAM: PropertyDescriptor = { value: once, writable: true, configurable: true, enumerable: false }

/**
 * The same memory as a stream of one chunk: `for await` over plain bytes gives numbers, where the same loop over a
 * streamed body gives chunks. An own property of a view, so that it is equal to plain bytes, and `bytes` stays as it is.
 */
export const byteBody = (bytes: Uint8Array): ByteBody =>
  (Symbol.asyncIterator in bytes ? bytes : Object.defineProperty(bytes.subarray(), Symbol.asyncIterator, STREAM)) as ByteBody
