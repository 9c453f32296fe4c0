import type { Readable } from 'node:stream'
import { Busboy, type BusboyFileStream, type BusboyInstance } from '@fastify/busboy'
import { type Context, IopaError } from '@iopa/appbuilder'
import { holdBytes, type Context as OwnedContext } from '@iopa/transport'
import { Form, type FormFile } from './form.ts'
import type { FormSettings } from './options.ts'
import {
  compressedForm,
  fieldNameTooLong,
  fieldTooLarge,
  filesRefused,
  fileTooLarge,
  formTooLarge,
  malformedForm,
  tooManyFields,
  tooManyFiles,
  tooManyParts
} from './refusals.ts'
import { Uploads } from './uploads.ts'

/** Bytes that the parser gets at once: it makes a stream for each part in them before a limit can stop it. */
const SLICE = 8 * 1024
const HEADER_SIZE = 16 * 1024
const HEADER_PAIRS = 32
const LONGEST_NAME = 255

/** Reads a multipart form (RFC 7578) as it arrives. Nothing is left of it where it fails. */
export const readMultipart = (context: Context, settings: FormSettings): Promise<Form> => new MultipartReader(context, settings).read()

class MultipartReader {
  readonly #context: Context
  readonly #settings: FormSettings
  readonly #uploads: Uploads | null
  readonly #fields = new URLSearchParams()
  readonly #files: Promise<FormFile | null>[] = []
  #fieldBytes = 0
  #arriving: Readable | null = null
  #error: unknown
  #failed = false
  #wake: (() => void) | null = null
  /** Ends what is waited for now. */
  #stop: ((error: unknown) => void) | null = null

  constructor(context: Context, settings: FormSettings) {
    this.#context = context
    this.#settings = settings
    this.#uploads = settings.files === undefined ? null : new Uploads(context, settings.files)
  }

