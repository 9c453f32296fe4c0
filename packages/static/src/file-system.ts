import { type BigIntStats, constants, statSync } from 'node:fs'
import { type FileHandle, lstat, open, opendir, readlink, realpath } from 'node:fs/promises'
import { join, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { IopaError } from '@iopa/appbuilder'
import { isServableName, type NamePolicy } from './names.ts'
import type { DirectoryEntry, FileInfo, FileSource, OpenFile } from './source.ts'

/** What a symbolic link may do: lead to somewhere else inside the root, anywhere, or nowhere. */
export type SymlinkPolicy = 'inside-root' | 'follow' | 'deny'

/** Options of `fileSystem()`. */
export interface FileSystemOptions {
  /** `inside-root` by default. The root itself may always be a link, and may be pointed elsewhere while serving. */
  readonly symlinks?: SymlinkPolicy
  /** `portable` by default: names that mean something else on Windows are refused. `posix` admits colons and device names, except on Windows. */
  readonly names?: NamePolicy
}

/** Files of a folder. Throws when it is not there, so that a wrong name shows at the start and not as a 404. */
export const fileSystem = (root: string | URL, options: FileSystemOptions = {}): FileSource =>
  new FileSystem(root, options.symlinks ?? 'inside-root', options.names ?? 'portable')

// O_NONBLOCK: opening a FIFO must not wait for its writer. O_NOFOLLOW: the path is resolved already, a link there is a new one.
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOFOLLOW ?? 0)

// Not there, not ours to read, or not a name on this file system: for a client all the same.
const ABSENT = new Set([
  'ENOENT',
  'ENOTDIR',
  'ELOOP',
  'ENAMETOOLONG',
  'EACCES',
  'EPERM',
  'EINVAL',
  'ENXIO',
  'ENODEV',
  'EILSEQ',
  'ERR_INVALID_ARG_VALUE'
])
const EXHAUSTED = new Set(['EMFILE', 'ENFILE', 'ENOMEM'])

/** How long the real path of the root is believed, in milliseconds. */
const ROOT_MAX_AGE = 500

/** How often an opened file is compared with its path where the system cannot tell the path of an open file. */
const LOOKS = 4

const BIGINT = { bigint: true } as const

class FileSystem implements FileSource {
  readonly #root: string
  readonly #symlinks: SymlinkPolicy
  readonly #names: NamePolicy
  #realRoot = ''
  #realRootAt = Number.NEGATIVE_INFINITY

