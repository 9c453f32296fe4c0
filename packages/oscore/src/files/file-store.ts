import { join } from 'node:path'
import { IopaError, isIopaError } from '@iopa/transport'
import type { NumberStore, OpenNumberStore } from '../store/number-store.ts'
import { DirectoryLock } from './directory-lock.ts'
import { errorCode, type FileSystem, nodeFileSystem } from './file-system.ts'

/** The file that says when the store was made. */
const SINCE = 'since'
/** A claimed number: the name of an empty file. */
const CLAIM = /^claim-(\d{16})$/
const claimName = (number: number): string => `claim-${String(number).padStart(16, '0')}`

/**
 * A store in a directory of its own. A number is claimed by making the file that has its name, which one process can do once; then the directory is
 * synced. Files of lower numbers are removed.
 *
 * @example oscore({ contexts, store: fileStore('./oscore') })
 */
export const fileStore = (path: string): NumberStore => storeOn(path, nodeFileSystem)

/** The same on another file system. */
export const storeOn = (path: string, files: FileSystem): NumberStore => {
  if (typeof path !== 'string' || path === '') throw new IopaError(500, 'bad-option', 'fileStore() needs the path of a directory.')
  return {
    open: async now => {
      try {
        await files.makeDirectory(path)
        const lock = await DirectoryLock.take(files, path)
        try {
          return new FileNumbers(path, files, lock, await readState(path, files, now))
        } catch (error) {
          await lock.release()
          throw error
        }
      } catch (error) {
        throw isIopaError(error)
          ? error
          : new IopaError(500, 'store-unavailable', `The OSCORE store '${path}' cannot be opened: ${errorCode(error) ?? 'see the cause'}.`, {
              cause: error
            })
      }
    }
  }
}

interface State {
  readonly since: number
  readonly last: number
}

const numbersIn = (names: readonly string[]): number[] => names.flatMap(name => (CLAIM.test(name) ? [Number(CLAIM.exec(name)![1])] : []))

const readState = async (path: string, files: FileSystem, now: number): Promise<State> => {
  const names = await files.list(path)
  const claimed = numbersIn(names)
  const text = names.includes(SINCE) ? await files.read(join(path, SINCE)) : ''
  if (/^\d{1,16}$/.test(text)) return { since: Number(text), last: Math.max(0, ...claimed) }
  if (claimed.length > 0)
    throw new IopaError(
      500,
      'store-damaged',
      `The OSCORE store '${path}' has lost its file '${SINCE}': remove the store, and give all its contexts new master secrets.`
    )
  // New, or its process was killed before it claimed anything.
  if (names.includes(SINCE)) await files.remove(join(path, SINCE))
  const since = Math.max(0, Math.floor(now))
  await files.create(join(path, SINCE), String(since))
  await files.syncDirectory(path)
  return { since, last: 0 }
}

class FileNumbers implements OpenNumberStore {
  readonly since: number
  readonly #path: string
  readonly #files: FileSystem
  readonly #lock: DirectoryLock
  #last: number
  #working: Promise<unknown> = Promise.resolve()
  #closed: Promise<void> | undefined

  constructor(path: string, files: FileSystem, lock: DirectoryLock, { since, last }: State) {
    this.#path = path
    this.#files = files
    this.#lock = lock
    this.since = since
    this.#last = last
  }

  claim(least: number): Promise<number> {
    if (this.#closed !== undefined) return Promise.reject(new IopaError(503, 'closed', 'The OSCORE store is closed.'))
    const claimed = this.#working.then(() => this.#claim(least))
    this.#working = claimed.catch(() => undefined)
    return claimed
  }

  close(): Promise<void> {
    this.#closed ??= this.#working.then(() => this.#lock.release())
    return this.#closed
  }

  async #claim(least: number): Promise<number> {
    await this.#lock.check(this.#path)
    const before = this.#last
    let number = Math.max(least, before + 1)
    for (; ; number++) {
      try {
        await this.#files.create(join(this.#path, claimName(number)), '')
        break
      } catch (error) {
        if (errorCode(error) !== 'EEXIST') throw error
      }
    }
    await this.#files.syncDirectory(this.#path)
    this.#last = number
    // The newest claim stays; that older ones come back after a power cut does no harm.
    for (const old of numbersIn(await this.#files.list(this.#path)))
      if (old <= before) await this.#files.remove(join(this.#path, claimName(old))).catch(() => undefined)
    return number
  }
}
