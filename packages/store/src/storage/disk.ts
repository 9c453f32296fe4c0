import { mkdir, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { IopaError, isIopaError } from '@iopa/appbuilder'
import { checkOptions, markFactory, type OptionCheck, type Storage, type StorageChange, type StorageRange } from '@iopa/appbuilder/extension'
import { type IopaErrorCode, withOrigin } from '@iopa/constants'
import { ClassicLevel } from 'classic-level'
import { compareKeys, storageClosed } from './memory.ts'

/** Options of `disk()`. */
export interface DiskOptions {
  /** True, unless given, waits for fsync, so that a power cut loses nothing either; false survives the end of the process alone. */
  readonly sync?: boolean
  /**
   * True makes the files of LevelDB usable again when the folder is opened, and keeps what they still hold: for a start after `store-damaged`. Copy the
   * folder before.
   */
  readonly repair?: boolean
}

const OPTIONS: Record<keyof DiskOptions, OptionCheck> = { sync: 'flag', repair: 'flag' }

/**
 * A storage in a folder of its own, on LevelDB. Changes that arrive while others are written leave together in the next write (group commit), so the
 * number of fsyncs follows the disk and not the number of changes. Several stores may share it.
 *
 * @example store(light, { storage: disk('./data') })
 */
export const disk = (path: string, options: DiskOptions = {}): Storage => {
  checkOptions('disk()', options, OPTIONS, disk)
  return new DiskStorage(path, options.sync ?? true, options.repair ?? false)
}

markFactory('disk()', disk as never)

type Database = ClassicLevel<string, Uint8Array>

interface Commit {
  readonly changes: readonly StorageChange[]
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Operations that leave in one write: what a group must wait for stays bounded. */
const MOST_OPERATIONS = 10_000

class DiskStorage implements Storage {
  readonly #path: string
  readonly #sync: boolean
  /** Until it has been opened. */
  #repair: boolean
  #opened: Promise<Database> | null = null
  readonly #waiting: Commit[] = []
  #flushing: Promise<void> | null = null
  #closing: Promise<void> | null = null

  constructor(path: string, sync: boolean, repair: boolean) {
    this.#path = path
    this.#repair = repair
    this.#sync = sync
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const database = await this.#database()
    return database.get(key)
  }

  put(key: string, value: Uint8Array): Promise<void> {
    return this.batch([{ type: 'put', key, value }])
  }

  delete(key: string): Promise<void> {
    return this.batch([{ type: 'delete', key }])
  }

  async *list({ prefix = '', after, limit, reverse = false }: StorageRange = {}): AsyncGenerator<readonly [key: string, value: Uint8Array]> {
    const database = await this.#database()
    // A limit of -1 is none.
    yield* database.iterator({ ...rangeOf(prefix, after), reverse, limit: limit ?? -1 })
  }

  batch(changes: readonly StorageChange[]): Promise<void> {
    if (this.#closing !== null) return Promise.reject(storageClosed())
    if (changes.length === 0) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#waiting.push({ changes, resolve, reject })
      this.#flushing ??= this.#flush()
    })
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    while (this.#flushing !== null) await this.#flushing
    await this.#abandon()
  }

  #database(): Promise<Database> {
    if (this.#closing !== null && this.#flushing === null) return Promise.reject(storageClosed())
    this.#opened ??= open(this.#path, this.#repair).then(
      database => {
        this.#repair = false
        return database
      },
      error => {
        this.#opened = null
        throw error
      }
    )
    return this.#opened
  }

  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      // Those who waited for the write before bring their next changes in this turn of the event loop.
      await new Promise(resolve => setImmediate(resolve))
      const commits = this.#next()
      try {
        await this.#write(commits)
        for (const { resolve } of commits) resolve()
      } catch (error) {
        await this.#settle(commits, failureOf(this.#path, error))
      }
    }
    this.#flushing = null
  }

  /** One write; adding to a batch of LevelDB costs a third of handing it a list. */
  async #write(commits: readonly Commit[]): Promise<void> {
    const batch = (await this.#database()).batch()
    try {
      for (const { changes } of commits) {
        for (const change of changes) {
          if (change.type === 'put') batch.put(change.key, change.value)
          else batch.del(change.key)
        }
      }
      await batch.write({ sync: this.#sync })
    } finally {
      await batch.close()
    }
  }

  /** The commits that leave next, in the order in which they came. */
  #next(): Commit[] {
    let operations = 0
    let count = 0
    for (const { changes } of this.#waiting) {
      operations += changes.length
      if (count > 0 && operations > MOST_OPERATIONS) break
      count++
    }
    return this.#waiting.splice(0, count)
  }

  /**
   * After a write that failed LevelDB refuses all others, and what it has written of that one shows when it is opened again: so it is, and a commit that
   * is there has been kept.
   */
  async #settle(commits: readonly Commit[], failure: unknown): Promise<void> {
    await this.#abandon()
    const database = await this.#database().catch(() => null)
    for (const { changes, resolve, reject } of commits) {
      if (database !== null && (await isKept(database, changes).catch(() => false))) resolve()
      else reject(failure)
    }
  }

  async #abandon(): Promise<void> {
    const opened = this.#opened
    this.#opened = null
    await (await opened?.catch(() => null))?.close().catch(() => undefined)
  }
}

