import { BoundedCache } from './cache.ts'
import { ENCODING_SUFFIX } from './encodings.ts'
import type { FileResource, Lookup, LookupOptions, Resource, Seen } from './lookup.ts'
import type { FileRepresentation } from './representation.ts'
import type { FileSource, OpenFile } from './source.ts'

/** What is remembered of paths, and for how long; every field decided. */
export interface ResourceOptions extends LookupOptions {
  readonly maxBytes: number
  readonly maxFiles: number
  readonly maxFileSize: number
  /** Milliseconds. */
  readonly now: () => number
}

/** Content of a representation: bytes from the cache, or an open file that the caller closes. */
export interface Content {
  /** The representation that the content belongs to; a newer one when the file has changed since it was looked at. */
  readonly representation: FileRepresentation
  readonly bytes?: Uint8Array
  readonly file?: OpenFile
}

interface Known extends Seen {
  /** When the looking began that found this. */
  checkedAt: number
}

interface Check {
  readonly promise: Promise<Resource>
}

/** Nothing older than this is served without looking, in milliseconds. */
const MAX_STALENESS = 1000
/** From this age on a request starts a look for those that come after it. */
const REFRESH_AGE = 500
/** How often a file that keeps changing is read again before the request fails. */
const MAX_ATTEMPTS = 3

/** Remembers for at most a second what paths name, and keeps the content of small files. */
export class Resources {
  readonly #source: FileSource
  readonly #options: ResourceOptions
  readonly #known: BoundedCache<Known>
  readonly #checks = new Map<string, Check>()
  readonly #lookup: Lookup
  #loading = 0

  constructor(source: FileSource, lookup: Lookup, options: ResourceOptions) {
    this.#source = source
    this.#lookup = lookup
    this.#options = options
    this.#known = new BoundedCache(options)
  }

  /** Bytes that the cache holds, bookkeeping included. */
  get bytes(): number {
    return this.#known.bytes
  }

  /** What is known of a path, if it was looked at within the last second; starts another look when that one grows old. */
  peek(path: string): { readonly resource: Resource } | undefined {
    const known = this.#known.get(path)
    if (known === undefined) return undefined
    const age = this.#options.now() - known.checkedAt
    // Below zero the clock has been set back, and the age says nothing.
    if (age >= MAX_STALENESS || age < 0) return undefined
    if (age < REFRESH_AGE) return known
    if (!this.#checks.has(path)) this.#check(path, known).catch(() => this.#known.delete(path))
    return known
  }

  /** What a path names: known for less than a second, or looked at now. */
  find(path: string): Promise<Resource> {
    const recent = this.peek(path)
    if (recent !== undefined) return Promise.resolve(recent.resource)
    return this.#checks.get(path)?.promise ?? this.refresh(path)
  }

  /** What a path names, in a look that begins now; what is unchanged keeps its content. */
  refresh(path: string): Promise<Resource> {
    return this.#check(path, this.#known.get(path))
  }

  /** Forgets what is known of a file and of the paths that lead to it, so that the next request looks. */
  forget(path: string): void {
    const { index, extensions, encodings } = this.#options
    const slash = path.lastIndexOf('/') + 1
    this.#drop(path)
    this.#drop(`${path}/`)
    if (index.includes(path.slice(slash))) this.#drop(path.slice(0, slash))
    for (const extension of extensions) if (path.endsWith(`.${extension}`)) this.#drop(path.slice(0, -extension.length - 1))
    for (const encoding of encodings) {
      if (path.endsWith(ENCODING_SUFFIX[encoding])) this.forget(path.slice(0, -ENCODING_SUFFIX[encoding].length))
    }
  }

  /** The content of a representation of a resource found at a path; undefined when the file has gone meanwhile. */
  async content(path: string, resource: FileResource, representation: FileRepresentation): Promise<Content | undefined> {
    const { bytes } = representation
    if (bytes !== undefined) return { representation, bytes }
    if (this.#fits(representation.size) && this.#loading + representation.size <= this.#options.maxBytes) {
      representation.loading ??= this.#load(path, resource, representation).finally(() => {
        representation.loading = undefined
      })
      const loaded = await representation.loading
      if (loaded === undefined) return undefined
      if (loaded.bytes !== undefined) return { representation: loaded, bytes: loaded.bytes }
    }
    const file = await this.#source.open(representation.path)
    return file && { file, representation: await this.#lookup.current(representation, file) }
  }

  #fits(size: number): boolean {
    return size <= this.#options.maxFileSize && this.#known.fits(size)
  }

  #drop(path: string): void {
    this.#known.delete(path)
    // A look that has begun may have seen what was there before.
    this.#checks.delete(path)
  }

  #check(path: string, known: Known | undefined): Promise<Resource> {
    const checkedAt = this.#options.now()
    const promise = this.#lookup.look(path, known).then(
      ({ resource, unsettled }) => {
        if (this.#checks.get(path) !== check) return resource
        this.#checks.delete(path)
        if (known !== undefined && resource === known.resource && unsettled === known.unsettled && this.#known.get(path) === known)
          known.checkedAt = checkedAt
        else this.#known.set(path, { resource, checkedAt, unsettled })
        return resource
      },
      error => {
        if (this.#checks.get(path) === check) this.#checks.delete(path)
        throw error
      }
    )
    const check = { promise }
    this.#checks.set(path, check)
    return promise
  }

  async #load(path: string, resource: FileResource, wanted: FileRepresentation): Promise<FileRepresentation | undefined> {
    this.#loading += wanted.size
    try {
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        const file = await this.#source.open(wanted.path)
        if (file === undefined) return undefined
        const representation = await this.#lookup.current(wanted, file)
        try {
          // It has grown since it was looked at: as a large file, then.
          if (!this.#fits(representation.size)) return representation
          const bytes = await readAll(file, representation.size)
          if (bytes === undefined) continue
          if (representation !== wanted) replace(resource, wanted, representation)
          return this.#keep(path, resource, representation, bytes)
        } finally {
          await file.close()
        }
      }
      throw new Error(`${wanted.path} keeps changing while it is being read`)
    } finally {
      this.#loading -= wanted.size
    }
  }

  #keep(path: string, resource: FileResource, representation: FileRepresentation, bytes: Uint8Array): FileRepresentation {
    const known = this.#known.get(path)
    representation.bytes = bytes
    if (known?.resource === resource && this.#known.grow(path, known, bytes.length)) return representation
    // Removed from the cache meanwhile: the bytes are used only for the waiting requests.
    return representation
  }
}

const replace = (resource: FileResource, old: FileRepresentation, current: FileRepresentation): void => {
  if (resource.plain === old) resource.plain = current
  else resource.encoded = resource.encoded.map(representation => (representation === old ? current : representation))
}

const readAll = async (file: OpenFile, size: number): Promise<Uint8Array | undefined> => {
  if (size === 0) return new Uint8Array(0)
  const first = await file.read(0, size)
  if (first.length === size) return first
  const bytes = new Uint8Array(size)
  for (let at = 0, chunk = first; ; ) {
    if (chunk.length === 0) return undefined
    bytes.set(chunk, at)
    at += chunk.length
    if (at === size) return bytes
    chunk = await file.read(at, size)
  }
}
