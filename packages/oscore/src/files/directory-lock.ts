import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { IopaError } from '@iopa/transport'
import { errorCode, type FileSystem } from './file-system.ts'
import { mayRun, type ProcessIdentity, thisProcess } from './process-identity.ts'

const NAME = 'lock'

/** Keeps a directory for one process. It says early that there are two; what they claim is unique in any case, for a file is made once. */
export class DirectoryLock {
  readonly #files: FileSystem
  readonly #path: string
  readonly #content: string

  private constructor(files: FileSystem, path: string, content: string) {
    this.#files = files
    this.#path = path
    this.#content = content
  }

  /** @throws IopaError 503 `store-locked` if another process may use the directory */
  static async take(files: FileSystem, directory: string): Promise<DirectoryLock> {
    const path = join(directory, NAME)
    const content = JSON.stringify({ ...thisProcess(), token: randomUUID() })
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        await files.create(path, content)
        return new DirectoryLock(files, path, content)
      } catch (error) {
        if (errorCode(error) !== 'EEXIST') throw error
      }
      const owner = await ownerOf(files, path)
      if (owner === 'gone') continue
      if (owner !== undefined && mayRun(owner)) throw locked(directory, ` (process ${owner.pid} on ${owner.host})`)
      await files.remove(path).catch(error => {
        if (errorCode(error) !== 'ENOENT') throw error
      })
    }
    throw locked(directory, '')
  }

  /** @throws IopaError 503 `store-locked` if the lock was taken away */
  async check(directory: string): Promise<void> {
    const content = await this.#files.read(this.#path).catch(() => '')
    if (content !== this.#content) throw locked(directory, '')
  }

  async release(): Promise<void> {
    const content = await this.#files.read(this.#path).catch(() => '')
    if (content === this.#content) await this.#files.remove(this.#path)
  }
}

/** Who holds the lock; undefined for content that no process has finished writing. */
const ownerOf = async (files: FileSystem, path: string): Promise<ProcessIdentity | 'gone' | undefined> => {
  try {
    const { host, boot, pid, started } = JSON.parse(await files.read(path)) as ProcessIdentity
    return { host, boot, pid, started }
  } catch (error) {
    return errorCode(error) === 'ENOENT' ? 'gone' : undefined
  }
}

const locked = (directory: string, owner: string): IopaError =>
  new IopaError(
    503,
    'store-locked',
    `Another process uses the OSCORE store '${directory}'${owner}: give each process a store and keys of its own. If that process has ended, remove the file 'lock' in it.`
  )
