import { type ChunkBudget, FileBody } from './body.ts'
import { formatHttpDate } from './dates.ts'
import type { Encoding } from './encodings.ts'
import type { ByteRange } from './ranges.ts'
import type { FileInfo, FileSource, OpenFile } from './source.ts'

/** One form of a resource, with the facts that every protocol renders in its own way. */
export interface Representation {
  /** With its quotes, `W/"..."` when weak. */
  readonly etag: string | undefined
  /** Milliseconds since the epoch. */
  readonly lastModified: number
  /** Bytes. */
  readonly size: number
  readonly mediaType: string
  readonly encoding: Encoding | undefined
  /** Opens the content or a part of it; undefined when the file has gone or changed since these facts were read. The caller closes a `FileBody`. */
  open(range?: ByteRange, signal?: AbortSignal): Promise<Uint8Array | FileBody | undefined>
}

/** Everything about a representation but its content. */
export interface RepresentationFacts {
  /** Path of the file in its source. */
  readonly path: string
  readonly info: FileInfo
  readonly etag: string | undefined
  readonly mediaType: string
  readonly encoding: Encoding | undefined
  readonly cacheControl: string | undefined
  /** True when the request chose among several representations. */
  readonly negotiated: boolean
}

/** A header section, names in lower case. */
export type HeaderRecord = Readonly<Record<string, string>>

/** A representation with its answers prepared, so that a cached one is sent without building anything. */
export class FileRepresentation implements Representation {
  readonly path: string
  readonly info: FileInfo
  readonly etag: string | undefined
  readonly lastModified: number
  readonly size: number
  readonly mediaType: string
  readonly encoding: Encoding | undefined
  readonly negotiated: boolean
  /** Header section of 200. */
  readonly headers: HeaderRecord
  /** Header section of 304: what a cache needs to update what it has (RFC 9110 section 15.4.5). */
  readonly validators: HeaderRecord
  /** The content, once it has been read into the cache. */
  bytes: Uint8Array | undefined = undefined
  /** The reading of the content that is under way, shared by everybody who waits for it. */
  loading: Promise<FileRepresentation | undefined> | undefined = undefined
  readonly #source: FileSource
  readonly #budget: ChunkBudget

  constructor(facts: RepresentationFacts, source: FileSource, budget: ChunkBudget) {
    this.#source = source
    this.#budget = budget
    this.path = facts.path
    this.info = facts.info
    this.etag = facts.etag
    // A date in the future must not be sent (RFC 9110 section 8.8.2.1).
    this.lastModified = Math.min(facts.info.lastModified, Date.now())
    this.size = facts.info.size
    this.mediaType = facts.mediaType
    this.encoding = facts.encoding
    this.negotiated = facts.negotiated
    this.validators = {
      ...(facts.etag === undefined ? {} : { etag: facts.etag }),
      'last-modified': formatHttpDate(this.lastModified),
      ...(facts.cacheControl === undefined ? {} : { 'cache-control': facts.cacheControl }),
      ...(facts.negotiated ? { vary: 'accept-encoding' } : {})
    }
    this.headers = {
      'content-type': facts.mediaType,
      'content-length': String(this.size),
      ...(facts.encoding === undefined ? {} : { 'content-encoding': facts.encoding }),
      'accept-ranges': 'bytes',
      ...this.validators
    }
  }

  async open(range: ByteRange = { start: 0, end: this.size }, signal?: AbortSignal): Promise<Uint8Array | FileBody | undefined> {
    if (this.bytes !== undefined) return this.bytes.subarray(range.start, range.end)
    const file = await this.#source.open(this.path)
    if (file === undefined || file.info.version === this.info.version) return file && this.bodyOf(file, range, signal)
    await file.close()
    return undefined
  }

  /** The body over a file that is open already. */
  bodyOf(file: OpenFile, range: ByteRange, signal?: AbortSignal): FileBody {
    return new FileBody(file, range, this.#budget, signal)
  }
}
