import { ChunkBudget } from './body.ts'
import { BoundedCache } from './cache.ts'
import { ENCODING_SUFFIX, type Encoding } from './encodings.ts'
import { type EtagPolicy, etagOf, hashOf } from './etags.ts'
import { type MediaTypeOptions, mediaTypeOf, withCharset } from './media-types.ts'
import { isServed, type NameRules, servableSegments } from './names.ts'
import { FileRepresentation, type Representation } from './representation.ts'
import type { DirectoryEntry, FileInfo, FileSource, OpenFile } from './source.ts'

/** How paths become representations; every field decided. */
export interface ResourceOptions extends MediaTypeOptions, NameRules {
  readonly index: readonly string[]
  readonly extensions: readonly string[]
  readonly encodings: readonly Encoding[]
  readonly etag: EtagPolicy
  /** Header fields of every answer with a representation of the file at `path`. */
  readonly headers: (path: string, representation: Representation) => Readonly<Record<string, string>>
  readonly maxBytes: number
  readonly maxFiles: number
  readonly maxFileSize: number
  /** Milliseconds. */
  readonly now: () => number
}

/** A path that names a file, in all its representations. */
export interface FileResource {
  readonly kind: 'file'
  /** Path of the file in its source, which differs from the path asked for when an index or an extension was added. */
  readonly path: string
  /** Not encoded. */
  plain: FileRepresentation
  /** Precompressed, in order of preference. */
  encoded: readonly FileRepresentation[]
  /** The codings of `encoded`. */
  readonly encodings: readonly Encoding[]
}

/** A path that names a directory without an index, or a directory asked for without its final slash. */
interface DirectoryResource {
  readonly kind: 'directory'
  readonly info: FileInfo
}

/** What a path names; `undefined` when nothing may be served there. */
export type Resource = FileResource | DirectoryResource | undefined

/** Content of a representation: bytes from the cache, or an open file that the caller closes. */
export interface Content {
  /** The representation that the content belongs to; a newer one when the file has changed since it was looked at. */
  readonly representation: FileRepresentation
  readonly bytes?: Uint8Array
  readonly file?: OpenFile
}

interface Known {
  readonly resource: Resource
  /** When the looking began that found this. */
  checkedAt: number
  /** True when a change right after the last one might show neither in times nor in size. */
  readonly unsettled: boolean
}

interface Check {
  readonly promise: Promise<Resource>
}

/** Nothing older than this is served without looking, in milliseconds. */
const MAX_STALENESS = 1000
/** From this age on a request starts a look for those that come after it. */
const REFRESH_AGE = 500
/** Coarsest time stamps of common file systems (FAT), in milliseconds. */
const TIMESTAMP_STEP = 2000
/** How often a file that keeps changing is read again before it is given up. */
const MAX_ATTEMPTS = 3

/** Finds what paths name in a source and remembers it for at most a second. */
export class Resources {
  readonly #source: FileSource
  readonly #options: ResourceOptions
  readonly #known: BoundedCache<Known>
  readonly #checks = new Map<string, Check>()
  readonly #budget = new ChunkBudget()
  #loading = 0

  constructor(source: FileSource, options: ResourceOptions) {
    this.#source = source
    this.#options = options
    this.#known = new BoundedCache(options)
  }

  /** Bytes that the cache holds, bookkeeping included. */
  get bytes(): number {
    return this.#known.bytes
  }