/** The keys that begin with a prefix are those from it to the next text that is no beginning of theirs. */
const rangeOf = (prefix: string, after: string | undefined): { gt?: string; gte?: string; lt?: string } => {
  const end = behind(prefix)
  return {
    ...(after !== undefined && compareKeys(after, prefix) >= 0 ? { gt: after } : { gte: prefix }),
    ...(end === '' ? undefined : { lt: end })
  }
}

/** The first text, in the order of UTF-8, behind all that begin with `prefix`; empty where there is none. */
const behind = (prefix: string): string => {
  const points = Array.from(prefix, character => character.codePointAt(0) as number)
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    if (last < 0x10ffff) return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1)
  }
  return ''
}

const isKept = async (database: Database, changes: readonly StorageChange[]): Promise<boolean> => {
  const last = new Map(changes.map(change => [change.key, change]))
  for (const [key, change] of last) {
    const value = await database.get(key)
    if (change.type === 'delete' ? value !== undefined : value === undefined || Buffer.compare(value, change.value) !== 0) return false
  }
  return true
}

const open = async (path: string, repair: boolean): Promise<Database> => {
  try {
    return await opened(path, repair)
  } catch (error) {
    // The power was cut while the folder was made, before anything was acknowledged.
    if (!isDamage(error) || !(await holdsNothing(path))) throw error
    await ClassicLevel.destroy(path)
    return opened(path, false)
  }
}

const isDamage = (error: unknown): boolean => isIopaError(error) && error.code === 'store-damaged'

/** True for a folder without tables, and with empty logs at most. */
const holdsNothing = async (path: string): Promise<boolean> => {
  for (const name of await readdir(path)) {
    if (/\.(?:ldb|sst)$/.test(name)) return false
    if (name.endsWith('.log') && (await stat(join(path, name))).size > 0) return false
  }
  return true
}

const opened = async (path: string, repair: boolean): Promise<Database> => {
  let database: Database | undefined
  try {
    await mkdir(path, { recursive: true })
    if (repair) await ClassicLevel.repair(path)
    // LevelDB would take it for a new folder, and delete the tables.
    else if (!(await readdir(path)).includes('CURRENT') && !(await holdsNothing(path))) throw damaged(path, new Error('CURRENT is missing'))
    // It opens itself in the next turn.
    database = new ClassicLevel<string, Uint8Array>(path, { keyEncoding: 'utf8', valueEncoding: 'view' })
    await database.open()
    return database
  } catch (error) {
    await database?.close().catch(() => undefined)
    throw failureOf(path, error)
  }
}

const FULL = /No space left|ENOSPC|EDQUOT|Disk quota|File too large/i

/** What went wrong, for the one who has to act: the path of the folder is for the log, and not for the peer whose request met it. */
const failureOf = (path: string, error: unknown): unknown => {
  if (error instanceof IopaError) return error
  const { cause, code } = error as { cause?: { code?: string; message?: string }; code?: string }
  const reason = cause?.code ?? code ?? ''
  const text = `${(error as Error).message} ${cause?.message ?? ''}`
  if (reason === 'LEVEL_LOCKED')
    return inside(
      503,
      'store-locked',
      `The folder ${path} is in use by another process, or by another disk(): let the stores of one process share one.`,
      error
    )
  if (FULL.test(text) || FULL.test(reason))
    return new IopaError(507, 'storage-full', 'There is no room on the disk; nothing has changed.', { cause: error })
  if (reason === 'LEVEL_CORRUPTION' || /MANIFEST|CURRENT/.test(text)) return damaged(path, error)
  return inside(500, 'store-unavailable', `The folder ${path} cannot be used: check that it can be written to.`, error)
}

/** Files of LevelDB are missing or broken; its tables may be whole still. */
const damaged = (path: string, cause: unknown): IopaError =>
  inside(
    500,
    'store-damaged',
    `The folder ${path} is damaged, and nothing in it has been changed: restore a copy of it, or copy it and open it once with disk(path, { repair: true }), which keeps what its files still hold.`,
    cause
  )

const inside = (status: number, code: IopaErrorCode, detail: string, cause: unknown): IopaError =>
  withOrigin(new IopaError(status, code, detail, { cause }), 'internal')
