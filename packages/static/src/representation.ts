import { createHash } from 'node:crypto'
import { formatHttpDate } from '@iopa/appbuilder/extension'
import { HeaderMap, type RandomAccessBody } from '@iopa/transport'
import { type ChunkBudget, FileBody } from './body.ts'
import type { Encoding } from './encodings.ts'
import type { ByteRange, FileInfo, FileSource, OpenFile } from './source.ts'

/**
 * Which entity-tags the answers carry: `strong` (what the source says changes with every change: inode, size, times),
 * `weak` (size and modification time, equal on several machines that have the same tree), `hash` (of the content), or none.
 */
export type EtagPolicy = 'strong' | 'weak' | 'hash' | false

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
  /** Fields for every answer, before the computed ones. */
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
  /** The reading of the content that is under way, shared by all requests that wait for it. */
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

const HASH_CHUNK = 1 << 20

/** The entity-tag from what the source says about a file; `hash` needs the content instead. */
export const etagOf = (info: FileInfo, encoding: Encoding | undefined, policy: 'strong' | 'weak' | false): string | undefined => {
  if (policy === false) return undefined
  // Representations of one resource must differ in their tags even where their files would not (RFC 9110 section 8.8.3.3).
  const suffix = encoding === undefined ? '' : `-${encoding}`
  return policy === 'strong' ? `"${info.version}${suffix}"` : `W/"${info.size.toString(36)}-${Math.floor(info.lastModified).toString(36)}${suffix}"`
}

/** The entity-tag from the content; rejects when the file gets shorter while it is read. */
export const hashOf = async (file: OpenFile, encoding: Encoding | undefined): Promise<string> => {
  const hash = createHash('sha256')
  for (let at = 0; at < file.info.size; ) {
    const chunk = await file.read(at, Math.min(at + HASH_CHUNK, file.info.size))
    if (chunk.length === 0) throw new Error('the file got shorter while it was being read')
    hash.update(chunk)
    at += chunk.length
  }
  return `"${hash.digest('base64url').slice(0, 22)}${encoding === undefined ? '' : `-${encoding}`}"`
}
