import type { DirectoryEntry, FileInfo, FileSource, OpenFile } from './source.ts'

/** What a file in memory is made from; a string is UTF-8. */
export type MemoryContent = string | Uint8Array

/** Further facts of a file in memory. */
export interface MemoryFileOptions {
  readonly mediaType?: string
  /** Milliseconds since the epoch; now by default. */
  readonly lastModified?: number
}

/** Files held in memory. */
export interface MemorySource extends FileSource {
  /** Creates or replaces a file; the path begins with `/`. */
  set(path: string, content: MemoryContent, options?: MemoryFileOptions): void
  /** Removes a file; true when it was there. */
  delete(path: string): boolean
}

/** Files from a record of paths and contents, to be changed with `set` and `delete`. */
export const memory = (files: Readonly<Record<string, MemoryContent>> = {}): MemorySource => {
  const source = new Memory()
  for (const [path, content] of Object.entries(files)) source.set(path, content)
  return source
}

interface MemoryFile {
  readonly info: FileInfo
  readonly bytes: Uint8Array
}

class Memory implements MemorySource {
  readonly #files = new Map<string, MemoryFile>()
  /** How many files lie at any depth below a path. */
  readonly #directories = new Map<string, number>()
  // Two sources, or two runs of one, must not give one version to different contents.
  readonly #epoch = Date.now().toString(36) + Math.random().toString(36).slice(2, 6)
  #changes = 0

  set(path: string, content: MemoryContent, options: MemoryFileOptions = {}): void {
    if (!path.startsWith('/') || path.endsWith('/'))
      throw new TypeError(`A path begins with "/" and ends with a name: ${JSON.stringify(path)} does not`)
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content.slice()
    if (!this.#files.has(path)) this.#count(path, 1)
    this.#changes++
    this.#files.set(path, {
      bytes,
      info: {
        kind: 'file',
        size: bytes.length,
        lastModified: options.lastModified ?? Date.now(),
        version: this.#version(),
        ...(options.mediaType === undefined ? {} : { mediaType: options.mediaType })
      }
    })
  }

  delete(path: string): boolean {
    const existed = this.#files.delete(path)
    if (!existed) return false
    this.#count(path, -1)
    this.#changes++
    return true
  }

  async stat(path: string): Promise<FileInfo | undefined> {
    const file = this.#files.get(path)
    if (file !== undefined) return file.info
    return path === '/' || this.#directories.has(path) ? { kind: 'directory', size: 0, lastModified: 0, version: this.#version() } : undefined
  }

  async open(path: string): Promise<OpenFile | undefined> {
    const file = this.#files.get(path)
    return file && { info: file.info, read: async (start, end) => file.bytes.subarray(start, end), close: async () => {} }
  }

  async list(path: string, limit: number): Promise<readonly DirectoryEntry[]> {
    const prefix = path === '/' ? '/' : `${path}/`
    const entries = new Map<string, DirectoryEntry>()
    for (const name of this.#files.keys()) {
      if (entries.size >= limit) break
      if (!name.startsWith(prefix)) continue
      const rest = name.slice(prefix.length)
      const slash = rest.indexOf('/')
      const entry: DirectoryEntry = slash < 0 ? { name: rest, kind: 'file' } : { name: rest.slice(0, slash), kind: 'directory' }
      entries.set(entry.name, entry)
    }
    return [...entries.values()]
  }

  #version(): string {
    return `${this.#epoch}-${this.#changes.toString(36)}`
  }

  #count(path: string, change: number): void {
    for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
      const directory = path.slice(0, slash)
      const files = (this.#directories.get(directory) ?? 0) + change
      if (files === 0) this.#directories.delete(directory)
      else this.#directories.set(directory, files)
    }
  }
}
