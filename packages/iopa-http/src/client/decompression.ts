import { pipeline, Readable } from 'node:stream'
import zlib from 'node:zlib'
import { badAnswer, IopaError, isIopaError } from '@iopa/transport'

/** Codings of one answer: more are an attack. */
const MOST_CODINGS = 3
/** How many times longer than what has arrived an answer may become beyond `limits.body`. */
const MOST_EXPANSION = 100
/** 8 MiB, as RFC 8878 section 3.1.1.1.2 recommends. */
const ZSTD_WINDOW_LOG = 23

type Decoder = NodeJS.ReadWriteStream & AsyncIterable<Uint8Array> & { destroy(error?: Error): unknown }

/** Since Node 22.15. */
interface WithZstd {
  readonly createZstdDecompress?: (options: object) => Decoder
  readonly constants: { readonly ZSTD_d_windowLogMax?: number }
}

const { createZstdDecompress, constants } = zlib as unknown as WithZstd

const DECODERS: Readonly<Record<string, () => Decoder>> = {
  gzip: () => zlib.createGunzip(),
  'x-gzip': () => zlib.createGunzip(),
  br: () => zlib.createBrotliDecompress(),
  ...(createZstdDecompress !== undefined && {
    zstd: () => createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax as number]: ZSTD_WINDOW_LOG } })
  })
}

/** What the client asks for. */
export const ACCEPT_ENCODING: string = Object.keys(DECODERS)
  .filter(name => name !== 'x-gzip')
  .join(', ')

/** The codings of an answer, the last one first; null where there is nothing that this client decodes. @throws IopaError 502 `bad-answer` */
export const codingsOf = (field: string | undefined): readonly string[] | null => {
  if (field === undefined) return null
  const codings = field
    .toLowerCase()
    .split(',')
    .map(name => name.trim())
    .filter(name => name !== '' && name !== 'identity')
  if (codings.length > MOST_CODINGS) throw badAnswer(`The answer has ${codings.length} content codings; this client decodes ${MOST_CODINGS} at most.`)
  return codings.length === 0 || codings.some(name => !Object.hasOwn(DECODERS, name)) ? null : codings.reverse()
}

/**
 * The decoded body, as fast as it is read. Beyond `limit` bytes it may be a hundred times as long as what has arrived, so that a small answer cannot
 * fill the memory. Reading rejects with 502 `received-too-large` and `bad-answer`.
 */
export async function* decoded(body: AsyncIterable<Uint8Array>, codings: readonly string[], limit: number): AsyncGenerator<Uint8Array> {
  let arrived = 0
  let length = 0
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      arrived += chunk.length
      yield chunk
    }
  }
  let failure: unknown
  const source = Readable.from(counted(), { objectMode: false })
  source.once('error', error => {
    failure ??= error
  })
  const decoders = codings.map(name => (DECODERS[name] as () => Decoder)())
  const last = decoders[decoders.length - 1] as Decoder
  pipeline([source, ...decoders] as [Readable, Decoder], () => undefined)
  try {
    for await (const chunk of last) {
      length += chunk.length
      if (length > limit && length > arrived * MOST_EXPANSION) throw expanded(limit)
      yield chunk
    }
  } catch (error) {
    if (isIopaError(failure)) throw failure
    if (isIopaError(error)) throw error
    // An empty body has no coding.
    if (arrived > 0) throw badAnswer('The body of the answer is not in its content coding, or not all of it came.', error)
  } finally {
    last.destroy()
  }
}

const expanded = (limit: number): IopaError =>
  new IopaError(
    502,
    'received-too-large',
    `The decoded answer is longer than ${limit} bytes and ${MOST_EXPANSION} times as long as what has arrived: raise limits.body of this client if that is wanted.`
  )