  async read(): Promise<Form> {
    const coding = this.#context.headers.get('content-encoding')
    if (coding !== undefined && coding.toLowerCase() !== 'identity') throw compressedForm()
    const parser = this.#parser()
    const owned = this.#context as OwnedContext
    // The peer has left, or its time is over: nothing more will come.
    owned.onEndAsked(() => this.#fail(malformedForm('The upload was aborted.')))
    try {
      await this.#feed(parser)
      const files = await this.#unlessFailed(Promise.all(this.#files))
      return new Form(
        this.#fields,
        files.filter(file => file !== null)
      )
    } catch (error) {
      this.#fail(error)
      await Promise.allSettled(this.#files)
      await this.#uploads?.remove()
      throw this.#error
    } finally {
      parser.destroy()
    }
  }

  /** Hands the body to the parser, as fast as the files are taken. */
  async #feed(parser: BusboyInstance): Promise<void> {
    const { total } = this.#settings.limits
    const finished = new Promise<void>(resolve => parser.once('finish', resolve))
    const body = this.#context.body?.[Symbol.asyncIterator]()
    let size = 0
    try {
      for (;;) {
        const step = await this.#unlessFailed(body?.next() ?? Promise.resolve(END))
        if (step.done === true) break
        size += step.value.length
        if (size > total) throw formTooLarge(total)
        await this.#write(parser, step.value)
      }
      parser.end()
      await this.#unlessFailed(finished)
    } catch (error) {
      // A generator that waits for its peer returns when that has sent something.
      body?.return?.()?.catch(() => undefined)
      throw error
    }
  }

  async #write(parser: BusboyInstance, bytes: Uint8Array): Promise<void> {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    for (let at = 0; at < chunk.length; at += SLICE) {
      if (this.#failed) throw this.#error
      if (!parser.write(chunk.subarray(at, at + SLICE))) {
        const drained = new Promise<void>(resolve => {
          this.#wake = resolve
        })
        await this.#unlessFailed(drained)
      }
    }
    if (this.#failed) throw this.#error
  }

  #parser(): BusboyInstance {
    const { limits } = this.#settings
    let parser: BusboyInstance
    try {
      parser = new Busboy({
        headers: { 'content-type': this.#context.type },
        limits: {
          fields: limits.fields,
          fieldSize: limits.fieldSize,
          files: limits.files,
          fileSize: limits.fileSize,
          parts: limits.parts,
          headerPairs: HEADER_PAIRS,
          headerSize: HEADER_SIZE
        }
      })
    } catch (error) {
      throw malformedForm('The content type multipart/form-data needs a boundary.', error)
    }
    return parser
      .on('drain', () => this.#wake?.())
      .on('error', error => this.#fail(malformedForm('The form is cut off or malformed.', error)))
      .on('field', (name, value, _, truncated) => this.#field(name, value, truncated))
      .on('file', (name, stream, filename, _, type) => this.#file(name, stream, filename, type))
      .on('fieldsLimit', () => this.#fail(tooManyFields(limits.fields)))
      .on('filesLimit', () => this.#fail(tooManyFiles(limits.files)))
      .on('partsLimit', () => this.#fail(tooManyParts(limits.parts)))
  }

  #field(name: string | undefined, value: string, truncated: boolean): void {
    const { fieldSize } = this.#settings.limits
    if (!this.#checkName(name)) return
    if (truncated) {
      this.#fail(fieldTooLarge(fieldSize))
      return
    }
    this.#fieldBytes += name.length + 2 * value.length
    try {
      holdBytes(this.#context as OwnedContext, this.#fieldBytes, this)
    } catch (error) {
      this.#fail(error)
      return
    }
    this.#fields.append(name, value)
  }

  #checkName(name: string | undefined): name is string {
    const { fieldNameSize } = this.#settings.limits
    if (typeof name !== 'string') this.#fail(malformedForm('A part of the form has no name.'))
    else if (Buffer.byteLength(name) > fieldNameSize) this.#fail(fieldNameTooLong(fieldNameSize))
    else return true
    return false
  }

  #file(name: string | undefined, stream: BusboyFileStream, filename: string | undefined, type: string): void {
    // A stream that fails without a listener would end the process.
    stream.on('error', () => undefined)
    this.#arriving = stream
    if (this.#uploads === null) this.#fail(filesRefused())
    if (this.#failed || !this.#checkName(name)) {
      stream.destroy()
      return
    }
    stream.once('limit', () => this.#fail(fileTooLarge(this.#settings.limits.fileSize)))
    const file = { field: name, name: cleanName(filename), type, stream, size: () => stream.bytesRead }
    const taken = (this.#uploads as Uploads).take(file)
    taken.catch((error: unknown) => this.#fail(error))
    this.#files.push(taken)
  }

  /** Settles with `work`, and at once with the first failure. One race with a promise of the failure for each chunk would keep them all. */
  #unlessFailed<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#stop = reject
      work.then(resolve, reject)
      if (this.#failed) reject(this.#error)
    })
  }

  /** Ends the reading; only the first failure counts. */
  #fail(error: unknown): void {
    if (this.#failed) return
    this.#failed = true
    this.#error = error
    this.#arriving?.destroy(error instanceof Error ? error : new IopaError(500, 'internal-error'))
    this.#stop?.(error)
  }
}

const END: IteratorReturnResult<undefined> = { done: true, value: undefined }

/** The client's name of a file, without what no name needs: directories, which the parser has taken off, and control characters. */
const cleanName = (name: string | undefined): string => {
  let clean = ''
  for (const character of (name ?? '').slice(0, 4 * LONGEST_NAME)) if (character >= ' ' && character !== '\u007f') clean += character
  const base = clean.slice(Math.max(clean.lastIndexOf('/'), clean.lastIndexOf('\\')) + 1).slice(0, LONGEST_NAME)
  return base === '.' || base === '..' ? '' : base
}
