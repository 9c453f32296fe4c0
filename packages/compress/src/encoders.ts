import * as zlib from 'node:zlib'

/** Content codings of answers. */
export type Encoding = 'br' | 'zstd' | 'gzip'

/** A stream of zlib: bytes in, compressed bytes out. */
export type Encoder = zlib.BrotliCompress | zlib.Gzip

/** The least and the greatest level of each coding. */
export const LEVELS: Readonly<Record<Encoding, readonly [number, number]>> = { br: [0, 11], zstd: [1, 19], gzip: [1, 9] }

/** Zstandard, which Node has from 22.15 on. */
interface Zstd {
  readonly createZstdCompress?: (options: object) => Encoder
  readonly zstdCompress?: (bytes: Uint8Array, options: object, done: (error: Error | null, result: Buffer) => void) => void
  readonly zstdCompressSync?: (bytes: Uint8Array, options: object) => Buffer
  readonly constants: { readonly ZSTD_c_compressionLevel?: number; readonly ZSTD_e_flush?: number }
}

const zstd = zlib as unknown as Zstd
const { constants } = zlib

/** True where this version of Node has the coding. */
export const available = (encoding: Encoding): boolean => encoding !== 'zstd' || typeof zstd.createZstdCompress === 'function'

/** Least and most bits of the window of gzip; Brotli has 4 MiB by default, far more than most answers have. */
const SMALLEST_WINDOW = 9
const LARGEST_WINDOW = 15
const BROTLI_WINDOW = 18

/** Bits of a window that holds `size` bytes: a small one is quickly made. */
const windowOf = (size: number | null): number =>
  size === null ? LARGEST_WINDOW : Math.min(LARGEST_WINDOW, Math.max(SMALLEST_WINDOW, 32 - Math.clz32(size)))

const optionsOf = (encoding: Encoding, level: number, size: number | null): object => {
  if (encoding === 'gzip') return { level, windowBits: windowOf(size) }
  if (encoding === 'zstd') return { params: { [zstd.constants.ZSTD_c_compressionLevel as number]: level } }
  const params = { [constants.BROTLI_PARAM_QUALITY]: level, [constants.BROTLI_PARAM_LGWIN]: BROTLI_WINDOW }
  return { params: size === null ? params : { ...params, [constants.BROTLI_PARAM_SIZE_HINT]: size } }
}

/** Compresses bytes at once. */
export const compressNow = (encoding: Encoding, level: number, bytes: Uint8Array): Uint8Array => {
  const options = optionsOf(encoding, level, bytes.length)
  if (encoding === 'gzip') return zlib.gzipSync(bytes, options)
  return encoding === 'br'
    ? zlib.brotliCompressSync(bytes, options)
    : (zstd.zstdCompressSync as NonNullable<Zstd['zstdCompressSync']>)(bytes, options)
}

/** Compresses bytes on another thread. */
export const compressLater = (encoding: Encoding, level: number, bytes: Uint8Array): Promise<Uint8Array> =>
  new Promise((resolve, reject) => {
    const options = optionsOf(encoding, level, bytes.length)
    const done = (error: Error | null, result: Buffer): void => (error === null ? resolve(result) : reject(error))
    if (encoding === 'gzip') zlib.gzip(bytes, options, done)
    else if (encoding === 'br') zlib.brotliCompress(bytes, options, done)
    else zstd.zstdCompress?.(bytes, options, done)
  })

/** A stream that compresses what is written to it. */
export const encoderOf = (encoding: Encoding, level: number): Encoder => {
  const options = optionsOf(encoding, level, null)
  if (encoding === 'gzip') return zlib.createGzip(options)
  return encoding === 'br' ? zlib.createBrotliCompress(options) : (zstd.createZstdCompress as NonNullable<Zstd['createZstdCompress']>)(options)
}

/** Writes out what an encoder holds back, so that the peer can read it now. */
export const flush = (encoder: Encoder, encoding: Encoding, done: () => void): void => {
  const kind =
    encoding === 'gzip' ? constants.Z_SYNC_FLUSH : encoding === 'br' ? constants.BROTLI_OPERATION_FLUSH : (zstd.constants.ZSTD_e_flush as number)
  encoder.flush(kind, done)
}
