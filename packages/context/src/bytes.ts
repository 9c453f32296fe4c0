/** True for an ArrayBuffer or a SharedArrayBuffer, of any realm. */
export const isBuffer = (value: object): value is ArrayBufferLike => /^\[object (?:Shared)?ArrayBuffer\]$/.test(Object.prototype.toString.call(value))

/** The bytes of a typed array, a DataView or a buffer, without copying them. */
export const bytesOfView = (value: object): Uint8Array => {
  if (value instanceof Uint8Array) return value
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  return new Uint8Array(value as ArrayBufferLike)
}
