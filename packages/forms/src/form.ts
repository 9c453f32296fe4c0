import { randomUUID } from 'node:crypto'
import { constants, copyFile, rename, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Readable } from 'node:stream'
import { IopaError } from '@iopa/appbuilder'

/** Reads the body of a request as a form. */
export interface FormReader {
  /**
   * The form; read once and remembered. Nothing of the body is read before.
   * @throws IopaError 400, 413 or 415, as the README of this package lists
   */
  read(): Promise<Form>
}

/** A form that has been read to its end. */
export class Form {
  /** The text fields in their order. Names are data: none of them is a property of anything. */
  readonly fields: URLSearchParams
  /** The files in their order. */
  readonly files: readonly FormFile[]

  constructor(fields: URLSearchParams, files: readonly FormFile[]) {
    this.fields = fields
    this.files = files
  }

  /** The first file of a field. */
  file(field: string): FormFile | undefined {
    return this.files.find(file => file.field === field)
  }

  /** The text fields as an object without a prototype, for a schema: a text, or an array of texts for a name that came several times. */
  values(): Record<string, string | string[]> {
    return valuesOf(this.fields)
  }
}

/** What a client says of a file. */
interface FileHead {
  /** Name of the form field. */
  readonly field: string
  /** The client's name of the file, without directories and control characters; empty for none. Never use it as a path. */
  readonly name: string
  /** Content type of the part, as the client says. */
  readonly type: string
}

/** A file that is arriving, for a handler of files. */
export interface IncomingFile extends FileHead {
  /** Its bytes. The upload goes on as fast as they are read. Fails where the upload is aborted or refused. */
  readonly stream: Readable
}

/** A file of a form. */
export class FormFile implements FileHead {
  readonly field: string
  readonly name: string
  readonly type: string
  /** Bytes. */
  readonly size: number
  /** What the handler of files returned; undefined for a file on disk. */
  readonly value: unknown
  #path: string

  constructor({ field, name, type }: FileHead, size: number, path: string, value?: unknown) {
    this.field = field
    this.name = name
    this.type = type
    this.size = size
    this.value = value
    this.#path = path
  }

  /** Where it is on disk, until the scope of the request ends; empty for a file that a handler has taken. */
  get path(): string {
    return this.#path
  }

  /**
   * Moves the file to `target`, which it replaces, and keeps it there. Choose that name yourself: `name` is the client's.
   * @throws IopaError 500 `file-not-on-disk` for a file that a handler has taken.
   */
  async moveTo(target: string): Promise<void> {
    const from = this.#path
    if (from === '') throw new IopaError(500, 'file-not-on-disk', 'A handler has taken this file, so it is nowhere on disk.')
    const to = resolve(target)
    try {
      await rename(from, to)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error
      await copyTo(from, to)
      await rm(from, { force: true })
    }
    this.#path = to
  }
}

/** Copies a file to another file system. As with `rename`, the target is whole or not there, and a link in its place is replaced, never followed. */
const copyTo = async (from: string, to: string): Promise<void> => {
  const copy = `${to}.${randomUUID()}`
  try {
    await copyFile(from, copy, constants.COPYFILE_EXCL)
    await rename(copy, to)
  } catch (error) {
    await rm(copy, { force: true })
    throw error
  }
}

/** Fields as an object without a prototype. */
export const valuesOf = (fields: URLSearchParams): Record<string, string | string[]> => {
  const values = Object.create(null) as Record<string, string | string[]>
  for (const [name, value] of fields) {
    const known = values[name]
    if (known === undefined) values[name] = value
    else if (typeof known === 'string') values[name] = [known, value]
    else known.push(value)
  }
  return values
}
