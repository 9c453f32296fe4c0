import { formatHttpDate } from '@iopa/appbuilder/extension'
import { HeaderMap, type RandomAccessBody } from '@iopa/transport'
import { type ChunkBudget, FileBody } from './body.ts'
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
  /** The content or a part of it; undefined when the file has gone or changed since these facts were read. The caller disposes of what it opened. */
  open(range?: ByteRange, signal?: AbortSignal): Promise<Uint8Array | (RandomAccessBody & AsyncDisposable) | undefined>
}

/** Everything about a representation but its content. */
export interface RepresentationFacts {
  /** Path of the file in its source. */
  readonly path: string
  readonly info: FileInfo
  readonly etag: string | undefined
  readonly mediaType: string
  readonly encoding: Encoding | undefined
  /** True when the request chose among several representations. */
  readonly negotiated: boolean
  /** Fields for every answer, beside and before those that follow from the facts. */
  readonly headers: (representation: Representation) => Readonly<Record<string, string>>
}

/** A representation with its header fields prepared, so that a cached one is sent without building anything. */
export class FileRepresentation implements Representation {
  readonly path: string
  readonly info: FileInfo
  readonly etag: string | undefined
  readonly lastModified: number
  readonly size: number
  readonly mediaType: string
  readonly encoding: Encoding | undefined
  readonly negotiated: boolean
  /** Header fields of 200, a flat list of names and values. */
  readonly headers: string[]
  /** Header fields of 304: what a cache needs to update what it has (RFC 9110 section 15.4.5). */
  readonly validators: string[]
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
    const validators = HeaderMap.from({ 'last-modified': formatHttpDate(this.lastModified), ...facts.headers(this) })
    if (facts.etag !== undefined) validators.set('etag', facts.etag)
    if (facts.negotiated) validators.append('vary', 'accept-encoding')
    this.validators = [...validators.pairs()]
    this.headers = ['accept-ranges', 'bytes', ...this.validators]
    if (facts.encoding !== undefined) this.headers.push('content-encoding', facts.encoding)
  }

  async open(range: ByteRange = { start: 0, end: this.size }, signal?: AbortSignal): Promise<Uint8Array | FileBody | undefined> {
    signal?.throwIfAborted()
    if (this.bytes !== undefined) return this.bytes.subarray(range.start, range.end)
    const file = await this.#open()
    return file && this.bodyOf(file, range)
  }

  /** The whole content as a body that is opened when it is first read. */
  unopened(): FileBody {
    const open = async (): Promise<OpenFile> => {
      const file = await this.#open()
      if (file === undefined) throw new Error('the file has changed since it was looked at')
      return file
    }
    return new FileBody(open, { start: 0, end: this.size }, this.#budget)
  }

  /** The body over a file that is open already. */
  bodyOf(file: OpenFile, range: ByteRange): FileBody {
    return new FileBody(file, range, this.#budget)
  }

  async #open(): Promise<OpenFile | undefined> {
    const file = await this.#source.open(this.path)
    if (file === undefined || file.info.version === this.info.version) return file
    await file.close()
    return undefined
  }
}
