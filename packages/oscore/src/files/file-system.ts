import { mkdir, open, readdir, readFile, unlink } from 'node:fs/promises'

/** What a file store needs of a file system; tests give one that loses what was not synced. Paths are absolute or relative to the process. */
export interface FileSystem {
  makeDirectory(path: string): Promise<void>
  list(path: string): Promise<readonly string[]>
  read(path: string): Promise<string>
  /** Makes a file that did not exist, and syncs its content. Rejects with EEXIST if it exists: two processes never both make it. */
  create(path: string, content: string): Promise<void>
  remove(path: string): Promise<void>
  /** Makes the names in a directory durable. */
  syncDirectory(path: string): Promise<void>
}

/** The code of an error of the system, such as ENOENT. */
export const errorCode = (error: unknown): string | undefined => (error as { readonly code?: string } | null)?.code

export const nodeFileSystem: FileSystem = {
  makeDirectory: async path => {
    await mkdir(path, { recursive: true, mode: 0o700 })
  },
  list: path => readdir(path),
  read: path => readFile(path, 'utf8'),
  create: async (path, content) => {
    const file = await open(path, 'wx', 0o600)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
  },
  remove: path => unlink(path),
  syncDirectory: async path => {
    // Windows cannot open a directory, and writes names at once.
    if (process.platform === 'win32') return
    const directory = await open(path, 'r')
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  }
}
