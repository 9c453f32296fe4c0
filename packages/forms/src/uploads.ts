import { randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { PassThrough, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Context } from '@iopa/appbuilder'
import { FormFile, type IncomingFile } from './form.ts'
import type { FileDirectory, FileHandler } from './options.ts'

/** A file as the parser gives it. */
export interface ArrivingFile extends IncomingFile {
  /** Bytes that have come. */
  size(): number
}

/** Takes the files of one form. */
export class Uploads {
  readonly #context: Context
  readonly #target: FileDirectory | FileHandler
  /** Names given out, by their order; those that moved are no longer ours. */
  readonly #written: { readonly path: string; file: FormFile | null }[] = []
  #deferred = false

  constructor(context: Context, target: FileDirectory | FileHandler) {
    this.#context = context
    this.#target = target
  }

  /** Takes a file to its end; null for a file input that was left empty. Rejects where the upload fails or is refused. */
  async take(file: ArrivingFile): Promise<FormFile | null> {
    if (file.name === '' && (await isEmpty(file))) return null
    const target = this.#target
    if (typeof target !== 'function') return this.#write(file, target.directory)
    const stream = streamFor(file)
    const value = await target({ field: file.field, name: file.name, type: file.type, stream }, this.#context)
    stream.destroy()
    await drained(file)
    return new FormFile(file, file.size(), '', value)
  }

  /** Removes what has not been moved away. */
  async remove(): Promise<void> {
    await Promise.all(this.#written.splice(0).map(({ path, file }) => (file === null || file.path === path ? rm(path, { force: true }) : undefined)))
  }

  async #write(file: ArrivingFile, directory: string): Promise<FormFile> {
    const path = join(resolve(directory), randomUUID())
    const entry: { readonly path: string; file: FormFile | null } = { path, file: null }
    this.#written.push(entry)
    if (!this.#deferred) {
      this.#deferred = true
      this.#context.defer(() => this.remove())
    }
    await mkdir(directory, { recursive: true })
    // Never through a link or over a file that is there, and for this user alone.
    await pipeline(file.stream, createWriteStream(path, { flags: 'wx', mode: 0o600 }))
    return (entry.file = new FormFile(file, file.size(), path))
  }
}

/** True for a file without a byte: what a browser sends for a file input without a file. */
const isEmpty = async (file: ArrivingFile): Promise<boolean> => {
  const { stream } = file
  if (stream.readableLength === 0 && !stream.readableEnded)
    await new Promise<void>((resolve, reject) => {
      stream.once('readable', resolve).once('end', resolve).once('error', reject).once('close', resolve)
    })
  if (stream.readableLength > 0) return false
  await drained(file)
  return file.size() === 0
}

/** The bytes for a handler. It may end them at any time, as a loop does that breaks; the parser's own stream must be read to its end. */
const streamFor = ({ stream }: ArrivingFile): Readable => {
  const given = new PassThrough()
  // A handler that does not listen must not end the process.
  given.on('error', () => undefined)
  given.once('close', () => {
    stream.unpipe(given)
    stream.resume()
  })
  stream.once('error', error => given.destroy(error)).pipe(given)
  return given
}

/** Skips what is left of a file. */
const drained = async ({ stream }: ArrivingFile): Promise<void> => {
  if (stream.readableEnded || stream.closed) return
  await new Promise<void>((resolve, reject) => {
    stream.once('end', resolve).once('error', reject).once('close', resolve).resume()
  })
}