  constructor(root: string | URL, symlinks: SymlinkPolicy, names: NamePolicy) {
    this.#root = resolve(typeof root === 'string' ? root : fileURLToPath(root))
    this.#symlinks = symlinks
    this.#names = names
    if (!statSync(this.#root, { throwIfNoEntry: false })?.isDirectory()) {
      throw new Error(`There is no folder ${this.#root} to serve files from: create it, or pass its absolute path.`)
    }
  }

  async stat(path: string): Promise<FileInfo | undefined> {
    return absentAsUndefined(async () => {
      const target = await this.#resolve(path)
      return target === undefined ? undefined : infoOf(await lstat(target, BIGINT))
    })
  }

  async open(path: string): Promise<OpenFile | undefined> {
    return absentAsUndefined(async () => {
      const target = await this.#resolve(path)
      // Opening a device can already be an act, so its kind is looked at first, and again on what was opened.
      if (target === undefined || !(await lstat(target)).isFile()) return undefined
      const handle = await open(target, OPEN_FLAGS)
      try {
        const stats = await handle.stat(BIGINT)
        if (stats.isFile() && (await this.#isOpened(handle, stats, path))) return new FileSystemFile(handle, infoOf(stats)!)
      } catch (error) {
        await handle.close()
        throw error
      }
      await handle.close()
      return undefined
    })
  }

  async list(path: string, limit: number): Promise<readonly DirectoryEntry[]> {
    const target = await absentAsUndefined(() => this.#resolve(path))
    if (target === undefined) return []
    const entries: DirectoryEntry[] = []
    for await (const entry of await opendir(target)) {
      if (entries.length >= limit) break
      if (!isServableName(entry.name, this.#names)) continue
      // A link counts as what it leads to, if it may be followed at all.
      const kind = entry.isFile()
        ? 'file'
        : entry.isDirectory()
          ? 'directory'
          : entry.isSymbolicLink()
            ? (await this.stat(path === '/' ? `/${entry.name}` : `${path}/${entry.name}`))?.kind
            : undefined
      if (kind !== undefined) entries.push({ name: entry.name, kind })
    }
    return entries
  }

  /** The real path of what a canonical path names, or undefined when it leaves the root. */
  async #resolve(path: string): Promise<string | undefined> {
    const segments = path === '/' ? [] : path.slice(1).split('/')
    // Callers check names too, but a source must be safe alone.
    if (path.charCodeAt(0) !== 0x2f || !segments.every(segment => isServableName(segment, this.#names))) return undefined
    const requested = join(this.#root, ...segments)
    const real = await realpath(requested)
    if (this.#symlinks === 'follow' || this.#permits(real, await this.#base(), segments)) return real
    // The root may have been pointed elsewhere since it was looked at.
    this.#realRootAt = Number.NEGATIVE_INFINITY
    return this.#permits(real, await this.#base(), segments) ? real : undefined
  }

  #permits(real: string, base: string, segments: readonly string[]): boolean {
    if (this.#symlinks === 'deny') return real === join(base, ...segments)
    // With the separator: `/srv/public-old` is not inside `/srv/public`.
    return real === base || real.startsWith(base.endsWith(sep) ? base : base + sep)
  }

  async #base(): Promise<string> {
    const now = performance.now()
    if (now - this.#realRootAt >= ROOT_MAX_AGE) {
      this.#realRoot = await realpath(this.#root)
      this.#realRootAt = now
    }
    return this.#realRoot
  }

  /** True if the path may lead to the opened file, even if something was swapped between stat and open. */
  async #isOpened(handle: FileHandle, stats: BigIntStats, path: string): Promise<boolean> {
    if (this.#symlinks === 'follow') return true
    const segments = path.slice(1).split('/')
    if (process.platform === 'linux') {
      const opened = await readlink(`/proc/self/fd/${handle.fd}`).catch(() => undefined)
      if (opened !== undefined) return this.#permits(opened, await this.#base(), segments)
    }
    // Without /proc no call tells where an open file lies. What the path leads to, through the root, must be the very file that is open;
    // since that takes two calls with a gap between, it must be so several times over.
    for (let look = 0; look < LOOKS; look++) {
      const target = await this.#resolve(path)
      if (target === undefined) return false
      const current = await lstat(target, BIGINT)
      if (current.dev !== stats.dev || current.ino !== stats.ino) return false
    }
    return true
  }
}

class FileSystemFile implements OpenFile {
  readonly info: FileInfo
  readonly #handle: FileHandle
  #closed: Promise<void> | undefined

  constructor(handle: FileHandle, info: FileInfo) {
    this.#handle = handle
    this.info = info
  }

  async read(start: number, end: number): Promise<Uint8Array> {
    // Not from the pool: a cached file would keep the whole slab it was cut from.
    const buffer = Buffer.allocUnsafeSlow(end - start)
    let length = 0
    while (length < buffer.length) {
      const { bytesRead } = await this.#handle.read(buffer, length, buffer.length - length, start + length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return length === buffer.length ? buffer : buffer.subarray(0, length)
  }

  async isUnchanged(): Promise<boolean> {
    return infoOf(await this.#handle.stat(BIGINT))?.version === this.info.version
  }

  close(): Promise<void> {
    this.#closed ??= this.#handle.close()
    return this.#closed
  }
}

const infoOf = (stats: BigIntStats): FileInfo | undefined => {
  const kind = stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : undefined
  if (kind === undefined) return undefined
  // Unlike the modification time, the change time cannot be set back.
  const version = [stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs - stats.mtimeNs].map(value => value.toString(36)).join('-')
  return { kind, size: kind === 'file' ? Number(stats.size) : 0, lastModified: Number(stats.mtimeMs), version }
}

const absentAsUndefined = async <T>(read: () => Promise<T>): Promise<T | undefined> => {
  try {
    return await read()
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (ABSENT.has(code)) return undefined
    if (EXHAUSTED.has(code))
      throw new IopaError(503, 'files-exhausted', 'The server has too many open files: try again later.', {
        cause: error,
        headers: { 'retry-after': '1' }
      })
    throw error
  }
}
