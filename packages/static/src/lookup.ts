import { ChunkBudget } from './body.ts'
import { ENCODING_SUFFIX, type Encoding } from './encodings.ts'
import { type MediaTypeOptions, mediaTypeOf, withCharset } from './media-types.ts'
import { isServed, type NameRules, servableSegments } from './names.ts'
import { type EtagPolicy, etagOf, FileRepresentation, hashOf, type Representation } from './representation.ts'
import type { DirectoryEntry, FileInfo, FileSource, OpenFile } from './source.ts'

/** How paths become representations; every field decided. */
export interface LookupOptions extends MediaTypeOptions, NameRules {
  readonly index: readonly string[]
  readonly extensions: readonly string[]
  readonly encodings: readonly Encoding[]
  readonly etag: EtagPolicy
  /** Header fields of every answer with a representation of the file at `path`. */
  readonly headers: (path: string, representation: Representation) => Readonly<Record<string, string>>
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

/** A resource as it was seen at one time. */
export interface Seen {
  readonly resource: Resource
  /** True when a change right after the look might show neither in times nor in size. */
  readonly unsettled: boolean
}

/** Coarsest time stamps of common file systems (FAT), in milliseconds. */
const TIMESTAMP_STEP = 2000

/** Finds what paths name in a source: files with their precompressed forms, indexes, extensions left out, directories. It remembers nothing. */
export class Lookup {
  readonly #source: FileSource
  readonly #options: LookupOptions
  readonly #budget = new ChunkBudget()

  constructor(source: FileSource, options: LookupOptions) {
    this.#source = source
    this.#options = options
  }

  /** True when the source can list directories. */
  get canList(): boolean {
    return this.#source.list !== undefined
  }

  /** What a path names now; a resource seen `before`, and settled then, is given back where nothing has changed. */
  async look(path: string, before: Seen | undefined): Promise<Seen> {
    const target = await this.#target(path)
    if (target === undefined) return { resource: undefined, unsettled: false }
    if (target.info.kind === 'directory') return { resource: { kind: 'directory', info: target.info }, unsettled: false }
    const variants = await Promise.all(this.#options.encodings.map(encoding => this.#variant(target, encoding)))
    const encoded = variants.filter(variant => variant !== undefined)
    const found = [target, ...encoded]
    const unsettled = found.some(({ info }) => Math.abs(Date.now() - info.lastModified) < TIMESTAMP_STEP)
    const previous = before?.resource
    if (before?.unsettled === false && previous?.kind === 'file' && isSame([previous.plain, ...previous.encoded], found)) {
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

  /** The representation that an opened file is of: the one at hand, or another when the file has changed since. */
  async current(representation: FileRepresentation, file: OpenFile): Promise<FileRepresentation> {
    if (file.info.version === representation.info.version) return representation
    try {
      const info = representation.info.mediaType === undefined ? file.info : { ...file.info, mediaType: representation.info.mediaType }
      return await this.#represent({ path: representation.path, info }, representation.encoding, representation.negotiated, file)
    } catch (error) {
      await file.close()
      throw error
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