  /** True when the source can list directories. */
  get canList(): boolean {
    return this.#source.list !== undefined
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
    return file && { file, representation: await this.#current(representation, file) }
  }

  /** What the source says of a directory that may be served; the path has no final slash but for the root. */
  async directory(path: string): Promise<FileInfo | undefined> {
    if (servableSegments(path, this.#options) === undefined) return undefined
    const info = await this.#source.stat(path)
    return info?.kind === 'directory' ? info : undefined
  }

  /** The members of a directory that may be served. */
  async list(path: string, limit: number): Promise<readonly DirectoryEntry[]> {
    const entries = (await this.#source.list?.(path, limit)) ?? []
    return entries.filter(({ name }) => isServed(name, this.#options))
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
    const promise = this.#look(path, known).then(
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

  async #look(path: string, known: Known | undefined): Promise<{ resource: Resource; unsettled: boolean }> {
    const target = await this.#target(path)
    if (target === undefined) return { resource: undefined, unsettled: false }
    if (target.info.kind === 'directory') return { resource: { kind: 'directory', info: target.info }, unsettled: false }
    const variants = await Promise.all(this.#options.encodings.map(encoding => this.#variant(target, encoding)))
    const encoded = variants.filter(variant => variant !== undefined)
    const found = [target, ...encoded]
    const unsettled = found.some(({ info }) => Math.abs(Date.now() - info.lastModified) < TIMESTAMP_STEP)
    const previous = known?.resource
    if (known?.unsettled === false && previous?.kind === 'file' && isSame([previous.plain, ...previous.encoded], found)) {
      return { resource: previous, unsettled }
    }
    const negotiated = encoded.length > 0
    const plain = await this.#represent(target, undefined, negotiated)
    const representations = await Promise.all(encoded.map(variant => this.#represent(variant, variant.encoding, true)))
    return {
      unsettled,
      resource: { kind: 'file', path: target.path, plain, encoded: representations, encodings: encoded.map(({ encoding }) => encoding) }
    }
  }

  /** The file or directory behind a path: itself, an index, or a file whose extension was left out. */
  async #target(path: string): Promise<Located | undefined> {
    const slash = path.endsWith('/')
    const plain = slash && path !== '/' ? path.slice(0, -1) : path
    if (servableSegments(plain, this.#options) === undefined) return undefined
    if (!slash) {
      const info = await this.#source.stat(path)
      if (info !== undefined) return { path, info }
      return this.#firstFile(this.#options.extensions.map(extension => `${path}.${extension}`))
    }
    const index = await this.#firstFile(this.#options.index.map(name => path + name))
    if (index !== undefined) return index
    const info = await this.#source.stat(plain)
    return info?.kind === 'directory' ? { path: plain, info } : undefined
  }

  async #firstFile(paths: readonly string[]): Promise<Located | undefined> {
    for (const path of paths) {
      const info = await this.#source.stat(path)
      if (info?.kind === 'file') return { path, info }
    }
    return undefined
  }

  async #variant(target: Located, encoding: Encoding): Promise<(Located & { encoding: Encoding }) | undefined> {
    const path = target.path + ENCODING_SUFFIX[encoding]
    const info = await this.#source.stat(path)
    // An older one was made from what the file has been before.
    return info?.kind === 'file' && info.lastModified >= target.info.lastModified ? { path, info: withMediaType(info, target), encoding } : undefined
  }

  async #represent({ path, info }: Located, encoding: Encoding | undefined, negotiated: boolean, file?: OpenFile): Promise<FileRepresentation> {
    const { etag, headers } = this.#options
    const original = encoding === undefined ? path : path.slice(0, -ENCODING_SUFFIX[encoding].length)
    const facts = {
      path,
      info,
      encoding,
      negotiated,
      etag: etag === 'hash' ? await this.#hash(path, encoding, file) : etagOf(info, encoding, etag),
      mediaType: info.mediaType === undefined ? mediaTypeOf(original, this.#options) : withCharset(info.mediaType, this.#options),
      headers: (representation: Representation) => headers(original, representation)
    }
    return new FileRepresentation(facts, this.#source, this.#budget)
  }

  async #hash(path: string, encoding: Encoding | undefined, opened?: OpenFile): Promise<string | undefined> {
    const file = opened ?? (await this.#source.open(path))
    try {
      return file && (await hashOf(file, encoding))
    } finally {
      if (file !== opened) await file?.close()
    }
  }

  /** The representation that an opened file is of: the one at hand, or another when the file has changed since. */
  async #current(representation: FileRepresentation, file: OpenFile): Promise<FileRepresentation> {
    if (file.info.version === representation.info.version) return representation
    try {
      const info = representation.info.mediaType === undefined ? file.info : { ...file.info, mediaType: representation.info.mediaType }
      return await this.#represent({ path: representation.path, info }, representation.encoding, representation.negotiated, file)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  async #load(path: string, resource: FileResource, wanted: FileRepresentation): Promise<FileRepresentation | undefined> {
    this.#loading += wanted.size
    try {
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        const file = await this.#source.open(wanted.path)
        if (file === undefined) return undefined
        const representation = await this.#current(wanted, file)
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
    // Forgotten meanwhile: the bytes serve those who wait for them, and go with them.
    return representation
  }
}

interface Located {
  readonly path: string
  readonly info: FileInfo
}

const isSame = (representations: readonly FileRepresentation[], found: readonly Located[]): boolean =>
  representations.length === found.length &&
  representations.every(({ path, info }, at) => {
    const current = found[at]!
    return path === current.path && info.version === current.info.version && info.mediaType === current.info.mediaType
  })

const withMediaType = (info: FileInfo, { info: { mediaType } }: Located): FileInfo => (mediaType === undefined ? info : { ...info, mediaType })

/** Text that differs when what a path names has changed. */
export const stateOf = (resource: Resource): string => {
  if (resource === undefined) return ''
  if (resource.kind === 'directory') return `/${resource.info.version}`
  return [resource.plain, ...resource.encoded].map(({ path, info }) => `${path} ${info.version}`).join('\n')
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
